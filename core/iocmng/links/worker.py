"""A thread that does what it is given, one after another, now or later."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

logger = logging.getLogger(__name__)

Job = Callable[[], object]


class Worker:
    """One daemon thread with a queue and timers.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._timers: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Do `job` after all that was submitted before; from any thread, never blocks."""
        self._queue.put(job)

    def after(self, seconds: float, job: Job) -> None:
        """Do `job` in `seconds`; to be called by this thread's own jobs."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), job))

    def close(self, timeout: float = 2.0) -> None:
        """Finish what was submitted, forget the timers and end; wait up to `timeout` seconds for that."""
        self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            try:
                job = self._queue.get(timeout=self._until_next_timer())
            except Empty:
                _, _, job = heapq.heappop(self._timers)
            if job is None:
                return
            try:
                job()
            except Exception:
                # Callbacks of plugin authors run here; the next one must not suffer.
                logger.exception("%s: a callback failed", self._thread.name)

    def _until_next_timer(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
