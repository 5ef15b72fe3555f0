"""The admin endpoint served for real, on a loop in a thread of its own, over a host in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from support.control import MemoryControl, as_control

from iocmng.api import Access, Server, SiteToken, Tls, TokenStore, bind, create_app
from iocmng.api.streams import Streams
from iocmng.wire import Role

T = TypeVar("T")
SECRETS: Mapping[str, str] = {
    "viewer": "viewer-secret-0123456789",
    "operator": "operator-secret-0123456789",
    "admin": "admin-secret-0123456789",
}
DEADLINE = 10.0


@dataclass
class Served:
    """An endpoint that answers."""

    url: str
    control: MemoryControl
    streams: Streams
    loop: asyncio.AbstractEventLoop
    tokens: TokenStore
    server: Server

    def call(self, do: Callable[[], T]) -> T:
        """Do something on the loop's thread."""

        async def run() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE)

    def stop(self) -> None:
        """Stop the server, as the host does."""
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(DEADLINE)

    def http(self, role: str = "", **options: Any) -> httpx.Client:
        """A bare HTTP client with a token of that role."""
        headers = {"Authorization": f"Bearer {SECRETS[role]}"} if role else {}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=DEADLINE, **options)


@contextmanager
def serving(
    state_dir: Path,
    control: MemoryControl | None = None,
    *,
    anonymous: Role | None = None,
    allowed_hosts: tuple[str, ...] = (),
    tls: Tls | None = None,
    heartbeat: float = 15.0,
    max_streams: int = 64,
    max_body: int = 1 << 16,
    body_seconds: float = 30.0,
    port: int = 0,
) -> Iterator[Served]:
    """Serve until the block ends."""
    control = control or MemoryControl()
    site = [SiteToken(name=name, role=Role(name), secret=secret) for name, secret in SECRETS.items()]
    store = TokenStore(state_dir, site)
    access = Access(store, bind="127.0.0.1", anonymous=anonymous, allowed_hosts=allowed_hosts)
    listening = bind("127.0.0.1", port)
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    made: list[Served] = []

    async def main() -> None:
        streams = Streams(limit=max_streams, heartbeat=heartbeat)
        app = create_app(
            as_control(control), access, streams=streams, max_body=max_body, body_seconds=body_seconds
        )
        server = Server(app, listening, tls=tls)
        url = server.url
        await server.start()
        made.append(Served(url, control, streams, loop, store, server))
        ready.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(main())
            loop.run_forever()
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="endpoint")
    thread.start()
    assert ready.wait(DEADLINE)
    assert made, "the endpoint did not start"
    try:
        yield made[0]
    finally:
        made[0].stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE)
        assert not thread.is_alive()
