"""A clock that only moves when the test says so; threads that wait on it are known to be at rest."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from iocmng.runtime.leaving import Leaving
from iocmng.runtime.ports import Wakeup

PATIENCE = 10.0
"""Real seconds in which code under test has to come to rest between two steps."""


class VirtualWakeup:
    """A Wakeup of a virtual clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.is_set = False
        self.waiting = False
        self.deadline: float | None = None
        self.counted = False

    def wait(self, timeout: float | None) -> bool:
        """Wait until set or the clock has moved on by `timeout` seconds; return whether it was set, and clear it."""
        return self._clock.wait(self, timeout)

    def set(self) -> None:
        """Wake the waiting thread, or let its next wait return at once."""
        self._clock.set(self)


class VirtualClock:
    """Time that stands still until `advance`."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._now = 0.0
        self._condition = threading.Condition()
        self._busy = 0
        self._waiters: list[VirtualWakeup] = []
        self._threads: list[threading.Thread] = []

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._start + self._now

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._now

    def wakeup(self) -> Wakeup:
        """A new thing to wait on."""
        return VirtualWakeup(self)

    def spawn(self, target: Callable[[], None], name: str) -> threading.Thread:
        """Start a thread that counts as busy until it waits on this clock or ends."""

        def body() -> None:
            try:
                target()
            finally:
                with self._condition:
                    self._busy -= 1
                    self._condition.notify_all()

        thread = threading.Thread(target=body, name=name, daemon=True)
        with self._condition:
            self._busy += 1
            # One that has no identity yet is about to be started by another thread.
            living = [known for known in self._threads if known.ident is None or known.is_alive()]
            self._threads = [*living, thread]
        thread.start()
        return thread

    def wait(self, wakeup: VirtualWakeup, timeout: float | None) -> bool:
        """Wait on behalf of `wakeup`."""
        with self._condition:
            if not wakeup.is_set and (timeout is None or timeout > 0):
                wakeup.deadline = None if timeout is None else self._now + timeout
                wakeup.counted = threading.current_thread() in self._threads
                wakeup.waiting = True
                self._waiters.append(wakeup)
                self._busy -= wakeup.counted
                self._condition.notify_all()
                while wakeup.waiting:
                    self._condition.wait()
            was_set, wakeup.is_set = wakeup.is_set, False
            return was_set

    def set(self, wakeup: VirtualWakeup) -> None:
        """Set a wakeup."""
        with self._condition:
            wakeup.is_set = True
            self._wake(wakeup)

    def _wake(self, wakeup: VirtualWakeup) -> None:
        """Let a waiter go on; it counts as busy from here, not from when its thread gets the processor."""
        if wakeup.waiting:
            wakeup.waiting = False
            self._waiters.remove(wakeup)
            self._busy += wakeup.counted
            self._condition.notify_all()

    def next_deadline(self) -> float | None:
        """When the first waiting thread wants to go on."""
        with self._condition:
            return min((one.deadline for one in self._waiters if one.deadline is not None), default=None)

    def move_to(self, now: float) -> None:
        """Set the time and wake whoever waited for it."""
        with self._condition:
            self._now = max(self._now, now)
            for wakeup in list(self._waiters):
                if wakeup.deadline is not None and wakeup.deadline <= self._now:
                    self._wake(wakeup)

    def rest(self) -> None:
        """Wait until every thread waits on this clock or has ended.

        Raises:
            TimeoutError: One has not within ten real seconds: its code waits for something else.
        """
        end = time.monotonic() + PATIENCE
        with self._condition:
            while self._busy:
                if not self._condition.wait(end - time.monotonic()):
                    names = ", ".join(thread.name for thread in self._threads if thread.is_alive())
                    raise TimeoutError(
                        f"code under test is not at rest after {PATIENCE:g} s (threads: {names}); "
                        "it has to wait with self.sleep(), not with time.sleep() or on a socket"
                    )


class VirtualAuthorLoop:
    """Runs coroutines to their end on the instance's own thread; `asleep` waits on the virtual clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._running = threading.local()

    def run(self, work: Coroutine[Any, Any, Any], leaving: Leaving, grace: float) -> Any:
        """Run a coroutine to its end."""
        self._running.here = True
        try:
            return asyncio.run(work)
        finally:
            self._running.here = False

    async def sleep(self, seconds: float, leaving: Leaving) -> bool:
        """Wait on the virtual clock; False as soon as `leaving`."""
        wakeup = self._clock.wakeup()
        undo = leaving.subscribe(wakeup.set)
        wakeup.wait(seconds)
        undo()
        return not leaving

    def owns_this_thread(self) -> bool:
        """Whether the caller is a coroutine."""
        return bool(getattr(self._running, "here", False))
