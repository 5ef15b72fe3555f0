"""Routes that packages add: behind the same rules, asked only where the host has no route of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from iocmng.api.gate import caller
from iocmng.api.guard import ROLE_KEY, GuardedRoute
from iocmng.wire import Role

_PARAMETER = re.compile(r"\{[^}]*\}")
_READING = frozenset({"GET", "HEAD"})
Refused = Callable[[str, str], None]


@dataclass(frozen=True, eq=False)
class _Added:
    package: str
    router: APIRouter
    guarded: bool
    document: dict[str, Any]

    def role(self, method: str) -> Role:
        """The least role for a method; guarded routes ask for theirs themselves."""
        if self.guarded:
            return Role.NONE
        return Role.VIEWER if method.upper() in _READING else Role.OPERATOR


class Additions:
    """Routers of packages.

    Args:
        routers: Each with its package's name.
        refused: Told package and reason of what is not served.
    """

    def __init__(self, routers: Iterable[tuple[str, Any]], refused: Refused) -> None:
        self._routers = tuple(routers)
        self._refused = refused
        self._added: list[_Added] = []

    def install(self, app: FastAPI, prefix: str) -> None:
        """Mount them under `prefix` of an app that has all its own routes."""
        # What the host's own router does not know comes here: nothing of it can be hidden.
        otherwise = app.router.default
        for package, router in self._routers:
            try:
                self._add(app, package, router, prefix)
            except Exception as problem:  # noqa: BLE001 - a border: FastAPI walks through foreign routes
                self._refused(package, f"{type(problem).__name__}: {problem}")

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await self._answer(scope, receive, send, otherwise)

        if self._added:
            app.router.default = answer

    def _add(self, app: FastAPI, package: str, router: Any, prefix: str) -> None:
        if not isinstance(router, APIRouter):
            self._refused(package, f"gave a {type(router).__name__}, not a fastapi.APIRouter")
            return
        mounted = APIRouter()
        mounted.include_router(router, prefix=prefix)
        walked = list(_walk(router.routes))
        guarded = bool(walked) and all(isinstance(route, GuardedRoute) for route in walked)
        added = _Added(package, mounted, guarded, self._described(package, mounted))
        earlier = [*app.router.routes, *(route for one in self._added for route in one.router.routes)]
        for path, operations in list(added.document.get("paths", {}).items()):
            self._roles(added, operations)
            if hidden := _overlap(path, operations, earlier):
                self._refused(package, f"{hidden} {path} is hidden by an earlier route")
                del added.document["paths"][path]
        self._added.append(added)

    def _described(self, package: str, router: APIRouter) -> dict[str, Any]:
        try:
            return get_openapi(title=package, version="", routes=router.routes)
        except Exception as problem:  # noqa: BLE001 - a border: models of other packages may have no schema
            text = f"its routes cannot be described: {type(problem).__name__}: {problem}"
            self._refused(package, text)
            return {}

    @staticmethod
    def _roles(added: _Added, operations: dict[str, Any]) -> None:
        for method, operation in operations.items():
            if isinstance(operation, dict):
                operation.setdefault(ROLE_KEY, added.role(method).value)

    def describe(self, document: dict[str, Any]) -> None:
        """Put what is served beside the host's own description, before that is finished."""
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for added in self._added:
            for path, operations in added.document.get("paths", {}).items():
                document["paths"].setdefault(path, copy(operations))
            for name, schema in added.document.get("components", {}).get("schemas", {}).items():
                schemas.setdefault(name, schema)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, otherwise: ASGIApp) -> None:
        added = self._find(scope) if scope["type"] == "http" else None
        if added is None:
            await otherwise(scope, receive, send)
            return
        caller(Request(scope)).require(added.role(scope["method"]))
        await added.router(scope, receive, send)

    def _find(self, scope: Scope) -> _Added | None:
        partial = None
        for added in self._added:
            found = _matches(added.router.routes, scope)
            if found is Match.FULL:
                return added
            if found is Match.PARTIAL:
                partial = partial or added
        return partial


def _walk(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Routes with those of included routers, which newer versions of FastAPI keep as one object."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if isinstance(inner, APIRouter):
            yield from _walk(inner.routes)
        else:
            yield route


def _matches(routes: Iterable[BaseRoute], scope: Scope) -> Match:
    return max(
        (route.matches(scope)[0] for route in routes), key=lambda match: match.value, default=Match.NONE
    )


def _overlap(path: str, operations: dict[str, Any], earlier: Iterable[BaseRoute]) -> str:
    """The method of a route that earlier routes take, or ""."""
    sample = _PARAMETER.sub("x", path)
    routes = list(earlier)
    for method in operations:
        scope = {"type": "http", "method": method.upper(), "path": sample, "root_path": "", "headers": []}
        if _matches(routes, scope) is not Match.NONE:
            return method.upper()
    return ""
