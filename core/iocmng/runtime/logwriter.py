"""A thread that takes log lines to where they are slow to write, so that whoever logs never waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from iocmng.runtime.clock import LockWakeup
from iocmng.wire import LogLine

MAX_QUEUED = 16 * 1024 * 1024
Entry = tuple[str, LogLine]


class LogWriter:
    """A bounded queue and the one thread that empties it; beyond the bound, lines are dropped and counted."""

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Entry]], tuple[int, str]],
        on_problem: Callable[[str], None],
        *,
        max_queued: int = MAX_QUEUED,
    ) -> None:
        """Start the thread `name`.

        `write` takes a batch and says how many lines it lost, and why; `on_problem` hears of the first loss
        and of the first success after it. `max_queued` is in characters.
        """
        self._write = write
        self._on_problem = on_problem
        self._max_queued = max_queued
        self._entries: deque[Entry] = deque()
        self._queued = 0
        self._overflowed = 0
        self._lost = 0
        self._failing = False
        self._closing = False
        self._lock = threading.Lock()
        self._wakeup = LockWakeup()
        self._idle = threading.Condition(self._lock)
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Lines that were never written, since the start."""
        return self._lost + self._overflowed

    def put(self, entry: Entry) -> None:
        """Take a line; never waits for the disk, never raises."""
        with self._lock:
            if self._closing or self._queued > self._max_queued:
                self._overflowed += 1
                return
            self._queued += len(entry[1].text)
            self._entries.append(entry)
        self._wakeup.set()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was taken is written or lost; return whether within `timeout` seconds."""
        with self._lock:
            return self._idle.wait_for(lambda: not self._entries and not self._busy, timeout)

    def close(self, timeout: float) -> bool:
        """Write what is left and end the thread; return whether that came true within `timeout` seconds."""
        done = self.flush(timeout)
        with self._lock:
            self._closing = True
        self._wakeup.set()
        if done:
            self._thread.join(timeout)
        return done and not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wakeup.wait(None)
            with self._lock:
                batch = tuple(self._entries)
                self._entries.clear()
                self._queued = 0
                self._busy = bool(batch)
                if not batch and self._closing:
                    return
            if batch:
                self._pass_on(batch)
                with self._lock:
                    self._busy = False
                    self._idle.notify_all()

    def _pass_on(self, batch: Sequence[Entry]) -> None:
        lost, problem = self._write(batch)
        self._lost += lost
        if problem and not self._failing:
            self._failing = True
            self._on_problem(f"log lines are lost: {problem}")
        elif self._failing and not problem:
            self._failing = False
            self._on_problem(f"log lines are written again, {self.lost} were lost since the start")
