"""The admin endpoint as the host uses it: its port is taken first, its libraries come late."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from iocmng.api.access import Access, forget_endpoint, record_endpoint
from iocmng.api.listening import bind, listens_at
from iocmng.api.tokens import Renewal, SiteToken, TokenStore, read_site_token
from iocmng.errors import BootFailed
from iocmng.runtime.control import HostControl
from iocmng.settings import Settings
from iocmng.wire import Role

if TYPE_CHECKING:
    from iocmng.api import Server


_log = logging.getLogger("iocmng.host")
HELLO = 0.1


def _refused(package: str, reason: str) -> None:
    _log.error("routes of %s are not served: %s", package, reason)


class Admin:
    """Holds the port from the beginning, serves when the host does.

    Args:
        settings: The settings of the boot.
        listening: What `hand_over` of the process before this one gave; closed when the settings name another address.

    Raises:
        BadInput: The address cannot be used.
        BootFailed: Another program holds the port.
    """

    def __init__(self, settings: Settings, listening: socket.socket | None = None) -> None:
        self._settings = settings
        self._access = _access(settings)
        host, port = settings.admin.host, settings.admin.port
        self._taken_over = listening is not None
        if listening is not None and not listens_at(listening, host, port):
            listening.close()
            listening = None
        self._socket = listening or bind(host, port)
        self._importing: threading.Thread | None = None
        self._server: Server | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        if self._taken_over and self._server is None:
            # The process before this one kept the address, as clients were to find the same host there.
            self.forget()

    @property
    def url(self) -> str:
        """Address for a client on this machine."""
        host, port = self._socket.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        scheme = "https" if self._settings.admin.tls else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def _shared(self) -> Path | None:
        """What systemd made for this service with `RuntimeDirectory=iocmng`."""
        given = self._settings.environ.get("RUNTIME_DIRECTORY")
        return Path(given) if given else None

    def renewal(self, settings: Settings) -> Renewal:
        """Prepare to take other tokens, host names and roles; the address stays. Reads files.

        Raises:
            BadInput: They cannot be used.
        """
        admin = settings.admin
        return self._access.renewal(
            _site_tokens(settings), anonymous=admin.anonymous_role, allowed_hosts=admin.allowed_hosts
        )

    def import_soon(self) -> None:
        """Import what serving needs, beside whatever waits next."""
        self._importing = threading.Thread(
            target=import_module, args=("iocmng.api.server",), name="iocmng-import"
        )
        self._importing.start()

    async def start(
        self,
        control: HostControl,
        routers: Iterable[tuple[str, Any]] = (),
        refused: Callable[[str, str], None] = _refused,
    ) -> None:
        """Serve.

        Args:
            control: The host.
            routers: Routers of packages, each with the package's name.
            refused: Told package and reason when one of them is not served.

        Raises:
            BadInput: A token file, certificate or key cannot be used.
            BootFailed: It could not begin.
        """
        if self._importing is not None:
            self._importing.join()
        from iocmng.api import Additions, Server, Tls, create_app

        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        for warning in self._access.warnings:
            _log.warning("%s", warning)
        admin, state_dir = self._settings.admin, self._settings.state_dir
        tls = Tls(certificate=Path(admin.tls.certificate), key=Path(admin.tls.key)) if admin.tls else None
        app = create_app(control, self._access, additions=Additions(routers, refused))
        self._server = Server(app, self._socket, tls=tls)
        await self._server.start()
        try:
            record_endpoint(state_dir, self.url, shared=self._shared)
        except OSError as error:
            raise BootFailed(f"the endpoint cannot be recorded in {state_dir}: {error.strerror}") from error

    def hand_over(self) -> socket.socket:
        """Accept nobody any more; return a socket by which others wait for the process that follows.

        On the loop's thread. Who is connected is still served, until `stop`.
        """
        kept = self._socket.dup()
        asyncio.get_running_loop().remove_reader(self._socket)
        return kept

    async def stop(self, *, handed_over: bool = False) -> None:
        """End streams and requests, and close the port.

        Args:
            handed_over: The process that follows is to serve at the same address.
        """
        if self._server is None:
            return
        if handed_over:
            # Whoever was accepted a moment ago has yet to say what it wants.
            await asyncio.sleep(HELLO)
        await self._server.stop()
        if not handed_over:
            self.forget()

    def forget(self) -> None:
        """Nobody serves here any more: clients are not to look for the host at its last address."""
        forget_endpoint(self._settings.state_dir, shared=self._shared)


def _site_tokens(settings: Settings) -> list[SiteToken]:
    site = [read_site_token(one.name, one.level, Path(one.token_file)) for one in settings.admin.tokens]
    if settings.token:
        site.append(SiteToken(name="IOCMNG_TOKEN", role=Role.ADMIN, secret=settings.token))
    return site


def _access(settings: Settings) -> Access:
    """Who may do what; refuses an open address without a token before anything starts."""
    admin = settings.admin
    return Access(
        TokenStore(settings.state_dir, _site_tokens(settings)),
        bind=admin.host,
        anonymous=admin.anonymous_role,
        allowed_hosts=admin.allowed_hosts,
    )
