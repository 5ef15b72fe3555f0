"""PVs of a host in memory, and PVs elsewhere that a test serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from iocmng.names import Provider, parse_link
from iocmng.runtime.ports import Undo
from iocmng.testing.links import FakeLinks
from iocmng.values import Reading
from iocmng.wire import Actor, PvReading


class MemoryPvs:
    """A PvAccess over a host in memory and PVs elsewhere that a test serves, as `ca://NAME` or `pva://NAME`.

    Attributes:
        elsewhere: Serves them.
        pause: Awaited before each answer, so that a test can hold it up.
    """

    provider = "pva"

    def __init__(self, own: Mapping[str, Any], put_own: Callable[[str, Any, Actor], object]) -> None:
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
        """Subscribe, elsewhere only."""
        return self.elsewhere.monitor(self.address(pv), lambda reading: tell(self._read(pv, reading)))

    def _read(self, pv: str, reading: Reading) -> PvReading:
        address = self.address(pv)
        words = {float: "float", int: "int", str: "string", list: "array", type(None): ""}
        return PvReading(
            pv_name=pv,
            address=address,
            local=address in self._own,
            connected=reading.connected,
            type=words[type(reading.value)],
            value=reading.value,
            severity=reading.severity.name,
            status=reading.status.name,
            message=reading.message,
            timestamp=reading.timestamp,
        )
