"""Subscriptions that outlive a request: each belongs to the caller that made it, and ends when nobody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from iocmng.api.access import ANONYMOUS, Caller
from iocmng.api.lookup import shown
from iocmng.errors import NotFound, Refused
from iocmng.runtime.control import PvAccess
from iocmng.runtime.ports import Undo
from iocmng.wire import PvReading

PER_CALLER = 100
IN_ALL = 1000
IDLE = 600.0
"""Seconds without anybody who asks after which a subscription ends: its caller may be gone without a word."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One of them; `asked` is when its caller last asked for it, on the loop's clock."""

    key: str
    pv_name: str
    asked: float
    latest: PvReading | None = None
    updates: int = 0
    undo: Undo = field(default=lambda: None, repr=False)

    def take(self, reading: PvReading) -> None:
        """A new reading; called on a thread of the client, one at a time."""
        self.latest = reading
        self.updates += 1


class Subscriptions:
    """All of them; used on the loop's thread.

    Args:
        access: Where readings come from.
        per_caller: How many one caller may have.
        in_all: How many there may be.
        idle: Seconds without being asked for after which one ends.
    """

    def __init__(
        self,
        access: PvAccess,
        *,
        per_caller: int = PER_CALLER,
        in_all: int = IN_ALL,
        idle: float = IDLE,
    ) -> None:
        self._access = access
        self._per_caller = per_caller
        self._in_all = in_all
        self._idle = idle
        self._known: dict[str, dict[str, Subscription]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def open(self, caller: Caller, pv_name: str, key: str) -> Subscription:
        """Subscribe; an earlier subscription of the caller with that key ends.

        Raises:
            Refused: There are too many.
            BadInput, NotFound: The name is none.
        """
        owner = _owner(caller)
        self._admit(self._known.get(owner, {}), key)
        made = Subscription(key, pv_name, self._now())
        made.undo = self._access.monitor(pv_name, made.take)
        mine = self._known.setdefault(owner, {})
        if key in mine:
            mine[key].undo()
        mine[key] = made
        if self._sweeping is None:
            self._sweep()
        return made

    def close(self, caller: Caller, key: str) -> Subscription:
        """End one of the caller's.

        Raises:
            NotFound: The caller has none of that key.
        """
        found = self.get(caller, key)
        self._drop(_owner(caller), found)
        return found

    def get(self, caller: Caller, key: str) -> Subscription:
        """One of the caller's.

        Raises:
            NotFound: The caller has none of that key.
        """
        found = self._known.get(_owner(caller), {}).get(key)
        if found is None:
            raise NotFound(
                f"no active monitor with key {shown(key)}",
                hint=f"GET /api/v1/pvs/monitors names yours; one that nobody asks for ends after {self._idle:g} s",
            )
        found.asked = self._now()
        return found

    def of(self, caller: Caller) -> Mapping[str, Subscription]:
        """All of the caller's."""
        mine = self._known.get(_owner(caller), {})
        for one in mine.values():
            one.asked = self._now()
        return mine

    def expires(self, one: Subscription) -> float:
        """In how many seconds it ends when nobody asks for it."""
        return max(0.0, one.asked + self._idle - self._now())

    def _admit(self, mine: Mapping[str, Subscription], key: str) -> None:
        many = len(mine) >= self._per_caller
        if key not in mine and (many or sum(map(len, self._known.values())) >= self._in_all):
            whose, limit = ("you have", self._per_caller) if many else ("there are", self._in_all)
            raise Refused(
                f"{whose} {limit} monitors, and more are not kept",
                hint="DELETE those that nobody reads; GET /api/v1/pvs/monitor streams PVs without keeping any",
                code="too-many-monitors",
            )

    def _drop(self, owner: str, one: Subscription) -> None:
        mine = self._known[owner]
        del mine[one.key]
        if not mine:
            del self._known[owner]
        one.undo()

    def _sweep(self) -> None:
        """End those that nobody asks for, and come back when the next one may be due."""
        for owner, one in list(self._all()):
            if not self.expires(one):
                self._drop(owner, one)
        due = [self.expires(one) for _, one in self._all()]
        self._sweeping = asyncio.get_running_loop().call_later(min(due), self._sweep) if due else None

    def _all(self) -> Iterator[tuple[str, Subscription]]:
        for owner, mine in self._known.items():
            for one in mine.values():
                yield owner, one

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _owner(caller: Caller) -> str:
    """A token's name, which holds no @, or the address of a caller without one."""
    return f"{ANONYMOUS}@{caller.peer}" if caller.name == ANONYMOUS else caller.name
