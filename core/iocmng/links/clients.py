"""One PvClient for links with and without a scheme; a client library is imported when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from iocmng.errors import LinkError
from iocmng.names import LinkAddress, Provider, parse_link
from iocmng.runtime.ports import DEFAULT_TIMEOUT, PvClient, Undo
from iocmng.values import Reading, Value

_CLOSED = "the link clients are closed"


def make_client(provider: Provider) -> PvClient:
    """Return a new client of one provider, which takes PV names without a scheme."""
    if provider is Provider.CA:
        from iocmng.links.ca import CaClient

        return CaClient()
    from iocmng.links.pva import PvaClient

    return PvaClient()


class Links:
    """A PvClient whose PVs may be written `ca://NAME`, `pva://NAME` or `NAME`.

    Args:
        default: The provider of names without a scheme.
        make: Makes the client of a provider.
    """

    def __init__(
        self, default: Provider = Provider.PVA, make: Callable[[Provider], PvClient] = make_client
    ) -> None:
        self.default = default
        self._make = make
        self._clients: dict[Provider, PvClient] = {}
        self._lock = threading.Lock()
        self._closed = False

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """See `PvClient.get`."""
        address = self.address(pv)
        return self._client(address.provider).get(address.pv, timeout=timeout)

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """See `PvClient.get_many`; both providers are asked at the same time."""
        addresses = [self.address(pv) for pv in pvs]
        providers = list(dict.fromkeys(address.provider for address in addresses))

        def ask(provider: Provider) -> dict[LinkAddress, Reading | LinkError]:
            mine = [address for address in addresses if address.provider is provider]
            answers = self._client(provider).get_many([address.pv for address in mine], timeout=timeout)
            return dict(zip(mine, answers, strict=True))

        if len(providers) < 2:
            outcomes = {
                address: answer for provider in providers for address, answer in ask(provider).items()
            }
        else:
            with ThreadPoolExecutor(len(providers)) as pool:
                first, second = pool.map(ask, providers)
            outcomes = first | second
        return [outcomes[address] for address in addresses]

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """See `PvClient.put`."""
        address = self.address(pv)
        self._client(address.provider).put(address.pv, value, timeout=timeout, wait=wait)

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        address = self.address(pv)
        client = self._clients.get(address.provider)
        if client is not None:
            client.post(address.pv, value, timeout=timeout)
            return
        if self._closed:
            raise LinkError(_CLOSED)
        # The import of a client library takes half a second, and the caller is not to wait.
        threading.Thread(
            target=self._first_post, args=(address, value, timeout), name="links start", daemon=True
        ).start()

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.monitor`."""
        address = self.address(pv)
        return self._client(address.provider).monitor(address.pv, callback)

    def close(self) -> None:
        """See `PvClient.close`."""
        with self._lock:
            self._closed = True
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()

    def address(self, pv: str) -> LinkAddress:
        """Return provider and name of a link as written.

        Raises:
            BadInput: It names no PV or an unknown scheme.
        """
        return parse_link(pv, self.default)

    def _first_post(self, address: LinkAddress, value: Value, timeout: float) -> None:
        # Closed meanwhile: a posted value that cannot be written is dropped.
        with suppress(LinkError):
            self._client(address.provider).post(address.pv, value, timeout=timeout)

    def _client(self, provider: Provider) -> PvClient:
        with self._lock:
            if self._closed:
                raise LinkError(_CLOSED)
            if provider not in self._clients:
                self._clients[provider] = self._make(provider)
            return self._clients[provider]
