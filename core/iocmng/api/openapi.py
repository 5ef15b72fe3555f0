"""The OpenAPI document: what FastAPI finds, plus roles, problems, and the words of enums."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from iocmng import wire
from iocmng.api import models
from iocmng.api.additions import Additions
from iocmng.api.guard import ANSWER_KEY, ROLE_KEY
from iocmng.api.problems import MEDIA_TYPE
from iocmng.lifecycle import HostState, JobState, State
from iocmng.wire import Role

_NAMED: Mapping[str, type[IntEnum]] = {cls.__name__: cls for cls in (State, JobState, HostState)}
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})


def describe(app: FastAPI, additions: Additions | None = None) -> dict[str, Any]:
    """The document of an app whose routes are guarded, with those of other packages."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary="A host of iocmng plugins",
        description="A bearer token is viewer, operator or admin; `x-role` names what a path needs.",
        routes=app.routes,
    )
    if additions is not None:
        additions.describe(document)
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_answers(document))
    for name, cls in _NAMED.items():
        if name in schemas:
            schemas[name].update(type="string", enum=[member.name for member in cls])
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    refusal = {
        "description": "Refused, with code, detail and hint",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
    for operations in document["paths"].values():
        for method, operation in operations.items():
            if method not in _METHODS:
                continue
            if (names := operation.pop(ANSWER_KEY, None)) is not None:
                success = next(status for status in operation["responses"] if status.startswith("2"))
                operation["responses"][success]["content"] = {"application/json": {"schema": _one_of(names)}}
            if operation[ROLE_KEY] != Role.NONE:
                operation["security"] = [{"bearer": []}]
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = refusal
    return document


def _answers(document: dict[str, Any]) -> dict[str, Any]:
    """Schemas of all answers, and of what they are made of."""
    names = {
        name
        for operations in document["paths"].values()
        for operation in operations.values()
        for name in operation.get(ANSWER_KEY, ())
    }
    known = vars(wire) | vars(models)
    adapters: list[tuple[str, Literal["serialization"], TypeAdapter[Any]]] = [
        (name, "serialization", TypeAdapter(known[name])) for name in sorted({*names, "ProblemBody"})
    ]
    _, found = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def _one_of(names: list[str]) -> dict[str, Any]:
    if not names:
        return {"type": "object"}
    references = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    return references[0] if len(references) == 1 else {"anyOf": references}
