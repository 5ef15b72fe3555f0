"""The queue of calls and timers that the supervising thread works off; whatever changes a state goes through it."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable

from iocmng.runtime.ports import Clock, Undo

_log = logging.getLogger("iocmng.supervisor")


class Agenda:
    """Calls from any thread and timers, worked off by `run_due` on the supervising thread."""

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._calls: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._ended: set[int] = set()
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.failures = 0

    def post(self, call: Callable[[], None]) -> None:
        """Queue a call; any thread."""
        self._calls.append(call)
        self._wake()

    def after(self, seconds: float, call: Callable[[], None]) -> Undo:
        """Queue a call in so many seconds; any thread. The returned call ends it."""
        number = next(self._numbers)
        with self._lock:
            heapq.heappush(self._timers, (self._clock.monotonic() + seconds, number, call))
        self._wake()

        def undo() -> None:
            with self._lock:
                if any(entry[1] == number for entry in self._timers[:1]):
                    heapq.heappop(self._timers)
                else:
                    self._ended.add(number)

        return undo

    def next_due(self) -> float | None:
        """When the next timer is due on the monotonic clock, None when there is none; now when calls wait."""
        if self._calls:
            return self._clock.monotonic()
        with self._lock:
            self._drop_ended()
            return self._timers[0][0] if self._timers else None

    def run_due(self) -> None:
        """Do all that is due; on the supervising thread."""
        while self._calls:
            self._do(self._calls.popleft())
        while (call := self._pop_due()) is not None:
            self._do(call)

    def _pop_due(self) -> Callable[[], None] | None:
        with self._lock:
            self._drop_ended()
            if self._timers and self._timers[0][0] <= self._clock.monotonic():
                return heapq.heappop(self._timers)[2]
        return None

    def _drop_ended(self) -> None:
        while self._timers and self._timers[0][1] in self._ended:
            self._ended.discard(heapq.heappop(self._timers)[1])

    def _do(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001 - a fault in one instance's supervision must not end that of the others
            self.failures += 1
            _log.exception("supervision failed in %r", call)
