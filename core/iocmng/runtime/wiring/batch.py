"""A batch of reads that somebody waits for, who is told once: when all have answered, or when it took too long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


class Batch:
    """Any thread.

    Args:
        members: Whose answers count.
        done: Called once, on the thread that brings the last answer.
    """

    def __init__(self, members: Iterable[str], done: Callable[[], None]) -> None:
        self._lacking = set(members)
        self._lock = threading.Lock()
        self._done = done
        self._sealed = self._over = False

    @property
    def over(self) -> bool:
        """Whether nobody waits any more."""
        return self._over

    def seal(self) -> None:
        """All reads have been begun: from now on the batch can be over."""
        self._sealed = True
        self._finish(force=False)

    def answered(self, member: str) -> bool:
        """`member` has answered; return whether somebody was still waiting for the batch."""
        with self._lock:
            in_time = not self._over
            self._lacking.discard(member)
        self._finish(force=False)
        return in_time

    def forgo(self, members: Iterable[str]) -> None:
        """Do not wait for these any longer."""
        with self._lock:
            self._lacking.difference_update(members)
        self._finish(force=False)

    def expire(self) -> None:
        """It took too long."""
        self._finish(force=True)

    def _finish(self, *, force: bool) -> None:
        with self._lock:
            if self._over or not (force or (self._sealed and not self._lacking)):
                return
            self._over = True
        self._done()
