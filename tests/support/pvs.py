"""PVs of a host in memory, and PVs elsewhere that a test serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from iocmng.names import Provider, parse_link
from iocmng.runtime.ports import Undo
from iocmng.testing.links import FakeLinks
from iocmng.values import Reading
from iocmng.wire import Actor, PvReading


class MemoryValues(dict[str, Any]):
    """Values of a host's own PVs by full name, which tell who listens when they are set."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: dict[str, list[Callable[[Reading], None]]] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        for listener in self.listeners.get(name, ()):
            listener(Reading(value))


class MemoryPvs:
    """A PvAccess over a host in memory and PVs elsewhere that a test serves, as `ca://NAME` or `pva://NAME`.

    Attributes:
        elsewhere: Serves them.
        pause: Awaited before each answer, so that a test can hold it up.
    """

    provider = "pva"

    def __init__(self, own: MemoryValues, put_own: Callable[[str, Any, Actor], object]) -> None:
        self._own = own
        self._put_own = put_own
        self.elsewhere = FakeLinks()
        self.pause: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    def address(self, pv: str) -> str:
        """Own ones by their full name."""
        found = parse_link(pv, Provider.PVA)
        return found.pv if found.pv in self._own else str(found)

    async def get(self, pv: str, timeout: float) -> PvReading:
        """Ask."""
        await self.pause()
        address = self.address(pv)
        if address in self._own:
            return self._read(pv, Reading(self._own[address]))
        return self._read(pv, self.elsewhere.get(address, timeout=timeout))

    async def put(self, pv: str, value: Any, timeout: float, actor: Actor) -> None:
        """Write."""
        await self.pause()
        address = self.address(pv)
        if address in self._own:
            self._put_own(address, value, actor)
        else:
            self.elsewhere.put(address, value, timeout=timeout)

    def monitor(self, pv: str, tell: Callable[[PvReading], None]) -> Undo:
        """Subscribe."""
        address = self.address(pv)

        def hear(reading: Reading) -> None:
            tell(self._read(pv, reading))

        if address not in self._own:
            return self.elsewhere.monitor(address, hear)
        self._own.listeners.setdefault(address, []).append(hear)
        hear(Reading(self._own[address]))
        return lambda: self._own.listeners[address].remove(hear)

    def _read(self, pv: str, reading: Reading) -> PvReading:
        address = self.address(pv)
        words = {float: "float", int: "int", str: "string", type(None): ""}
        return PvReading(
            pv_name=pv,
            address=address,
            local=address in self._own,
            connected=reading.connected,
            type=words.get(type(reading.value), "array"),
            value=reading.value,
            severity=reading.severity.name,
            status=reading.status.name,
            message=reading.message,
            timestamp=reading.timestamp,
        )
