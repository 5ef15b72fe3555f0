"""One PvClient for links with and without a scheme; a client library is imported when it is first needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from iocmng.errors import LinkError, LinkValueError
from iocmng.names import LinkAddress, Provider, parse_link
from iocmng.runtime.ports import DEFAULT_TIMEOUT, PvClient, Undo
from iocmng.values import Reading, Value

_log = logging.getLogger(__name__)
_CLOSED = "the link clients are closed"

Job = Callable[[PvClient | LinkError], None]


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
        self._waiting: dict[Provider, list[Job]] = {}
        self._lock = threading.Lock()
        self._making = {provider: threading.Lock() for provider in Provider}
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

    def ask(
        self, pv: str, answer: Callable[[Reading | LinkError], None], *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """See `PvClient.ask`."""
        address = self.address(pv)

        def job(client: PvClient | LinkError) -> None:
            try:
                _usable(client).ask(address.pv, answer, timeout=timeout)
            except LinkError as error:
                answer(error)

        self._when_ready(address.provider, job)

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        address = self.address(pv)

        def job(client: PvClient | LinkError) -> None:
            # Closed meanwhile: a posted value that cannot be written is dropped.
            with suppress(LinkError):
                _usable(client).post(address.pv, value, timeout=timeout)

        self._when_ready(address.provider, job)

    def send(
        self,
        pv: str,
        value: Value,
        done: Callable[[LinkError | LinkValueError | None], None],
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See `PvClient.send`."""
        address = self.address(pv)

        def job(client: PvClient | LinkError) -> None:
            try:
                _usable(client).send(address.pv, value, done, timeout=timeout)
            except LinkError as error:
                done(error)

        self._when_ready(address.provider, job)

    def listen(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.listen`."""
        address = self.address(pv)
        undo: list[Undo] = []
        ended = threading.Event()

        def job(client: PvClient | LinkError) -> None:
            if ended.is_set():
                return
            # Without a client the PV stays what it is: not connected.
            with suppress(LinkError):
                undo.append(_usable(client).listen(address.pv, callback))
            if ended.is_set():
                end()

        def end() -> None:
            ended.set()
            with suppress(IndexError):
                undo.pop()()

        self._when_ready(address.provider, job)
        return end

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

    def _when_ready(self, provider: Provider, job: Job) -> None:
        """Do `job` now, or in order with others when the client library has been imported: that takes half a second."""
        with self._lock:
            if self._closed:
                raise LinkError(_CLOSED)
            client = self._clients.get(provider)
            waiting = self._waiting.get(provider)
            if waiting is not None:
                waiting.append(job)
                return
            if client is None:
                self._waiting[provider] = [job]
        if client is not None:
            job(client)
            return
        threading.Thread(target=self._begin, args=(provider,), name="links start", daemon=True).start()

    def _begin(self, provider: Provider) -> None:
        client: PvClient | LinkError
        try:
            client = self._client(provider)
        except LinkError as error:
            client = error
        except Exception as error:  # noqa: BLE001 - a border: the import of a foreign library may raise anything
            client = LinkError(f"no client of {provider}: {error}", hint="see `iocmng doctor`")
            _log.error("%s", client)
        while True:
            with self._lock:
                waiting = self._waiting[provider]
                self._waiting[provider] = []
                if not waiting:
                    del self._waiting[provider]
                    return
            for job in waiting:
                job(client)

    def _client(self, provider: Provider) -> PvClient:
        with self._making[provider]:
            with self._lock:
                if self._closed:
                    raise LinkError(_CLOSED)
                known = self._clients.get(provider)
            if known is not None:
                return known
            client = self._make(provider)
            with self._lock:
                if not self._closed:
                    self._clients[provider] = client
                    return client
        client.close()
        raise LinkError(_CLOSED)


def _usable(client: PvClient | LinkError) -> PvClient:
    if isinstance(client, LinkError):
        raise client
    return client
