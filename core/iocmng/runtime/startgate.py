"""Lets few instances at a time load and initialize: hundreds of threads would only take turns at the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from iocmng.runtime.ports import Undo

PLACES = 4
PATIENCE = 0.05


class StartGate:
    """First come, first served; whoever takes longer than `PATIENCE` keeps starting but gives its place to the next.

    On the supervising thread only.
    """

    def __init__(self, after: Callable[[float, Callable[[], None]], Undo]) -> None:
        self._after = after
        self._waiting: dict[object, Callable[[], None]] = {}
        self._inside: dict[object, Undo] = {}

    def enter(self, who: object, begin: Callable[[], None]) -> None:
        """Call `begin` as soon as there is a place."""
        self._waiting.pop(who, None)
        self._waiting[who] = begin
        self._admit()

    def leave(self, who: object) -> None:
        """Give up the place, or the wish for one."""
        self._waiting.pop(who, None)
        if undo := self._inside.pop(who, None):
            undo()
            self._admit()

    def _admit(self) -> None:
        while self._waiting and len(self._inside) < PLACES:
            who = next(iter(self._waiting))
            begin = self._waiting.pop(who)
            self._inside[who] = self._after(PATIENCE, partial(self.leave, who))
            begin()
