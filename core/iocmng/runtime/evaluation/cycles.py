"""When an instance without code of its own is evaluated by the clock, and when its polled inputs are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from iocmng.runtime.schedule import Schedule
from iocmng.spec import Direction, InstanceSpec, LinkMode, Mode

if TYPE_CHECKING:
    from iocmng.runtime.wiring import InputLinks


class Cycles:
    """The rhythm of one run; times in seconds on the monotonic clock.

    A cycle begins with a read of all polled inputs that are due, and is ripe when those have answered that can.

    Args:
        spec: The instance.
        inputs: Its linked inputs, None without any.
        ticking: Evaluates at the instance's interval; else only reads polled inputs, at their own rate.
        wake: Has the instance looked at again; any thread.
    """

    def __init__(
        self, spec: InstanceSpec, inputs: InputLinks | None, wake: Callable[[], None], *, ticking: bool
    ) -> None:
        rates = [
            port.link.poll_rate or spec.interval
            for port in spec.ports
            if port.link is not None and port.direction is Direction.INPUT and port.link.mode is LinkMode.POLL
        ]
        self._inputs = inputs if rates else None
        self._every = min(rates, default=0.0)
        self._interval = spec.interval
        self._wake = wake
        self._ticking = ticking
        self._polls_alone = bool(rates) and spec.mode is Mode.REACTIVE
        self._schedule: Schedule | None = None
        self._next: float | None = None
        self._wanted = self._polling = self._answered = False
        self._turn = 0
        self._look = 0.0

    @property
    def polls(self) -> bool:
        """Whether there are polled inputs."""
        return self._inputs is not None

    @property
    def next(self) -> float | None:
        """When to look again, None for never, or for when a read is answered."""
        return None if self._polling else self._next

    def restart(self, now: float) -> None:
        """The first cycle is due now."""
        self._schedule = None
        # An answer that has come meanwhile, or comes yet, is one to a question of the past.
        self._turn += 1
        self._polling = self._answered = False
        self._next = now if self._ticking or self._polls_alone else None

    def want(self) -> None:
        """One cycle is wanted now, whatever the rhythm; any thread."""
        self._wanted = True

    def ripe(self, now: float) -> bool:
        """Whether it is time to evaluate; begins the reads of a cycle that is due or wanted."""
        if self._answered:
            self._answered = self._polling = False
            return True
        if self._polling:
            return False
        if self._wanted:
            self._wanted = False
            return self._begin()
        if self._next is None or now < self._next:
            return False
        if self._polls_alone and self._inputs is not None:
            self._next = max(self._next + self._every, now)
            self._inputs.poll(self._wake)
            return False
        if self._schedule is None:
            self._schedule = Schedule(self._interval, now)
        return self._begin()

    def _begin(self) -> bool:
        if self._inputs is None:
            return True
        self._polling = True
        self._inputs.poll(partial(self._on_answered, self._turn))
        return False

    def watch(self, now: float) -> float | None:
        """While nothing is evaluated: read polled inputs, so that they show what is; return when to come again."""
        if self._inputs is None:
            return None
        if now >= self._look:
            self._look = now + self._every
            self._inputs.poll(self._wake)
        return self._look

    def over(self, now: float) -> int:
        """A cycle has been evaluated; return how many were missed because it took too long."""
        if self._schedule is None:
            return 0
        self._next, missed = self._schedule.next(now)
        return missed

    def _on_answered(self, turn: int) -> None:
        if turn == self._turn:
            self._answered = True
            self._wake()
