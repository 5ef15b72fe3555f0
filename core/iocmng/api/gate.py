"""What every request passes first: host name, origin, token, size of its body; and what catches a fault."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iocmng.api.access import ANONYMOUS, Access, Caller, Peer
from iocmng.api.problems import of_error, render
from iocmng.errors import IocmngError
from iocmng.wire import Problem, Role

_log = logging.getLogger("iocmng.api")

PUBLIC = frozenset({"/livez", "/readyz", "/api/v1/health"})
CALLER = "iocmng.caller"
MAX_BODY = 1 << 20
BODY_SECONDS = 30.0


class Gate:
    """ASGI middleware.

    Args:
        app: What stands behind it.
        access: The rules.
        max_body: Bytes a request may have.
        body_seconds: Seconds a request may take to arrive.
    """

    def __init__(
        self, app: ASGIApp, *, access: Access, max_body: int = MAX_BODY, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._access = access
        self._max_body = max_body
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer = peer_of(scope)
        try:
            self._access.admit(peer)
            scope[CALLER] = self._caller(scope["path"], peer)
            self._check_length(Headers(scope=scope))
        except IocmngError as error:
            await render(of_error(error), scope["path"])(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            await self._app(scope, self._bounded(receive), sending)
        except Exception:  # a border: a fault in one request must not reach the server or the caller
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if begun:
                raise
            await render(_FAULT, scope["path"])(scope, receive, sending)

    def _caller(self, path: str, peer: Peer) -> Caller:
        if path in PUBLIC:
            return Caller(ANONYMOUS, Role.NONE, peer.address)
        return self._access.identify(peer)

    def _check_length(self, headers: Headers) -> None:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            raise _TooLarge(f"the request has {length} bytes, at most {self._max_body} are taken")

    def _bounded(self, receive: Receive) -> Receive:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._body_seconds
        taken, complete = 0, False

        async def receiving() -> Message:
            nonlocal taken, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, f"the request did not arrive within {self._body_seconds:g} s"
                ) from None
            complete = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise HTTPException(
                    413, f"the request has more than the {self._max_body} bytes that are taken"
                )
            return message

        return receiving


class _TooLarge(IocmngError):
    code = "too-large"
    http_status = 413


_FAULT = Problem(
    title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
    status=500,
    code="fault",
    detail="the host failed on this request",
    hint="the host's log has the traceback: `iocmng logs HOST`",
)


def peer_of(scope: Scope) -> Peer:
    """Where a request comes from, by its socket; headers only tell what it claims."""
    headers = Headers(scope=scope)
    client, server = scope.get("client"), scope.get("server")
    return Peer(
        address=client[0] if client else "",
        server=server[0] if server else "",
        host=headers.get("host", ""),
        origin=headers.get("origin", ""),
        authorization=headers.get("authorization", ""),
        agent=headers.get("user-agent", ""),
        forwarded="forwarded" in headers or "x-forwarded-for" in headers,
    )


def caller(request: Request) -> Caller:
    """Who sent a request that has passed the gate."""
    found = request.scope[CALLER]
    assert isinstance(found, Caller)
    return found
