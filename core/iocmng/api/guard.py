"""Roles of routes: a router whose every route needs one role, checked before the request is read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from iocmng.api.gate import caller
from iocmng.wire import Role

ROLE_KEY = "x-role"
ANSWER_KEY = "x-answer"


class GuardedRoute(APIRoute):
    """A route that needs a role."""

    role: ClassVar[Role] = Role.ADMIN

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        extra = {**(options.pop("openapi_extra", None) or {}), ROLE_KEY: self.role.value}
        super().__init__(path, endpoint, openapi_extra=extra, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler in the check."""
        inner = super().get_route_handler()

        async def checked(request: Request) -> Response:
            caller(request).require(self.role)
            return await inner(request)

        return checked


class PublicRoute(GuardedRoute):
    """Open to everybody."""

    role = Role.NONE


class ViewerRoute(GuardedRoute):
    """Reads."""

    role = Role.VIEWER


class OperatorRoute(GuardedRoute):
    """Operates."""

    role = Role.OPERATOR


class AdminRoute(GuardedRoute):
    """Administers."""

    role = Role.ADMIN


class Routes(APIRouter):
    """Routes that need one role."""

    def serve(
        self,
        method: str,
        path: str,
        endpoint: Callable[..., Any],
        operation: str,
        summary: str,
        *answers: type,
        **options: Any,
    ) -> None:
        """Add a route.

        FastAPI's own `response_model` would build validators at every start, a third of a second in all, that
        nothing uses: answers are made by `to_plain`, and `answers` only describe them.

        Args:
            method: Of HTTP.
            path: Below the prefix.
            endpoint: What answers.
            operation: Its name in the OpenAPI document.
            summary: What it does.
            answers: What it answers with: one of these models, any object without them.
            options: Others of FastAPI; with a `response_class` the answer is no JSON.
        """
        if "response_class" not in options:
            options["openapi_extra"] = {ANSWER_KEY: [model.__name__ for model in answers]}
        self.add_api_route(
            path, endpoint, methods=[method], operation_id=operation, summary=summary, **options
        )


def router(route: type[GuardedRoute], prefix: str = "", tag: str = "") -> Routes:
    """A router whose every route is of that kind."""
    return Routes(prefix=prefix, route_class=route, tags=[tag] if tag else None)
