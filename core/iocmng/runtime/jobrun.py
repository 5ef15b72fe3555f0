"""One run of a job: its thread, what its code sees, and its outcome."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from typing import Any, Protocol

from iocmng.base import JobBase, JobResult
from iocmng.lifecycle import JobState
from iocmng.runtime.coderun import CodeRun, Work
from iocmng.runtime.outputs import InstanceGone
from iocmng.runtime.runs import Run
from iocmng.runtime.streams import bind_thread
from iocmng.runtime.taskcontext import PortAccess
from iocmng.runtime.traces import describe
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

    def keepalive(self) -> None:
        """Nothing: `run_timeout` bounds a run, not progress."""

    def progress(self, fraction: float, message: str) -> None:
        """Show progress, 0 to 1."""
        self._run.report(fraction, message)


class JobRun(CodeRun):
    """Runs a job's code once."""

    def __init__(self, work: Work, run: Run, *, arguments: Mapping[str, Value], owner: JobOwner) -> None:
        super().__init__(work)
        self.run = run
        self.arguments = arguments
        self._owner = owner

    def say(self, text: str) -> None:
        """Show MESSAGE."""
        self.report(float("nan"), text)

    def report(self, fraction: float, message: str) -> None:
        """Note progress and tell the owner."""
        if self.run.report(fraction, message):
            self._owner.reported(self)

    def _main(self) -> None:
        outcome, message, data, trace = JobState.FAILED, "", None, ""
        undo = bind_thread(self.spec.name)
        try:
            job: JobBase = self._make(JobRunContext(self, self.spec, self._logger))
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
