"""Routes of the host itself: health, probes, metrics, settings, tokens."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from iocmng.api import metrics, models
from iocmng.api.gate import caller
from iocmng.api.guard import AdminRoute, PublicRoute, ViewerRoute, router
from iocmng.api.replies import listing, reply
from iocmng.api.streams import Streams
from iocmng.api.tokens import TokenStore
from iocmng.lifecycle import HostState
from iocmng.runtime.control import HostControl
from iocmng.wire import EventKind, HostView, NewToken, ReloadView


class Hosting:
    """Routes of the host itself."""

    def __init__(self, control: HostControl, streams: Streams, tokens: TokenStore) -> None:
        self._control = control
        self._streams = streams
        self._tokens = tokens

    def probes(self) -> tuple[APIRouter, APIRouter]:
        """What stands outside /api/v1."""
        public = router(PublicRoute, tag="probes")
        public.serve("GET", "/livez", self._livez, "livez", "It lives", response_class=PlainTextResponse)
        public.serve(
            "GET",
            "/readyz",
            self._readyz,
            "readyz",
            "Records are served and no start is pending",
            response_class=PlainTextResponse,
            responses={503: {"content": {"text/plain": {}}, "description": "What it waits for"}},
        )
        reading = router(ViewerRoute, tag="probes")
        reading.serve(
            "GET",
            "/metrics",
            self._metrics,
            "metrics",
            "Metrics in Prometheus' text format",
            response_class=PlainTextResponse,
        )
        return public, reading

    def routers(self) -> tuple[APIRouter, APIRouter, APIRouter]:
        """Public, reading, administering."""
        public = router(PublicRoute, tag="host")
        public.serve("GET", "/health", self._health, "health", "How it is", models.Health)
        reading = router(ViewerRoute, tag="host")
        reading.serve("GET", "/host", self._host, "host", "The host", HostView)
        reading.serve(
            "GET", "/config", self._config, "config", "Settings in force with their origin, without secrets"
        )
        admin = router(AdminRoute, tag="host")
        admin.serve("POST", "/rescan", self._rescan, "rescan", "Look for plugins again")
        admin.serve(
            "POST",
            "/config/reload",
            self._reload,
            "config_reload",
            "Read the settings again, and apply what needs no restart",
            ReloadView,
        )
        admin.serve(
            "GET", "/tokens", self._list_tokens, "tokens_list", "Tokens, without their secrets", models.Tokens
        )
        admin.serve(
            "POST",
            "/tokens",
            self._create_token,
            "tokens_create",
            "Make a token; its secret is shown this once",
            NewToken,
            status_code=201,
        )
        admin.serve(
            "DELETE",
            "/tokens/{name}",
            self._revoke_token,
            "tokens_revoke",
            "Forget a created token",
            models.Done,
        )
        return public, reading, admin

    async def _livez(self) -> Response:
        return PlainTextResponse("alive\n")

    async def _readyz(self) -> Response:
        awaited = self._control.ready()
        return PlainTextResponse(
            "ready\n" if awaited is None else f"{awaited}\n", 200 if awaited is None else 503
        )

    async def _metrics(self) -> Response:
        host, views, measured = self._control.host(), self._control.instances(), self._control.metrics()
        site = await self._control.site_metrics()
        text = await metrics.text(host, views, measured, site, self._streams.open)
        return Response(text, media_type=metrics.MEDIA_TYPE)

    async def _health(self) -> Response:
        host = self._control.host()
        kinds = [view.kind for view in self._control.instances()]
        return reply(
            models.Health(
                status=_status(host),
                version=host.version,
                tasks_count=kinds.count("task"),
                jobs_count=kinds.count("job"),
            )
        )

    async def _host(self) -> Response:
        return reply(self._control.host())

    async def _config(self) -> Response:
        return reply(self._control.config())

    async def _reload(self, request: Request) -> Response:
        return reply(await self._control.reload_config(caller(request).actor))

    async def _rescan(self, request: Request) -> Response:
        return reply(await self._control.rescan(caller(request).actor))

    async def _list_tokens(self) -> Response:
        return await listing("tokens", self._tokens.views())

    async def _create_token(self, request: Request, body: models.TokenRequest) -> Response:
        made = await asyncio.to_thread(self._tokens.create, body.name, body.role)
        self._audit(request, f"created token {made.name!r} with role {made.role.value}")
        return reply(made, 201)

    async def _revoke_token(self, request: Request, name: str) -> Response:
        await asyncio.to_thread(self._tokens.revoke, name)
        self._audit(request, f"revoked token {name!r}")
        return reply(models.Done(ok=True, message=f"token {name} opens nothing any more"))

    def _audit(self, request: Request, text: str) -> None:
        self._control.events.publish(EventKind.AUDIT, text=text, actor=caller(request).actor)


def _status(host: HostView) -> str:
    if host.state != HostState.RUN.name:
        return host.state.lower()
    return "degraded" if host.failed or host.degraded else "ok"
