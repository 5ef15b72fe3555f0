"""One run of a job in a process of its own, as the host has it."""

from __future__ import annotations

from typing import Any

from iocmng.lifecycle import JobState
from iocmng.runtime.coderun import Work
from iocmng.runtime.isolation.channel import VERSION, Message
from iocmng.runtime.isolation.greeting import greeting
from iocmng.runtime.isolation.hosting import Hosting
from iocmng.runtime.isolation.process import Death, WorkerProcess
from iocmng.runtime.jobrun import Ending, JobOwner, JobRun
from iocmng.runtime.jobyard import JobYard
from iocmng.runtime.runs import Run
from iocmng.runtime.streams import bind_thread

BEAT = 2.0
"""Seconds between a worker's words on where it stands; a run is bounded by `run_timeout`, not by silence."""


class IsolatedJob(JobRun):
    """What a JobRun is for code in a thread."""

    def __init__(self, work: Work, run: Run, *, owner: JobOwner, yard: JobYard, settled: bool) -> None:
        super().__init__(work, run, owner=owner, yard=yard, settled=settled)
        self._killed = self._over = False
        self._ending: Ending | None = None
        self._stood = ""
        self.process = WorkerProcess(
            work.spec.plugin,
            work.clock,
            greet=self._greet,
            heard=self._heard,
            printed=self._print,
            drained=lambda: None,
            over=self._died,
        )
        self._hosting = Hosting(self, work, self.process.post)
        self._hosting.handlers |= {
            "here": self._here,
            "beat": self._beaten,
            "report": self.report,
            "gather": self.gather,
            "arguments": self._settle,
            "finished": self._finished,
        }

    def start(self) -> None:
        """Begin; on the thread that starts processes, which lives as long as the host."""
        self.thread = self.process.start(f"worker-{self.name}")

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._over

    def leave(self) -> None:
        """Ask the code to end."""
        super().leave()
        if self.process.pid:
            self.process.post("leave")

    def kill(self) -> bool:
        """End the process; False when that has been tried already."""
        if self._killed or not self.process.pid:
            return False
        self._killed = True
        self.process.kill()
        return True

    def where(self) -> str:
        """The line of code in which the worker stood when it told last."""
        return "ended" if self._over else f"{self._stood or 'its start'} in worker {self.process.pid}"

    def _greet(self) -> Message:
        bind_thread(self.name, self)
        self._await_record()
        run = self.run
        told = {
            "id": run.id,
            "arguments": dict(run.arguments),
            "started": run.started,
            "settled": self._settled,
        }
        return ["hello", greeting(self.spec, self.work.values, BEAT, run=told).item()]

    def _heard(self, message: Message) -> None:
        if not self._hosting.hear(message):
            self._logger.error("its worker says %r, which nobody understands", message[0])

    def _here(self, version: int) -> None:
        if version != VERSION:
            words = f"its worker speaks version {version} of the messages, not {VERSION}"
            self._ending = Ending(message=words)
            self.kill()

    def _beaten(self, at: float, expected: bool, place: str) -> None:
        self._stood = place
        self._hosting.tell_levels()

    def _settle(self, arguments: dict[str, Any]) -> None:
        self.run.arguments = arguments

    def _print(self, line: str) -> None:
        self._hosting.printed(line)

    def _finished(self, outcome: int, message: str, data: Any, trace: str) -> None:
        limit = self.spec.memory_limit
        if limit is not None and message.startswith("MemoryError"):
            message = f"{message} [memory_limit is {limit:g} MiB]"
        self._ending = Ending(JobState(outcome), message, data, None, trace)
        self.process.dismiss()

    def _died(self, death: Death) -> None:
        words = self.process.fault or death.words
        ending = self._ending
        if ending is None:
            if not self._killed:
                self._logger.error("%s", words)
            ending = Ending(message=words, exit_code=death.code, trace=death.last_words)
        elif death.code and not self._killed:
            self._logger.warning("after its end: %s", words)
        self._over = True
        self._owner.finished(self, ending)
