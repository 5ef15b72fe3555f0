"""The writes to one PV: one under way at a time, and of those that nobody waits for only the latest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from iocmng.errors import LinkTimeout
from iocmng.links.worker import Worker
from iocmng.values import Value


@dataclass(eq=False, slots=True)
class Write:
    """One value on its way.

    Attributes:
        value: What to write.
        deadline: `time.monotonic()` after which it is not sent any more.
        wait: Whether it is done only when the record has been processed to its end.
        told: Called once with what went wrong, or None; no function for a posted value.
        complaint: What the server said against it so far.
    """

    value: Value
    deadline: float
    wait: bool = False
    told: Callable[[Exception | None], None] | None = None
    complaint: Exception | None = None


class Outbox:
    """The writes to one PV; all methods are called in the worker's thread.

    Args:
        address: The PV, for messages.
        worker: Keeps the deadlines.
        start: Begins a write; `done` is to be called when it is over.
        cancel: Gives up a write that was begun.
    """

    def __init__(
        self, address: str, worker: Worker, start: Callable[[Write], None], cancel: Callable[[Write], None]
    ) -> None:
        self._address = address
        self._worker = worker
        self._start = start
        self._cancel = cancel
        self._waiting: deque[Write] = deque()
        self._armed_for: float | None = None
        self.current: Write | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waiting."""
        return self.current is None and not self._waiting

    def add(self, write: Write) -> None:
        """Send `write` when its turn comes; a posted one takes the place of posted ones that still wait."""
        if write.told is None:
            self._waiting = deque(other for other in self._waiting if other.told is not None)
        self._waiting.append(write)
        self._next()

    def done(self, write: Write, error: Exception | None = None) -> None:
        """`write` is over, well or with an error."""
        if write is not self.current:
            return
        self.current = None
        try:
            _resolve(write, write.complaint or error)
        finally:
            self._next()

    def close(self, error: Exception) -> None:
        """Begin nothing more, and tell all who wait."""
        waiting, self._waiting = self._waiting, deque()
        for write in (*([self.current] if self.current else ()), *waiting):
            _resolve(write, error)
        self.current = None

    def _next(self) -> None:
        while self.current is None and self._waiting:
            write = self._waiting.popleft()
            if write.deadline <= time.monotonic():
                _resolve(write, self._too_late())
                continue
            self.current = write
            self._arm(write.deadline)
            self._start(write)

    def _arm(self, deadline: float) -> None:
        # One timer serves many writes: a timer for each of a thousand a second would keep all their values.
        if self._armed_for is None or deadline < self._armed_for:
            self._armed_for = deadline
            self._worker.after(max(0.0, deadline - time.monotonic()), self._expire)

    def _expire(self) -> None:
        self._armed_for = None
        write = self.current
        if write is None:
            return
        if write.deadline > time.monotonic():
            self._arm(write.deadline)
        else:
            self._cancel(write)
            self.done(write, self._too_late())

    def _too_late(self) -> LinkTimeout:
        return LinkTimeout(f"{self._address} did not take the value in time", hint="is its server running?")


def _resolve(write: Write, error: Exception | None) -> None:
    told, write.told = write.told, None
    if told is not None:
        told(error)
