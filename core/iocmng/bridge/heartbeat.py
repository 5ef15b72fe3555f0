"""The heartbeat of a bridge task: a record of the other IOC, toggled each second from a thread of its own."""

from __future__ import annotations

import logging
from typing import Protocol

from iocmng.bridge.pvio import BridgeIO
from iocmng.runtime.ports import Clock
from iocmng.spec.handshake import BEAT


class Watched(Protocol):
    """The task whose heart it is; called on the heartbeat's thread."""

    def idle(self) -> float:
        """Seconds without the progress that is expected."""

    def beaten(self) -> bool:
        """A second has passed; whether to go on."""

    def stuck(self, reason: str) -> None:
        """So many beats were missed in a row, and why; "" when they are back."""


class Heartbeat:
    """Beats while its task makes progress, and says when too many beats in a row failed or were withheld.

    Args:
        pv: The record.
        pvs: Writes it, over a connection of its own.
        clock: Makes the thread.
        watched: The task.
        limit: Seconds without progress after which it does not beat.
        allowed: Beats that may be missed in a row.
        logger: The task's log.
    """

    def __init__(
        self,
        pv: str,
        pvs: BridgeIO,
        clock: Clock,
        watched: Watched,
        *,
        limit: float,
        allowed: int,
        logger: logging.Logger,
    ) -> None:
        self._pv, self._pvs, self._clock, self._watched = pv, pvs, clock, watched
        self._limit, self._allowed, self._logger = limit, allowed, logger
        self._wakeup = clock.wakeup()
        self._ended = False
        self._value = False
        self._missed = 0
        self._told = False

    def start(self, name: str) -> None:
        """Begin to beat."""
        self._clock.spawn(self._run, name)

    def close(self) -> None:
        """Beat no more."""
        self._ended = True
        self._wakeup.set()

    def _run(self) -> None:
        due = self._clock.monotonic()
        while not self._ended:
            if self._watched.beaten():
                self._beat()
            else:
                self._ended = True
            # A beat that took longer than a second is followed by the next at once, not by those it cost.
            due = max(due + BEAT, self._clock.monotonic())
            while not self._ended and (rest := due - self._clock.monotonic()) > 0:
                self._wakeup.wait(rest)
        self._pvs.close()

    def _beat(self) -> None:
        idle = self._watched.idle()
        if idle >= self._limit:
            self._miss(f"no progress for {idle:.0f} s, heartbeats withheld")
            return
        self._value = not self._value
        if self._pvs.pvput({self._pv: int(self._value)}, timeout=BEAT):
            self._missed = 0
            if self._told:
                self._told = False
                self._watched.stuck("")
        else:
            self._miss(f"{self._pv} does not take heartbeats")

    def _miss(self, why: str) -> None:
        self._missed += 1
        words = f"{why} ({self._missed} of {self._allowed})"
        if self._missed == 1 or self._missed == self._allowed:
            self._logger.warning("%s", words)
        if self._missed >= self._allowed and not self._told:
            self._told = True
            self._watched.stuck(f"{why}, {self._missed} in a row")
