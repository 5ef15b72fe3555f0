"""PVs wherever they are, for the admin endpoint: own ones inside the process, others on the host's link clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from iocmng.errors import BadInput, LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.host.own_pvs import OwnPvs, record_name
from iocmng.names import LinkAddress, Provider, parse_link
from iocmng.runtime.events import EventBus
from iocmng.runtime.ports import PvClient, RecordPort, Undo
from iocmng.spec import RecordSpec
from iocmng.values import PortType, Reading
from iocmng.wire import Actor, EventKind, PvReading, revive

SLACK = 1.0
"""Seconds beyond a timeout after which a client that says nothing is given up."""
SHOWN = 60

T = TypeVar("T")


class HostPvs:
    """Implements PvAccess.

    Args:
        client: PVs elsewhere.
        default: The provider of names without a scheme.
        own: PVs of this host.
        records: Their records.
        put_own: Writes one of them.
        events: Hears of writes.
    """

    def __init__(
        self,
        client: PvClient,
        default: Provider,
        *,
        own: OwnPvs,
        records: RecordPort,
        put_own: Callable[[str, Any, Actor], object],
        events: EventBus,
    ) -> None:
        self._client = client
        self._default = default
        self._own = own
        self._records = records
        self._put_own = put_own
        self._events = events

    @property
    def provider(self) -> str:
        """`ca` or `pva`."""
        return self._default.value

    def address(self, pv: str) -> str:
        """What a name means."""
        place = self._locate(pv)
        return place.name if isinstance(place, RecordSpec) else str(place)

    async def get(self, pv: str, timeout: float) -> PvReading:
        """Ask for value and quality now."""
        place = self._locate(pv)
        if isinstance(place, RecordSpec):
            return _view(pv, place, self._records.record(place.name).read())
        return _view(pv, place, await self._asked(str(place), timeout))

    async def put(self, pv: str, value: Any, timeout: float, actor: Actor) -> None:
        """Write a value, and return when the server has taken it."""
        place = self._locate(pv, to_write=True)
        if isinstance(place, RecordSpec):
            numeric = place.type in (PortType.FLOAT, PortType.ARRAY)
            self._put_own(place.name, revive(value) if numeric else value, actor)
            return
        address = str(place)
        _check(address, value)
        answer: _Answer[LinkError | LinkValueError | None] = _Answer(address, timeout)
        self._client.send(address, value, answer.give, timeout=timeout)
        outcome = await answer.within(timeout + SLACK)
        if outcome is not None:
            raise outcome
        text = repr(value)
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        self._events.publish(
            EventKind.AUDIT, text=f"put {address}: {shown}", data={"pv": address, "new": shown}, actor=actor
        )

    def monitor(self, pv: str, tell: Callable[[PvReading], None]) -> Undo:
        """Call `tell` now and after each change."""
        place = self._locate(pv)

        def hear(reading: Reading) -> None:
            tell(_view(pv, place, reading))

        if isinstance(place, RecordSpec):
            return self._records.watch(place.name, hear)
        return self._client.listen(str(place), hear)

    def _locate(self, pv: str, *, to_write: bool = False) -> RecordSpec | LinkAddress:
        address = parse_link(pv, self._default)
        spec = self._own.find(record_name(address.pv))
        if spec is not None:
            return spec
        if not self._own.claims(address.pv):
            return address
        if self._own.find(address.pv.partition(".")[0]) is None:
            return self._own.get(address.pv)
        # libca writes records of its own process past access security; what goes over PVA obeys it.
        return LinkAddress(Provider.PVA, address.pv) if to_write else address

    async def _asked(self, address: str, timeout: float) -> Reading:
        begun = asyncio.get_running_loop().time()
        answer: _Answer[Reading | LinkError] = _Answer(address, timeout)
        self._client.ask(address, answer.give, timeout=timeout)
        outcome = await answer.within(timeout + SLACK)
        if isinstance(outcome, Reading):
            return outcome
        if isinstance(outcome, (LinkTimeout, LinkRefused)):
            raise outcome
        # A client refuses at once what it knows to be away; here somebody has time until it comes back.
        back: _Answer[Reading] = _Answer(address, timeout)
        undo = self._client.listen(address, lambda reading: back.give(reading) if reading.connected else None)
        try:
            return await back.within(begun + timeout - asyncio.get_running_loop().time())
        finally:
            undo()


class _Answer(asyncio.Future[T]):
    """What a client will tell on a thread of its own, once or more; the first counts."""

    def __init__(self, address: str, timeout: float) -> None:
        super().__init__()
        self._unanswered = LinkTimeout(
            f"{address} did not answer within {timeout:g} s",
            hint="is its server running, and in the address list of this host?",
        )

    def give(self, outcome: T) -> None:
        """Tell it; any thread."""
        # The loop may have ended while the client still closes.
        with suppress(RuntimeError):
            self.get_loop().call_soon_threadsafe(self._settle, outcome)

    def _settle(self, outcome: T) -> None:
        if not self.done():
            self.set_result(outcome)

    async def within(self, seconds: float) -> T:
        """Wait for it.

        Raises:
            LinkTimeout: It was not told in time.
        """
        try:
            return await asyncio.wait_for(self, seconds)
        except TimeoutError:
            raise self._unanswered from None


def _check(address: str, value: Any) -> None:
    """Refuse what no PV can take: JSON has more forms than values have."""
    elements = value if isinstance(value, list) else [value]
    if not elements or not all(isinstance(element, (bool, int, float, str)) for element in elements):
        kind = {type(None): "null", dict: "an object", list: "such a list"}.get(type(value), repr(value))
        raise BadInput(
            f"{address} cannot take {kind}", hint="a number, a text, or a flat list of these", code="value"
        )


def _view(pv: str, place: RecordSpec | LinkAddress, reading: Reading) -> PvReading:
    own = place if isinstance(place, RecordSpec) else None
    return PvReading(
        pv_name=pv,
        address=own.name if own else str(place),
        local=own is not None,
        connected=reading.connected,
        type=own.type.value if own else _word(reading.value),
        value=reading.value,
        severity=reading.severity.name,
        status=reading.status.name,
        message=reading.message,
        timestamp=reading.timestamp,
    )


def _word(value: Any) -> str:
    for kind, word in ((bool, PortType.BOOL), (int, PortType.INT), (float, PortType.FLOAT)):
        if isinstance(value, kind):
            return word.value
    if isinstance(value, str):
        return PortType.STRING.value
    return "" if value is None else PortType.ARRAY.value
