"""One run of a job: its thread, what its code sees, and its outcome."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from iocmng.base import JobBase, JobResult, make
from iocmng.lifecycle import JobState
from iocmng.runtime.leaving import Leaving
from iocmng.runtime.outputs import InstanceGone, Outputs
from iocmng.runtime.panel import Panel
from iocmng.runtime.parameters import build
from iocmng.runtime.ports import AuthorLoop, Clock, Record
from iocmng.runtime.runs import Run
from iocmng.runtime.streams import bind_thread
from iocmng.runtime.taskcontext import PortAccess
from iocmng.runtime.taskrun import LEAVE_GRACE
from iocmng.runtime.traces import describe, stack_line
from iocmng.spec import InstanceSpec
from iocmng.values import Reading, Value


class JobOwner(Protocol):
    """Who hears of a run; called on the run's thread, must only enqueue."""

    def reported(self, run: JobRun) -> None:
        """The run has made progress."""

    def finished(self, run: JobRun, outcome: JobState, message: str, data: Any, trace: str) -> None:
        """The run's code has returned or failed, and its thread is about to end."""


class JobRunContext(PortAccess):
    """The JobContext of one run."""

    _run: JobRun

    @property
    def arguments(self) -> Mapping[str, Value]:
        """The arguments of this run by input name."""
        return self._run.arguments

    def read(self, name: str) -> Reading:
        """What a port shows; an input reads as the argument of this run."""
        if name in self._run.arguments:
            return Reading(self._run.arguments[name], timestamp=self._run.run.started)
        return super().read(name)

    def sleep(self, seconds: float) -> bool:
        """Wait; False as soon as it is time to leave."""
        if self._run.authors.owns_this_thread():
            raise RuntimeError(
                "self.sleep() in async code would hold up every async task: await self.asleep() instead"
            )
        return self._run.sleep(seconds)

    async def asleep(self, seconds: float) -> bool:
        """The same for async code."""
        return await self._run.authors.sleep(seconds, self._run.leaving)

    def keepalive(self) -> None:
        """Nothing: `run_timeout` bounds a run, not progress."""

    def progress(self, fraction: float, message: str) -> None:
        """Show progress, 0 to 1."""
        self._run.report(fraction, message)


class JobRun:
    """Runs a job's code once."""

    def __init__(
        self,
        spec: InstanceSpec,
        load: Callable[[], type],
        run: Run,
        *,
        values: Mapping[str, Any],
        arguments: Mapping[str, Value],
        outputs: Outputs,
        panel: Panel,
        default_record: Callable[[str], Record],
        owner: JobOwner,
        authors: AuthorLoop,
        clock: Clock,
        note: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self.run = run
        self.parameters: Any = values
        self.cls: type | None = None
        self.arguments = arguments
        self.outputs = outputs
        self.panel = panel
        self.default_record = default_record
        self.authors = authors
        self.leaving = Leaving()
        self.thread: threading.Thread | None = None
        self._load = load
        self._owner = owner
        self._clock = clock
        self._note = note
        self._logger = logging.getLogger(f"iocmng.task.{spec.name}")

    def start(self) -> None:
        """Begin."""
        self.thread = self._clock.spawn(self._main, f"job-{self.spec.name}")

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended."""
        return self.thread is not None and self.thread.is_alive()

    def leave(self) -> None:
        """Ask the code to end."""
        self.leaving.set()

    def where(self) -> str:
        """The line of code in which the thread stands."""
        return stack_line(self.thread)

    def say(self, text: str) -> None:
        """Show MESSAGE."""
        self.report(float("nan"), text)

    def report(self, fraction: float, message: str) -> None:
        """Note progress and tell the owner."""
        if self.run.report(fraction, message):
            self._owner.reported(self)

    def sleep(self, seconds: float) -> bool:
        """Wait on behalf of the author."""
        wakeup = self._clock.wakeup()
        undo = self.leaving.subscribe(wakeup.set)
        try:
            wakeup.wait(seconds)
        finally:
            undo()
        return not self.leaving

    def _call(self, method: Callable[[], Any]) -> Any:
        result = method()
        if inspect.iscoroutine(result):
            return self.authors.run(result, self.leaving, LEAVE_GRACE)
        return result

    def _main(self) -> None:
        outcome, message, data, trace = JobState.FAILED, "", None, ""
        undo = bind_thread(self.spec.name)
        try:
            self._note("import")
            self.cls = self._load()
            self._note("start")
            self.parameters = build(self.cls, self.parameters, owner=self.spec.name)
            job: JobBase = make(self.cls, JobRunContext(self, self.spec, self._logger))
            self._call(job.initialize)
            self._note("run")
            result = self._call(job.execute)
            if not isinstance(result, JobResult):
                result = JobResult(True, data=result)
            outcome = JobState.SUCCESS if result.success else JobState.FAILED
            message, data = result.message, result.data
        except InstanceGone as gone:
            message = str(gone)
        except asyncio.CancelledError:
            message = "cancelled"
        except BaseException as error:  # noqa: BLE001 - the border where an author's code runs
            message = describe(error)
            trace = "".join(traceback.format_exception(error))
            self._logger.error("%s\n%s", message, trace)
        finally:
            self._owner.finished(self, outcome, message, data, trace)
            self._note("")
            undo()
