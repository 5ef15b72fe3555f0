"""Who may do what at the admin endpoint: tokens, roles, loopback, host names and origins."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from iocmng.api.tokens import Renewal, SiteToken, TokenStore
from iocmng.errors import BadInput, NotAllowed, NotAuthenticated
from iocmng.runtime.files import write_atomic
from iocmng.wire import ENDPOINT_FILE, TOKEN_FILE, Actor, Endpoint, Role, process_started, to_plain

ANONYMOUS = "anonymous"
WILDCARDS = frozenset({"", "0.0.0.0", "::"})
CLI_AGENT = "iocmng-cli/"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the token's name (or `anonymous`), its role, the peer's address, and which way."""

    name: str
    role: Role
    peer: str = ""
    via: str = "http"

    @property
    def actor(self) -> Actor:
        """The caller in the words of the audit."""
        return Actor(user=self.name, origin=self.peer, via=self.via)

    def require(self, role: Role) -> None:
        """Pass when the caller has that role or a higher one.

        Raises:
            NotAuthenticated: It came without a token.
            NotAllowed: Its token's role is too low.
        """
        if self.role.rank >= role.rank:
            return
        if self.name == ANONYMOUS:
            raise NotAuthenticated(
                f"this needs the role {role.value}, and the request carries no token",
                hint="send `Authorization: Bearer <token>`",
            )
        raise NotAllowed(
            f"this needs the role {role.value}, token {self.name!r} has {self.role.value}",
            hint=f"use a token with the role {role.value}, see `iocmng token list`",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where a request comes from and what it claims: the socket's addresses, headers ("" when absent)."""

    address: str
    server: str = ""
    host: str = ""
    origin: str = ""
    authorization: str = ""
    agent: str = ""
    forwarded: bool = False


class Access:
    """The rules of one endpoint.

    Args:
        tokens: The tokens it knows.
        bind: The address it listens on.
        anonymous: Role of callers without a token; None for viewer from loopback and none from elsewhere.
        allowed_hosts: Names besides loopback and the bind address that a request may ask for.

    Raises:
        BadInput: The address is open to others and no token is configured, or the anonymous role is too high.
    """

    def __init__(
        self,
        tokens: TokenStore,
        *,
        bind: str = "127.0.0.1",
        anonymous: Role | None = None,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self.tokens = tokens
        self._bind = bind
        self._wildcard = bind in WILDCARDS
        own = {socket.gethostname().lower(), socket.getfqdn().lower()} if self._wildcard else {bind.lower()}
        self._own = frozenset(own)
        self._check(anonymous, configured=tokens.configured)
        self._set(anonymous, allowed_hosts)

    def _check(self, anonymous: Role | None, *, configured: bool) -> None:
        if is_loopback(self._bind):
            return
        if not configured:
            raise BadInput(
                f"admin.host {self._bind!r} is open to other machines, and no token is configured",
                hint="name one under admin.tokens in the site file, like"
                " {name: ops, role: operator, token_file: PATH}, or bind 127.0.0.1",
            )
        if anonymous is not None and anonymous.rank > Role.VIEWER.rank:
            raise BadInput(
                f"admin.anonymous {anonymous.value!r} with admin.host {self._bind!r} lets anybody change things",
                hint="more than viewer is for a loopback address only",
            )

    def _set(self, anonymous: Role | None, allowed_hosts: Iterable[str]) -> None:
        self._anonymous = anonymous
        self._configured = frozenset(host.strip().rstrip(".").lower() for host in allowed_hosts)
        self._names = self._configured | self._own

    def renewal(
        self, site: Iterable[SiteToken], *, anonymous: Role | None, allowed_hosts: Iterable[str]
    ) -> Renewal:
        """Prepare other rules for the same address; the parameters are those of the constructor.

        Raises:
            BadInput: They cannot be used.
        """
        given, hosts = tuple(site), tuple(allowed_hosts)
        self._check(anonymous, configured=bool(given))
        tokens = self.tokens.renewal(given)

        def apply() -> None:
            tokens.apply()
            self._set(anonymous, hosts)

        return Renewal(tokens.renewed, apply)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to log at each start."""
        found = []
        if self._anonymous is not None and self._anonymous.rank > Role.VIEWER.rank:
            found.append(
                f"admin.anonymous is {self._anonymous.value}: every user and program of this machine is one"
            )
        if self.tokens.problem:
            found.append(self.tokens.problem)
        return tuple(found)

    def admit(self, peer: Peer) -> None:
        """Pass a request whose host name and origin belong to this endpoint.

        Raises:
            NotAllowed: It does not; the answer is 403.
        """
        host, _ = split_host(peer.host)
        if not self._known(host, peer.server):
            raise NotAllowed(
                f"host name {host[:80]!r} is not served here",
                hint="use an address of this host, or add the name to admin.allowed_hosts",
                code="host-not-allowed",
            )
        if peer.origin and not self._own_origin(peer):
            raise NotAllowed(
                f"origin {peer.origin[:80]!r} is foreign to {peer.host[:80]!r}",
                hint="add its host name to admin.allowed_hosts if that page may use this host",
                code="origin-not-allowed",
            )

    def identify(self, peer: Peer) -> Caller:
        """Find out who sends a request.

        Raises:
            NotAuthenticated: It carries a token that is not known, or something else that is no bearer token.
        """
        via = "cli" if peer.agent.startswith(CLI_AGENT) else "http"
        if not peer.authorization:
            return Caller(ANONYMOUS, self._role_without_token(peer), peer.address, via)
        scheme, _, secret = peer.authorization.partition(" ")
        token = self.tokens.identify(secret.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            raise NotAuthenticated(
                "the token is not known here"
                if scheme.lower() == "bearer"
                else "only bearer tokens are known here",
                hint="`iocmng token list` (as admin) names those that are",
            )
        return Caller(token.name, token.role, peer.address, via)

    def _role_without_token(self, peer: Peer) -> Role:
        # Behind a proxy on this machine every caller seems to be local.
        local = is_loopback(peer.address) and not peer.forwarded
        if self._anonymous is None:
            return Role.VIEWER if local else Role.NONE
        if local or self._anonymous.rank <= Role.VIEWER.rank:
            return self._anonymous
        return Role.NONE

    def _known(self, host: str, server: str) -> bool:
        if host in self._names or host == "localhost" or is_loopback(host):
            return True
        # With a wildcard bind it answers for its own addresses, and an address cannot be rebound like a name.
        return self._wildcard and host == server.lower()

    def _own_origin(self, peer: Peer) -> bool:
        try:
            parts = urlsplit(peer.origin)
            origin = (parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme))
        except ValueError:
            return False
        if origin[0] in self._configured:
            return True
        host, port = split_host(peer.host)
        return origin == (host, port or {"http": 80, "https": 443}.get(parts.scheme))


def is_loopback(address: str) -> bool:
    """Whether an address or name is this machine's own loopback."""
    if address.lower() == "localhost":
        return True
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def split_host(header: str) -> tuple[str, int | None]:
    """Split a Host header into name (lower case, no brackets, no closing dot) and port."""
    try:
        parts = urlsplit(f"//{header.strip()}")
        port = parts.port
    except ValueError:
        return "", None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return "", None
    return (parts.hostname or "").rstrip("."), port


def record_endpoint(
    state_dir: Path,
    url: str,
    pid: int | None = None,
    *,
    shared: Path | None = None,
) -> None:
    """Write where this host answers: clients of the same machine send its token there and nowhere else.

    Args:
        state_dir: The state directory.
        url: The address.
        pid: Process of the host, this one when not given.
        shared: A directory, like /run/iocmng under systemd, that gets address and token too, for its group.

    Raises:
        OSError: One of the files cannot be written.
    """
    number = pid or os.getpid()
    endpoint = Endpoint(url=url, pid=number, started=process_started(number))
    content = json.dumps(to_plain(endpoint)).encode("ascii")
    write_atomic(state_dir / ENDPOINT_FILE, content, keep=0)
    if shared is not None:
        for name, text in ((TOKEN_FILE, (state_dir / TOKEN_FILE).read_bytes()), (ENDPOINT_FILE, content)):
            write_atomic(shared / name, text, keep=0)
            (shared / name).chmod(0o640)


def forget_endpoint(state_dir: Path, *, shared: Path | None = None) -> None:
    """Remove what `record_endpoint` wrote, but the host's own token: nobody answers there any more."""
    (state_dir / ENDPOINT_FILE).unlink(missing_ok=True)
    if shared is not None:
        for name in (ENDPOINT_FILE, TOKEN_FILE):
            (shared / name).unlink(missing_ok=True)
