"""Who hears of the run of a task."""

from __future__ import annotations

from typing import Protocol

from iocmng.runtime.coderun import CodeRun
from iocmng.runtime.policy import Cause


class TaskOwner(Protocol):
    """Who hears of a run; called on the run's thread, must only enqueue."""

    def initialized(self, run: CodeRun) -> None:
        """`initialize` has returned; the first cycle waits for `resume`."""

    def failed(self, run: CodeRun, cause: Cause, reason: str, trace: str) -> None:
        """The code failed; `cleanup` comes next."""

    def ended(self, run: CodeRun) -> None:
        """The thread is about to end."""

    def health(self, run: CodeRun, reason: str) -> None:
        """What the task says of its health; "" when well."""

    def linked(self, run: CodeRun, complaint: str) -> None:
        """What is wrong with its links, "" when nothing is."""
