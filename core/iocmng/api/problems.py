"""Saying no: every error becomes `application/problem+json` with code, detail and hint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from iocmng.errors import IocmngError, NotAuthenticated
from iocmng.wire import Problem, to_plain

MEDIA_TYPE = "application/problem+json"
SEED_PATHS = tuple(f"/api/v1/{path}" for path in ("plugins", "tasks", "jobs", "health", "pvs", "devices"))

_CODES: Mapping[int, str] = {
    400: "bad-request",
    404: "no-such-path",
    405: "method-not-allowed",
    408: "too-slow",
    413: "too-large",
    503: "too-many-streams",
}
_HINTS: Mapping[int, str] = {
    404: "/openapi.json lists what there is",
    405: "/openapi.json lists what there is",
}


class ProblemRaised(Exception):
    """A problem that carries more than an error does."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def of_error(error: IocmngError, **extra: Any) -> Problem:
    """The problem that an error makes."""
    status = error.http_status
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=error.error_code,
        detail=error.detail,
        hint=error.hint,
        extra=extra,
    )


def render(problem: Problem, path: str) -> Response:
    """The answer; on the paths of the previous system it also has their `ok`, `message`, `validation`."""
    body: dict[str, Any] = {
        "type": f"urn:iocmng:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "hint": problem.hint,
        "instance": problem.instance or path,
    }
    if path.startswith(SEED_PATHS):
        body |= {"ok": False, "message": problem.detail, "validation": None}
    body |= to_plain(problem.extra)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == NotAuthenticated.http_status else {}
    return Response(json.dumps(body, default=repr), problem.status, headers, MEDIA_TYPE)


def _of_http(error: HTTPException) -> Problem:
    status = error.status_code
    detail = str(error.detail)
    if detail == HTTPStatus(status).phrase:
        detail = {404: "there is no such path", 405: "this path does not know that method"}.get(
            status, detail
        )
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=_CODES.get(status, "http"),
        detail=detail,
        hint=_HINTS.get(status, ""),
    )


def _of_validation(error: RequestValidationError) -> Problem:
    complaints = []
    for entry in error.errors()[:10]:
        place = ".".join(str(part)[:40] for part in entry["loc"] if part != "body")
        complaints.append(f"{place}: {entry['msg']}" if place else str(entry["msg"]))
    return Problem(
        title=HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
        status=422,
        code="bad-input",
        detail="; ".join(complaints),
        hint="/openapi.json has the form of the request",
    )


def install(app: FastAPI) -> None:
    """Answer every error of an app's routes with a problem."""

    @app.exception_handler(IocmngError)
    async def on_error(request: Request, error: IocmngError) -> Response:
        return render(of_error(error), request.url.path)

    @app.exception_handler(ProblemRaised)
    async def on_problem(request: Request, error: ProblemRaised) -> Response:
        return render(error.problem, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def on_validation(request: Request, error: RequestValidationError) -> Response:
        return render(_of_validation(error), request.url.path)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        response = render(_of_http(error), request.url.path)
        response.headers.update(error.headers or {})
        return response
