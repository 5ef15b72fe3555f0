"""One life of a task's code in a process of its own, as the host has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from iocmng.errors import BadInput
from iocmng.runtime.coderun import CodeRun, Work
from iocmng.runtime.counters import Counters, Progress
from iocmng.runtime.evaluation.changes import Changes
from iocmng.runtime.evaluation.unit import Unit
from iocmng.runtime.isolation.channel import VERSION, Message, from_reading
from iocmng.runtime.isolation.greeting import greeting
from iocmng.runtime.isolation.hosting import Hosting
from iocmng.runtime.isolation.process import Death, WorkerProcess
from iocmng.runtime.isolation.standin import StandIns
from iocmng.runtime.policy import Cause
from iocmng.runtime.streams import bind_thread
from iocmng.runtime.taskowner import TaskOwner
from iocmng.runtime.traces import describe
from iocmng.spec import Mode

SLOWEST_BEAT = 0.5
"""Seconds between signs of life, fewer for a task that is to be found stalled sooner."""

BEATS_MISSED = 4
"""Without so many signs of life in a row a worker counts as silent; none is asked of one that still starts."""

CHECKED_WITHIN = 0.5
"""Seconds that a worker has to look at parameters that an operator sets."""

_COUNTERS = {"CYCLE_COUNT": "cycles", "CYCLE_ERRORS": "cycle_errors", "OVERRUNS": "overruns"}


class WorkerProgress(Progress):
    """Progress as a worker tells it; its silence is none.

    Attributes:
        heard: When it gave the last sign of life, None before the first.
        silence: Seconds after which it counts as silent.
    """

    def __init__(self, silence: float) -> None:
        super().__init__()
        self.heard: float | None = None
        self.silence = silence

    def silent_for(self, now: float) -> float:
        """Seconds since the last sign of life, 0 as long as that is nothing special."""
        silent = 0.0 if self.heard is None else now - self.heard
        return silent if silent > self.silence else 0.0

    def stalled_for(self, now: float) -> float:
        """Seconds without the progress that is expected, or without a sign of life."""
        return max(super().stalled_for(now), self.silent_for(now))


class IsolatedTask(CodeRun):
    """What a TaskRun is for code in a thread: starts, holds and ends the code; has its links and its logic here.

    Attributes:
        unit: Links and logic, None without any.
        changes: Changes of trigger inputs on their way to the worker.
    """

    def __init__(self, work: Work, *, counters: Counters, owner: TaskOwner, stand_ins: StandIns) -> None:
        super().__init__(work)
        self.counters = counters
        beat = min(SLOWEST_BEAT, work.spec.stall_after / 4)
        self.progress = WorkerProgress(BEATS_MISSED * beat)
        self.in_cycle = False
        self.paused = True
        self.retired = False
        self.unit: Unit | None = None
        self._owner = owner
        self._beat = beat
        self._stand_ins = stand_ins
        self._killed = self._told = self._over = False
        self._stood = ""
        self._resumed = 0.0
        self._requests: dict[int, tuple[Callable[[], None], Callable[[], None]]] = {}
        self._numbers = 0
        self._checks: dict[int, Callable[[str], None]] = {}
        self.process = WorkerProcess(
            work.spec.plugin,
            work.clock,
            greet=self._greet,
            heard=self._heard,
            printed=self._printed,
            drained=self._tell_changes,
            over=self._died,
        )
        self.changes = Changes(self._tell_changes)
        self._hosting = Hosting(self, work, self.process.post)
        self._hosting.written = self._written
        self._hosting.handlers |= {
            "here": self._here,
            "show": self._show,
            "beat": self._beaten,
            "class": self._class,
            "initialized": lambda: owner.initialized(self),
            "failed": self._failed,
            "ended": self._ended,
            "health": lambda reason: owner.health(self, reason),
            "asked of health": self._asked,
            "begun": lambda number: self._requests[number][0](),
            "done": lambda number: self._requests.pop(number)[1](),
            "evaluate": self._evaluate,
            "poll": lambda number: self._apart(number, self._poll),
            "put": lambda number, *given: self._apart(number, self._put, *given),
            "checked": lambda number, complaint: self._checks.pop(number, _nobody)(complaint),
        }
        self._hosting.questions |= {
            "wire": self._wire,
            "link readings": self._readings,
            "buffers": lambda: self.unit.buffers if self.unit is not None else {},
            "connected": lambda: self.unit.connected if self.unit is not None else {},
            "latched": lambda: dict(self.unit.latched) if self.unit is not None else {},
        }

    def start(self) -> None:
        """Begin; on the thread that starts processes, which lives as long as the host."""
        self.outputs.begin(self)
        self._stand_ins.check = self._check
        try:
            self.thread = self.process.start(f"worker-{self.name}")
        except OSError as error:
            self._owner.failed(self, Cause.EXIT, f"cannot start a worker: {error}", "")
            self._finish()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._over

    @property
    def parameters(self) -> Any:
        """Parameters in force; what is set takes effect in the worker at once."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: Any) -> None:
        self._parameters = values
        if hasattr(values, "model_dump"):
            self.process.post("parameters", values.model_dump())

    def pause(self) -> None:
        """Hold the code at its next wait."""
        self.paused = True
        self.progress.expected = False
        if self.unit is not None:
            self.unit.hold()
        self.process.post("pause")

    def resume(self) -> None:
        """Let the code run."""
        self.progress.at = self._resumed = self._clock.monotonic()
        self.paused = False
        if self.unit is not None:
            self.unit.go()
        self.process.post("resume")

    def leave(self) -> None:
        """Ask the code to end."""
        super().leave()
        if self.unit is not None:
            self.unit.hold()
        if self.process.pid:
            self.process.post("leave")

    def kill(self) -> bool:
        """End the process; False when that has been tried already."""
        if self._killed or not self.process.pid:
            return False
        self._killed = True
        self.remark = f"; its worker was killed, it stood at {self.where()}"
        self.process.kill()
        return True

    def rescue(self) -> None:
        """Let other instances go on when the evaluation of this one's logic hangs."""
        if self.unit is not None:
            self.unit.rescue()

    def zeroed(self) -> None:
        """The counters have been set to zero."""
        self.process.post("zero")

    def where(self) -> str:
        """The line of code in which the worker stood when it told last, and since when it is silent."""
        if self._over:
            return "ended"
        place = f"{self._stood or 'its start'} in worker {self.process.pid}"
        silent = self.progress.silent_for(self._clock.monotonic())
        return f"{place}, which is silent for {silent:.0f} s" if silent else place

    def request(self, begin: Callable[[], None], done: Callable[[], None], room: int) -> bool:
        """Ask a triggered task for one run; False when `room` others wait already.

        `begin` and `done` are called before and after, `done` also when the run never comes.
        """
        if self.leaving or len(self._requests) > room:
            return False
        self._numbers += 1
        self._requests[self._numbers] = (begin, done)
        self.process.post("run", self._numbers)
        return True

    def linked(self, complaint: str) -> None:
        """See `UnitOwner.linked`."""
        self._owner.linked(self, complaint)

    def broke(self, error: Exception) -> None:
        """See `UnitOwner.broke`."""
        self._logger.error("%s", describe(error), exc_info=error)
        self._fail(Cause.EXCEPTION, describe(error), "")
        self.leave()

    def _greet(self) -> Message:
        bind_thread(self.name)
        counters = {name: getattr(self.counters, name) for name in _COUNTERS.values()}
        greets = greeting(self.spec, self.work.values, self._beat, counters=counters)
        return ["hello", greets.item()]

    def _heard(self, message: Message) -> None:
        if not self._hosting.hear(message):
            self._logger.error("its worker says %r, which nobody understands", message[0])

    def _here(self, version: int) -> None:
        if version != VERSION:
            self._fail(Cause.EXIT, f"its worker speaks version {version} of the messages, not {VERSION}", "")
            self.kill()

    def _class(self, description: Mapping[str, Any]) -> None:
        self.cls = self._stand_ins.made(description)

    def _show(self, name: str, value: Any) -> None:
        if (counter := _COUNTERS.get(name)) is not None:
            setattr(self.counters, counter, value)
        elif name == "TASK_DURATION":
            self.counters.last_duration = value
        elif name == "BUSY":
            self.in_cycle = value
        self.panel.show(name, value)

    def _beaten(self, at: float, expected: bool, place: str) -> None:
        self.progress.heard = self._clock.monotonic()
        # What it was at before it was held has no meaning any more.
        self.progress.at = max(at, self._resumed)
        self.progress.expected = expected and not self.paused and not self.leaving
        self._stood = place
        self._hosting.tell_levels()

    def _asked(self, metrics: dict[str, float], health: str) -> None:
        self.counters.metrics, self.counters.health = metrics, health

    def _written(self, name: str) -> None:
        if self.unit is not None:
            self.unit.touch(name)

    def _wire(self, hears: bool) -> None:
        alone = self.spec.mode is Mode.REACTIVE and not hears
        unit = Unit(self.work, self, self, self.counters, alone=alone)
        unit.open(self.changes.put if hears else None)
        self.unit = unit

    def _readings(self) -> dict[str, Any]:
        unit = self.unit
        return {} if unit is None else {name: from_reading(one) for name, one in unit.readings.items()}

    def _evaluate(self, number: int) -> None:
        if self.unit is not None:
            self.unit.ask((lambda: self._answer(number)) if number else None)

    def _answer(self, number: int) -> None:
        self.process.post("answer", number, None)

    def _apart(self, number: int, question: Callable[..., Any], *given: Any) -> None:
        """Answer what may take a while on a thread of its own."""
        self._clock.spawn(
            partial(self._hosting.answer, number, question, *given), f"worker-links-{self.name}"
        )

    def _poll(self) -> None:
        if self.unit is not None:
            self.unit.poll_wait()

    def _put(self, port: str, value: Any, timeout: float) -> None:
        if self.unit is not None:
            self.unit.put(port, value, timeout)

    def _tell_changes(self) -> None:
        held_back = False
        while not held_back and (change := self.changes.take()):
            held_back = self.process.post("change", change.port, change.value, change.old)

    def _check(self, given: Mapping[str, Any]) -> str:
        """Have the worker look at parameters, which is on the supervising thread and so must not take long."""
        if self._over or self.progress.heard is None:
            return ""
        told = self._clock.wakeup()
        complaints: list[str] = []

        def take(complaint: str) -> None:
            complaints.append(complaint)
            told.set()

        self._numbers += 1
        self._checks[self._numbers] = take
        self.process.post("check", self._numbers, dict(given))
        if not told.wait(CHECKED_WITHIN):
            raise BadInput(
                f"{self.name}: its worker has not looked at the parameters within {CHECKED_WITHIN:g} s",
                hint="try again, or restart it: what is set while it is stopped counts from its start",
            )
        return complaints[0]

    def _printed(self, line: str) -> None:
        self._hosting.printed(line)

    def _failed(self, cause: str, reason: str, trace: str) -> None:
        limit = self.spec.memory_limit
        if limit is not None and reason.startswith("MemoryError"):
            reason = f"{reason} [memory_limit is {limit:g} MiB]"
        self._fail(Cause(cause), reason, trace)

    def _fail(self, cause: Cause, reason: str, trace: str) -> None:
        self._told = True
        if self.unit is not None:
            self.unit.hold()
        self._owner.failed(self, cause, reason, trace)

    def _ended(self, retired: bool) -> None:
        self._told, self.retired = True, retired
        self.process.dismiss()

    def _died(self, death: Death) -> None:
        words = self.process.fault or death.words
        if self._killed or self._told:
            self._logger.log(*_told(death, self._killed, words))
        elif self.leaving:
            self._logger.error("%s", words)
            self.remark = f"; {words}"
        else:
            self._logger.error("%s", words)
            self._fail(death.cause, words, death.last_words)
        self._finish()

    def _finish(self) -> None:
        self.progress.expected = False
        self.progress.heard = None
        self.in_cycle = False
        self.panel.show("BUSY", False)
        for number in tuple(self._requests):
            self._requests.pop(number)[1]()
        for number in tuple(self._checks):
            self._checks.pop(number, _nobody)("")
        if self.unit is not None:
            self.unit.close(self._end)
        else:
            self._end()

    def _end(self) -> None:
        self._over = True
        self.outputs.close(self)
        self._owner.ended(self)


def _told(death: Death, killed: bool, words: str) -> tuple[int, str, str]:
    """How the end of a process is logged that has been told of already."""
    return (10, "%s", words) if killed or death.code == 0 else (30, "after its end: %s", words)


def _nobody(complaint: str) -> None:
    """Nobody waits any more."""
