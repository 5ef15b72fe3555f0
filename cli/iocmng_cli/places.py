"""PVs of the host and PVs elsewhere behind one form: which a name means, and what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from iocmng.errors import IocmngError, LinkTimeout, NotFound
from iocmng.wire import PvReading, PvView, to_plain

if TYPE_CHECKING:
    from iocmng.client import Client

AT_ONCE = 8
NO_SUCH_PORT = "no-such-port"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A PV that is none of the host's, as the host's clients see it."""

    reading: PvReading

    @property
    def view(self) -> PvView:
        """In the form of the host's own; it has no unit, state names and limits."""
        return _shown(PvView(name=self.reading.pv_name, type="", record_type=""), self.reading)


Found = PvView | Elsewhere


def find(client: Client, name: str, timeout: float) -> Found:
    """The PV of a name: one of the host by full name or `INSTANCE:PORT`, else one elsewhere.

    Raises:
        NotFound: The host has none of that name, and nobody else answered within `timeout` seconds.
        LinkError: A name with a scheme that cannot be read.
    """
    own = find_own(client, name)
    if isinstance(own, PvView):
        return own
    try:
        return Elsewhere(client.pvs.get(full_name(client, name), timeout=timeout))
    except LinkTimeout as silent:
        if own is None:
            raise
        raise NotFound(f"{own.detail}, and {silent.detail}", hint=own.hint or silent.hint) from None


def find_own(client: Client, name: str) -> PvView | NotFound | None:
    """One of the host; why there is none, or None for a name with a scheme.

    Raises:
        NotFound: There is none, and nobody else can have that name either.
    """
    if "://" in name:
        return None
    try:
        return client.pv(name)
    except NotFound as unknown:
        if unknown.error_code == NO_SUCH_PORT:
            raise
        return unknown


def full_name(client: Client, name: str) -> str:
    """A name with its instance spelled out where it is a field of one of the host's PVs, else as it is."""
    record, dot, field = name.partition(".")
    if not dot or "://" in name:
        return name
    try:
        return f"{client.pv(record).name}.{field}"
    except NotFound:
        return name


def view_of(found: Found) -> PvView:
    """What to show of it."""
    return found.view if isinstance(found, Elsewhere) else found


def plain(found: Found) -> Any:
    """What to print of it as JSON; `name` is there for both."""
    return (
        {"name": found.reading.pv_name, **to_plain(found.reading)} if isinstance(found, Elsewhere) else found
    )


def each(names: Sequence[str], action: Callable[[str], Found]) -> list[Found | IocmngError]:
    """Several at a time, so that one that does not answer holds up no other; in the order of `names`."""

    def attempt(name: str) -> Found | IocmngError:
        try:
            return action(name)
        except IocmngError as error:
            return error

    if len(names) == 1:
        return [attempt(names[0])]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(attempt, names))


class Monitored:
    """The PVs of a stream that mixes the host's own with others.

    Args:
        client: The host.
        names: As people write them.

    Attributes:
        names: As the stream needs them.
        all_own: Whether the host has them all.
    """

    def __init__(self, client: Client, names: Sequence[str]) -> None:
        found = {name: find_own(client, name) for name in dict.fromkeys(names)}
        self._own = {own.name: own for own in found.values() if isinstance(own, PvView)}
        self.names = [
            own.name if isinstance(own, PvView) else full_name(client, name) for name, own in found.items()
        ]
        self.all_own = len(self._own) == len(found)

    def view(self, reading: PvReading) -> PvView:
        """What to show of a reading, with unit and state names where the host knows them."""
        known = self._own.get(reading.address)
        return _shown(known, reading) if known else Elsewhere(reading).view


def _shown(known: PvView, reading: PvReading) -> PvView:
    return replace(
        known,
        type=known.type or reading.type,
        value=reading.value,
        severity=reading.severity,
        status=reading.status,
        message=reading.message,
        timestamp=reading.timestamp,
    )
