"""What links do later: one thread for all of them, on the clock of the host or of a test."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from iocmng.runtime.ports import Clock

_log = logging.getLogger("iocmng.links")


class Timers:
    """Does what it is given when its time has come; the thread starts with the first job.

    Args:
        clock: Whose seconds count.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wakeup = clock.wakeup()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._running = self._closed = False

    def after(self, seconds: float, job: Callable[[], None]) -> None:
        """Do `job` in `seconds`; any thread, never blocks."""
        entry = (self._clock.monotonic() + seconds, next(self._order), job)
        with self._lock:
            if self._closed:
                return
            heapq.heappush(self._due, entry)
            first = self._due[0] is entry
            begin, self._running = not self._running, True
        if begin:
            self._clock.spawn(self._run, "iocmng-links")
        elif first:
            self._wakeup.set()

    def close(self) -> None:
        """Forget what waits, and end the thread."""
        with self._lock:
            self._closed = True
            self._due.clear()
        self._wakeup.set()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                wait = self._due[0][0] - self._clock.monotonic() if self._due else None
                job = heapq.heappop(self._due)[2] if wait is not None and wait <= 0 else None
            if job is None:
                self._wakeup.wait(wait)
                continue
            try:
                job()
            except Exception:  # noqa: BLE001 - a border: jobs call clients, and one fault must not stop all links
                _log.exception("a job of the links failed")
