"""Works the agenda off on the host's asyncio loop."""

from __future__ import annotations

import asyncio
import threading

from iocmng.runtime.agenda import Agenda
from iocmng.runtime.ports import Clock


class Pump:
    """Runs what is due on the loop's thread; many wakes at once are one run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._lock = threading.Lock()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self.agenda = Agenda(clock, self._wake)

    def _wake(self) -> None:
        """Any thread."""
        with self._lock:
            if self._scheduled or self._loop.is_closed():
                return
            self._scheduled = True
        self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        with self._lock:
            self._scheduled = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.agenda.run_due()
        due = self.agenda.next_due()
        if due is not None:
            self._timer = self._loop.call_later(max(0.0, due - self._clock.monotonic()), self._run)
