"""One run of a job: its thread, what its code sees, and its outcome."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from iocmng.base import JobBase, JobResult
from iocmng.errors import BadInput
from iocmng.lifecycle import JobState
from iocmng.runtime.coderun import CodeRun, Work
from iocmng.runtime.jobarguments import settled_arguments
from iocmng.runtime.outputs import InstanceGone
from iocmng.runtime.runs import Run
from iocmng.runtime.streams import bind_thread
from iocmng.runtime.taskcontext import PortAccess
from iocmng.runtime.traces import describe
from iocmng.values import Reading, Value
from iocmng.wire import LogLine, to_plain

if TYPE_CHECKING:
    from iocmng.runtime.jobyard import JobYard

ON_DISK = 2.0
"""Seconds that a run waits for its record to be on disk before its code begins; a dead disk holds no run up."""

MAX_DATA = 1024 * 1024
"""Bytes that a result's data may take as JSON."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run's code has ended."""

    outcome: JobState = JobState.FAILED
    message: str = ""
    data: Any = None
    exit_code: int | None = None
    trace: str = ""


class JobOwner(Protocol):
    """Who hears of a run; called on the run's thread, must only enqueue."""

    def reported(self, run: JobRun) -> None:
        """The run has made progress."""

    def logged(self, run: JobRun, line: LogLine) -> None:
        """The run has a new line in its log. Any thread."""

    def finished(self, run: JobRun, ending: Ending) -> None:
        """The run's code has returned or failed, and its thread is about to end."""


class JobRunContext(PortAccess):
    """The JobContext of one run."""

    _run: JobRun

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of this run by name."""
        return self._run.run.arguments

    def read(self, name: str) -> Reading:
        """What a port shows; an input reads as the argument of this run."""
        if self._run.outputs.known(name) and name in self.arguments:
            value: Value = self.arguments[name]
            return Reading(value, timestamp=self._run.run.started)
        return super().read(name)

    def keepalive(self) -> None:
        """Nothing: `run_timeout` bounds a run, not progress."""

    def progress(self, fraction: float, message: str) -> None:
        """Show progress, 0 to 1."""
        self._run.report(fraction, message)

    def gather(self, data: Mapping[str, Any]) -> None:
        """Add to the data of the run while it lasts."""
        self._run.gather(data)

    def run_script(self) -> JobResult:
        """Run the script of the config to its end."""
        return self._run.run_script()


class JobRun(CodeRun):
    """Runs a job's code once.

    Attributes:
        run: The run.
        exit_code: Of the script that the code has run, None for none.
        own_log: What is logged now goes into the run's log by itself.
    """

    def __init__(self, work: Work, run: Run, *, owner: JobOwner, yard: JobYard, settled: bool) -> None:
        super().__init__(work)
        self.run = run
        self.exit_code: int | None = None
        self.own_log = False
        self._owner = owner
        self._yard = yard
        self._settled = settled

    def say(self, text: str) -> None:
        """Show MESSAGE."""
        self.report(float("nan"), text)

    def report(self, fraction: float, message: str) -> None:
        """Note progress and tell the owner."""
        if self.run.report(fraction, message):
            self._owner.reported(self)

    def gather(self, data: Mapping[str, Any]) -> None:
        """Add to the data that the run has so far.

        Raises:
            ValueError: A number is not finite, or it is too much.
            TypeError: It has no JSON form.
        """
        plain = checked_data(dict(data))
        present = self.run.view.data
        checked_data({**(present if isinstance(present, dict) else {}), **plain})
        if self.run.gather(plain):
            self._owner.reported(self)

    def printed(self, stream: str, text: str) -> None:
        """The code has printed a line."""
        level = "INFO" if stream == "stdout" else "WARNING"
        self.logged(LogLine(self._clock.time(), level, stream, text))

    def logged(self, line: LogLine) -> None:
        """Add a line to the run's log."""
        self._owner.logged(self, line)

    def run_script(self) -> JobResult:
        """Run the script of the config to its end; see `runtime.script`."""
        from iocmng.runtime.script.scriptrun import ScriptRun

        script = ScriptRun(self, self._yard, self._logger)
        try:
            return self.aside(script.run)
        finally:
            self.exit_code = script.exit_code

    def _await_record(self) -> None:
        """Wait until the run is on disk, so that it is known of should its code end the host."""
        self.aside(lambda: self._yard.store.flush(ON_DISK))

    def _main(self) -> None:
        ending = Ending(message="ended without a result")
        undo = bind_thread(self.spec.name, self)
        try:
            self._await_record()
            ending = self._run_code()
        except InstanceGone as gone:
            ending = Ending(message=str(gone))
        except asyncio.CancelledError:
            ending = Ending(message="cancelled")
        except BaseException as error:  # noqa: BLE001 - the border where an author's code runs
            ending = Ending(message=describe(error), trace="".join(traceback.format_exception(error)))
            self._logger.error("%s\n%s", ending.message, ending.trace)
        finally:
            undo()
            end = Ending(ending.outcome, ending.message, ending.data, self.exit_code, ending.trace)
            self._owner.finished(self, end)
            self._note("")

    def _run_code(self) -> Ending:
        job: JobBase = self._make(JobRunContext(self, self.spec, self._logger))
        if not self._settled:
            try:
                self.run.arguments = settled_arguments(self.spec, type(job), self.run.arguments)
            except BadInput as refusal:
                return Ending(message=refusal.detail)
        self._call(job.initialize)
        self._note("run")
        result = self._call(job.execute)
        if not isinstance(result, JobResult):
            result = JobResult(True, data=result)
        outcome = JobState.SUCCESS if result.success else JobState.FAILED
        return Ending(outcome, str(result.message), checked_data(result.data))


def checked_data(data: Any) -> Any:
    """Data of a run as plain dicts, lists, texts and numbers.

    Raises:
        ValueError: A number is not finite, or all of it takes more than a MiB.
        TypeError: Something in it has no JSON form.
    """
    from iocmng.wire.finite import nonfinite

    if found := nonfinite(data):
        raise ValueError(f"{found}: a run's data holds finite numbers only")
    plain = to_plain(data)
    try:
        size = len(json.dumps(plain))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"a run's data holds numbers, texts, lists and mappings only: {error}") from None
    if size > MAX_DATA:
        raise ValueError(
            f"a run's data takes at most {MAX_DATA} bytes, this is {size}: write a file and hand over its path"
        )
    return plain
