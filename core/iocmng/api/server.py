"""The HTTP server on the running loop: its socket is bound before all else, and signals stay the host's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from iocmng.api.listening import BACKLOG
from iocmng.api.streams import Streams
from iocmng.errors import BadInput, BootFailed

_log = logging.getLogger("iocmng.api")
GRACE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files of a TLS certificate with its chain, and of its key; PEM."""

    certificate: Path
    key: Path


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the host owns them."""
        yield


class Server:
    """Serves an application on the running loop.

    Args:
        app: What `create_app` made.
        listening: What `bind` made; closed when the server stops.
        tls: Certificate and key, None for plain HTTP.

    Raises:
        BadInput: The certificate or key cannot be used.
    """

    def __init__(self, app: FastAPI, listening: socket.socket, *, tls: Tls | None = None) -> None:
        streams = app.state.streams
        assert isinstance(streams, Streams)
        self._streams = streams
        self._listening = listening
        self._tls = tls
        self._task: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            loop="none",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            log_level="warning",
            # The peer is the socket's: whoever is believed about X-Forwarded-For could pose as loopback.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            backlog=BACKLOG,
            ssl_certfile=str(tls.certificate) if tls else None,
            ssl_keyfile=str(tls.key) if tls else None,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise BadInput(
                f"admin.tls: certificate or key cannot be used: {error}", hint="both are PEM files"
            ) from None
        self._uvicorn = _Uvicorn(config)

    @property
    def url(self) -> str:
        """Address for a client on this machine."""
        host, port = self._listening.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{port}"

    async def start(self) -> None:
        """Begin to serve; returns when requests are answered.

        Raises:
            BootFailed: It could not begin.
        """
        self._url = self.url
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[self._listening]), name="http")
        while not self._uvicorn.started:
            if self._task.done():
                raise BootFailed(
                    f"HTTP cannot be served at {self._url}: {self._task.exception() or 'it ended'}"
                )
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """End streams and waits, let running requests finish for a second, close the socket."""
        self._streams.close()
        self._uvicorn.should_exit = True
        if self._task is not None:
            try:
                await self._task
            finally:
                self._task = None
        self._listening.close()
