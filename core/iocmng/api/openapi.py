"""The OpenAPI document: what FastAPI finds, plus roles, problems, and the words of enums."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from iocmng.api.guard import ROLE_KEY
from iocmng.api.models import ProblemBody
from iocmng.api.problems import MEDIA_TYPE
from iocmng.lifecycle import HostState, JobState, State
from iocmng.wire import Role

_NAMED: Mapping[str, type[IntEnum]] = {cls.__name__: cls for cls in (State, JobState, HostState)}
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an app whose routes are guarded."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="A host of iocmng plugins",
        description="A bearer token is viewer, operator or admin; `x-role` names what a path needs.",
        routes=app.routes,
    )
    schemas = document["components"]["schemas"]
    for name, cls in _NAMED.items():
        if name in schemas:
            schemas[name].update(type="string", enum=[member.name for member in cls])
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["ProblemBody"] = TypeAdapter(ProblemBody).json_schema()
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    refusal = {
        "description": "Refused, with code, detail and hint",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method not in _METHODS:
                continue
            if operation[ROLE_KEY] != Role.NONE:
                operation["security"] = [{"bearer": []}]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = refusal
    return document
