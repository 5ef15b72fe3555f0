"""Changes of trigger inputs on their way to an author's `on_input_changed`."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from iocmng.values import Value

DEPTH = 256
"""Changes that wait in order; beyond that only the latest of each input is kept."""


@dataclass(frozen=True, slots=True)
class Change:
    """A trigger input's new value, and the one before that the code was told of."""

    port: str
    value: Value
    old: Value | None


class Changes:
    """Changes in the order in which they came; any thread puts, the code's thread takes.

    Args:
        wake: Called after each put.
        depth: How many may wait in order.

    Attributes:
        dropped: How many of each input were superseded because the code is slow.
    """

    def __init__(self, wake: Callable[[], None], depth: int = DEPTH) -> None:
        self._wake = wake
        self._depth = depth
        self._lock = threading.Lock()
        self._waiting: deque[Change] = deque()
        self.dropped: Counter[str] = Counter()

    def put(self, port: str, value: Value, old: Value | None) -> None:
        """Let a change wait for its turn; never blocks."""
        with self._lock:
            self._waiting.append(Change(port, value, old))
            if len(self._waiting) > self._depth:
                self._keep_latest()
        self._wake()

    def take(self) -> Change | None:
        """The oldest change, None when there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _keep_latest(self) -> None:
        latest: dict[str, Change] = {}
        for change in self._waiting:
            earlier = latest.pop(change.port, None)
            self.dropped[change.port] += earlier is not None
            latest[change.port] = Change(change.port, change.value, (earlier or change).old)
        self._waiting = deque(latest.values())
