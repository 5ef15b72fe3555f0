"""PVs through a host: lists of its own ones, and any PV that it reaches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from iocmng.client.stream import follow
from iocmng.client.transport import Params, Transport
from iocmng.wire import PvReading, PvView, from_plain, revive, to_plain

TIMEOUT = 5.0
_NUMERIC = frozenset({"float", "array"})


class Pvs:
    """PVs of the host and elsewhere: `client.pvs("*:STATUS")` lists the host's own, the methods reach any.

    A name is a full PV name, `ca://NAME` or `pva://NAME`. A PV elsewhere without a scheme is reached over the
    host's own provider; one of the host itself is read and written inside it. The methods raise LinkTimeout when
    the PV does not answer, LinkRefused when its server refuses, LinkValueError when it cannot take a value.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __call__(self, pattern: str = "*") -> Sequence[PvView]:
        """The host's own PVs: of an instance by its name, or by a shell pattern of full names."""
        answer = self._transport.request("GET", "/host/pvs", params={"pattern": pattern})
        return [pv_view(entry) for entry in answer["pvs"]]

    def get(self, name: str, *, timeout: float = TIMEOUT) -> PvReading:
        """What a PV shows now, asked for at most `timeout` seconds."""
        return _reading(self._asked("get", {"pv_name": name, "timeout": timeout}))

    def put(self, name: str, value: Any, *, timeout: float = TIMEOUT) -> None:
        """Write a value, and return when the PV's server has taken it, within `timeout` seconds."""
        self._asked("put", {"pv_name": name, "value": to_plain(value), "timeout": timeout})

    def monitor(
        self, names: Iterable[str], *, period: float = 0.1, patience: float | None = None
    ) -> Iterator[PvReading]:
        """Each PV now, and its latest reading after changes, at most every `period` seconds.

        After an interruption it goes on; `patience` is how many seconds without the host it takes to give up, None for
        never. The host keeps the subscriptions as long as this is read, no longer.
        """
        params: Params = {"pv": [*names], "period": period}
        for message in follow(self._transport, "/pvs/monitor", params, patience=patience):
            yield _reading(message.data)

    @property
    def provider(self) -> str:
        """`ca` or `pva`: how the host reaches PVs elsewhere that are named without a scheme."""
        return str(self._transport.request("GET", "/pvs/provider")["provider"])

    def _asked(self, what: str, body: Mapping[str, Any]) -> Any:
        return self._transport.request("POST", f"/pvs/{what}", body=body, wait=body["timeout"])


def pv_view(entry: Mapping[str, Any]) -> PvView:
    """A PV of the host as an answer tells it."""
    return from_plain(PvView, _revived(entry))


def _reading(entry: Mapping[str, Any]) -> PvReading:
    return from_plain(PvReading, _revived(entry))


def _revived(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**entry, "value": revive(entry.get("value"))} if entry.get("type") in _NUMERIC else entry
