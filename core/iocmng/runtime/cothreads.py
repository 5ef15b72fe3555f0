"""What code written for cothread needs: the one thread that has cothread's scheduler, as a Protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from iocmng.runtime.ports import Clock

T = TypeVar("T")


class Strand(Protocol):
    """One run's code on the scheduler's thread."""

    def is_alive(self) -> bool:
        """Whether it has not ended."""

    def where(self) -> str:
        """The line in which it stands, and who keeps it from going on; "ended" when it has."""


class Cothreads(Protocol):
    """Runs code on cothread's scheduler; every method may be called on any thread."""

    @property
    def clock(self) -> Clock:
        """Time; its waits let other code of the scheduler go on when they are made on its thread."""

    def spawn(self, target: Callable[[], None], name: str) -> Strand:
        """Begin a run's code on the scheduler's thread, which is started with the first."""

    def check(self) -> None:
        """Raise when the scheduler cannot serve.

        Raises:
            RuntimeError: cothread is not installed, or belongs to another thread.
        """

    def here(self) -> Strand | None:
        """Whose code calls this, None for any other."""

    def aside(self, call: Callable[[], T]) -> T:
        """The result of a call that may block; other code of the scheduler goes on meanwhile."""

    def breathe(self) -> None:
        """Let other code of the scheduler go on."""


Anywhere = threading.Thread | Strand
"""Where a run's code is: in a thread of its own, or among others on the scheduler's."""
