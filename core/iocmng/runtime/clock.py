"""The real clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from iocmng.runtime.ports import Wakeup


class LockWakeup:
    """A Wakeup on a bare lock: held means not set. A lock waits cheaper than an Event, which makes one per wait."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, timeout: float | None) -> bool:
        """Wait until set or `timeout` seconds have passed; return whether it was set, and clear it."""
        if timeout is None:
            return self._lock.acquire()
        if timeout <= 0:
            return self._lock.acquire(blocking=False)
        return self._lock.acquire(timeout=min(timeout, threading.TIMEOUT_MAX))

    def set(self) -> None:
        """Wake the waiting thread, or let its next wait return at once."""
        try:
            self._lock.release()
        except RuntimeError:
            # Already set: two setters met, and one wake is enough for both.
            return


class RealClock:
    """The system's clocks."""

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def wakeup(self) -> Wakeup:
        """A new thing to wait on."""
        return LockWakeup()

    def spawn(self, target: Callable[[], None], name: str) -> threading.Thread:
        """Start a daemon thread whose waits use this clock."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread
