"""Things that happen later on a test's clock, in a thread of their own."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from iocmng.runtime.ports import Clock


class Patience:
    """Does what it is given when its time has come; the thread starts with the first.

    Args:
        clock: Whose seconds count.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wakeup = clock.wakeup()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._started = False
        self._closed = False

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        """Do `job` in `seconds`."""
        with self._lock:
            heapq.heappush(self._due, (self._clock.monotonic() + seconds, next(self._order), job))
            begin, self._started = not self._started, True
        if begin:
            self._clock.spawn(self._run, "fake links")
        else:
            self._wakeup.set()

    def close(self) -> None:
        """Forget what waits, and end."""
        self._closed = True
        self._wakeup.set()

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                now = self._clock.monotonic()
                job = heapq.heappop(self._due)[2] if self._due and self._due[0][0] <= now else None
                patience = self._due[0][0] - now if self._due else None
            if job is not None:
                job()
            else:
                self._wakeup.wait(patience)
