"""One PvClient for PVs of this host and elsewhere, which follows records that come and go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from iocmng.errors import LinkError, LinkValueError
from iocmng.names import LinkAddress, Provider
from iocmng.runtime.ports import DEFAULT_TIMEOUT, PvClient, Undo
from iocmng.runtime.wiring.local import LocalPvs, record_name
from iocmng.values import Reading, Value


class _Subscribe(Protocol):
    def __call__(self, pv: str, callback: Callable[[Reading], None], /) -> Undo: ...


class _Route:
    """One subscription, wherever it leads at present."""

    __slots__ = ("callback", "direct", "pv", "turn", "undo")

    def __init__(self, pv: str, callback: Callable[[Reading], None], direct: bool) -> None:
        self.pv, self.callback, self.direct = pv, callback, direct
        self.turn = 0
        self.undo: Undo | None = None


class Routed:
    """Sends what concerns a record of this host to `local`, whatever its scheme, and everything else to `remote`.

    Args:
        local: The records of this host.
        remote: The client of PVs elsewhere; closed with this one.
    """

    def __init__(self, local: LocalPvs, remote: PvClient) -> None:
        self._local = local
        self.remote = remote
        self._lock = threading.Lock()
        self._routes: dict[str, list[_Route]] = {}

    def is_local(self, pv: str) -> bool:
        """Whether a PV is a record of this host; a field of one is reached over the network."""
        return self._local.serves(pv)

    def rebind(self, names: Iterable[str]) -> None:
        """Records of these full PV names have appeared or gone: subscriptions to them are led anew."""
        for name in names:
            with self._lock:
                routes = tuple(self._routes.get(name, ()))
            for route in routes:
                if route.undo is not None:
                    route.undo()
                self._lead(route)

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """See `PvClient.get`."""
        return self._client(pv).get(pv, timeout=timeout)

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """See `PvClient.get_many`."""
        here = [pv for pv in pvs if self.is_local(pv)]
        there = [pv for pv in pvs if pv not in here]
        found = dict(zip(here, self._local.get_many(here), strict=True))
        if there:
            found |= zip(there, self.remote.get_many(there, timeout=timeout), strict=True)
        return [found[pv] for pv in pvs]

    def ask(
        self, pv: str, answer: Callable[[Reading | LinkError], None], *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """See `PvClient.ask`."""
        self._client(pv).ask(pv, answer, timeout=timeout)

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """See `PvClient.put`."""
        client, address = self._writer(pv)
        client.put(address, value, timeout=timeout, wait=wait)

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        client, address = self._writer(pv)
        client.post(address, value, timeout=timeout)

    def send(
        self,
        pv: str,
        value: Value,
        done: Callable[[LinkError | LinkValueError | None], None],
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See `PvClient.send`."""
        client, address = self._writer(pv)
        client.send(address, value, done, timeout=timeout)

    def listen(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.listen`."""
        return self._subscribe(_Route(pv, callback, direct=True))

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.monitor`."""
        return self._subscribe(_Route(pv, callback, direct=False))

    def close(self) -> None:
        """See `PvClient.close`."""
        self._local.close()
        self.remote.close()

    def _client(self, pv: str) -> PvClient:
        return self._local if self._local.serves(pv) else self.remote

    def _writer(self, pv: str) -> tuple[PvClient, str]:
        if self._local.serves(pv):
            return self._local, pv
        if self._local.owns(pv):
            # libca writes fields of its own process past access security; what goes over PVA obeys it.
            return self.remote, str(LinkAddress(Provider.PVA, pv.rpartition("://")[2]))
        return self.remote, pv

    def _subscribe(self, route: _Route) -> Undo:
        name = record_name(route.pv)
        with self._lock:
            self._routes.setdefault(name, []).append(route)
        self._lead(route)

        def undo() -> None:
            with self._lock:
                routes = self._routes.get(name, [])
                if route not in routes:
                    return
                routes.remove(route)
                if not routes:
                    del self._routes[name]
                route.turn += 1
            if route.undo is not None:
                route.undo()

        return undo

    def _lead(self, route: _Route) -> None:
        with self._lock:
            route.turn += 1
            turn = route.turn

        client = self._client(route.pv)
        subscribe: _Subscribe = client.listen if route.direct else client.monitor
        if client is self.remote:
            # One more call for every event would be felt in the reaction time.
            route.undo = subscribe(route.pv, route.callback)
            return

        def callback(reading: Reading) -> None:
            # What the record said before it went belongs to the past, also when it is on its way.
            if route.turn == turn:
                route.callback(reading)

        route.undo = subscribe(route.pv, callback)
