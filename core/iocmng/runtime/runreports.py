"""What a run's thread has to say, brought to the supervising thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from iocmng.runtime.coderun import CodeRun
from iocmng.runtime.policy import Cause

if TYPE_CHECKING:
    from iocmng.runtime.task import TaskInstance

LINKS = "links"
"""Under which a task's links complain of being down."""


class RunReports:
    """The TaskOwner of one run; called on the run's thread."""

    def __init__(self, task: TaskInstance, post: Callable[[Callable[[], None]], None]) -> None:
        self._task = task
        self._post = post

    def initialized(self, run: CodeRun) -> None:
        """`initialize` has returned."""
        self._post(lambda: self._task.on_initialized(run))

    def failed(self, run: CodeRun, cause: Cause, reason: str, trace: str) -> None:
        """The code failed: its outputs are INVALID before anything else happens."""
        run.outputs.fail(run, reason)
        self._post(lambda: self._task.on_failed(run, cause, reason, trace))

    def ended(self, run: CodeRun) -> None:
        """The thread is about to end."""
        self._post(lambda: self._task.on_ended(run, run.remark))

    def linked(self, run: CodeRun, complaint: str) -> None:
        """What is wrong with its links."""
        self._post(lambda: self._task.degrade(complaint, LINKS) if run is self._task.run else None)

    def health(self, run: CodeRun, reason: str) -> None:
        """What the task says of its health."""
        self._post(lambda: self._task.degrade(reason) if run is self._task.run else None)
