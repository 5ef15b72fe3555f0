"""Turn what pydantic refuses into findings in the file's words: place, expectation, value, nearest key."""

from __future__ import annotations

import reprlib
import types
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from iocmng import names
from iocmng.config.document import Path, dotted
from iocmng.config.report import Report
from iocmng.wire import Level

M = TypeVar("M", bound=BaseModel)

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
}
_ROUNDS = 8


def read_model(
    model: type[M], data: Mapping[Any, Any], report: Report, *, lenient_top: bool = False
) -> M | None:
    """Build `model` from `data`; what is refused is reported and left out, so that the rest can be checked.

    Args:
        model: The strict model.
        data: Plain values of the document.
        report: Gets the findings.
        lenient_top: Unknown keys at the top level are warnings.

    Returns:
        The model without its refused parts, or None when nothing useful is left.
    """
    current: Any = data
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(current)
        except ValidationError as error:
            refused = _report(error, model, data, report, lenient_top=lenient_top)
            pruned = _without(current, refused)
            if pruned == current:
                return None
            current = pruned
    return None


def _report(
    error: ValidationError, model: type[BaseModel], data: Any, report: Report, *, lenient_top: bool
) -> set[Path]:
    grouped: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = detail["loc"] if detail["type"] == "missing" else _standing(detail["loc"], data)
        grouped.setdefault(path, []).append(detail)
    for path, details in grouped.items():
        if path in report.broken:
            continue
        kinds = {detail["type"] for detail in details}
        if "extra_forbidden" in kinds:
            level = Level.WARNING if lenient_top and len(path) == 1 else Level.ERROR
            _unknown_key(model, path, report, level)
        elif "missing" in kinds:
            report.error(
                "missing-key", f"{dotted(path[:-1]) or 'the file'} needs the key {path[-1]!r}", *path
            )
        elif "invalid_key" in kinds or details[0]["loc"][-1:] == ("[key]",):
            report.error("bad-key", f"key {path[-1]!r} must be text", *path, hint="quote it", key=True)
        else:
            _wrong_value(path, details, report)
    missing = {
        path for path, details in grouped.items() if any(detail["type"] == "missing" for detail in details)
    }
    return {path[:-1] if path in missing else path for path in grouped} - {()}


def _unknown_key(model: type[BaseModel], path: Path, report: Report, level: Level) -> None:
    parent, key = path[:-1], str(path[-1])
    known = known_keys(model, parent)
    place = f" in {dotted(parent)}" if parent else ""
    report.add(
        level, "unknown-key", f"unknown key {key!r}{place}", path, names.did_you_mean(key, known), key=True
    )


def _wrong_value(path: Path, details: list[ErrorDetails], report: Report) -> None:
    detail = details[0]
    value = detail["input"]
    place = dotted(path) or "the file"
    choices = {detail["type"]: detail for detail in details}
    if words := _literals(details):
        near = names.nearest(str(value), words) if isinstance(value, str) else ""
        hint = f"did you mean {near!r}?" if near else ""
        listed = ", ".join(word or "''" for word in words)
        report.error(
            "bad-value", f"{place} must be one of {listed}; it is {reprlib.repr(value)}", *path, hint=hint
        )
        return
    expected = list(dict.fromkeys(_EXPECTED[kind] for kind in choices if kind in _EXPECTED))
    if "a number" in expected and "a whole number" in expected:
        expected.remove("a whole number")
    if expected and all(kind in _EXPECTED for kind in choices):
        hint = "quote it" if "text" in expected and isinstance(value, (int, float)) else ""
        report.error(
            "wrong-type", f"{place} must be {' or '.join(expected)}; it is {_shown(value)}", *path, hint=hint
        )
        return
    message = next(d["msg"] for d in details if d["type"] not in _EXPECTED)
    message = (
        message.removeprefix("Value error, ")
        .replace("Input should be", "must be")
        .replace("Input should", "must")
    )
    report.error("bad-value", f"{place}: {message}; it is {_shown(value)}", *path)


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return reprlib.repr(value)


def _literals(details: list[ErrorDetails]) -> list[str]:
    for detail in details:
        if detail["type"] in ("literal_error", "enum"):
            expected = str(detail["ctx"]["expected"]).replace(" or ", ", ")
            return [word.strip().strip("'") for word in expected.split(",")]
    return []


def _standing(loc: Path, data: Any) -> Path:
    """The part of `loc` that stands in `data`: pydantic adds the names of union branches and of keys."""
    path: Path = ()
    for part in loc:
        inside: Any = part
        if not (
            (isinstance(data, Mapping) and part in data)
            or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        ):
            break
        data = data[inside]
        path = (*path, part)
    return path


def _without(data: Any, paths: set[Path]) -> Any:
    """A copy of `data` without the values at `paths`; list items go with all that they hold."""
    here = {path[0] for path in paths if len(path) == 1}
    below: dict[Any, set[Path]] = {}
    for path in paths:
        if len(path) > 1:
            below.setdefault(path[0], set()).add(path[1:])
    if isinstance(data, Mapping):
        return {
            key: _without(value, below[key]) if key in below else value
            for key, value in data.items()
            if key not in here
        }
    if isinstance(data, list):
        return [
            _without(value, below[index]) if index in below else value
            for index, value in enumerate(data)
            if index not in here
        ]
    return data


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the mapping at `path` of `model` knows; empty where keys are free."""
    at: Any = model
    for part in path:
        at = _below(at, part)
    for branch in _branches(at):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            return [field.alias or name for name, field in branch.model_fields.items()]
    return []


def _below(hint: Any, part: Any) -> Any:
    for branch in _branches(hint):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            for name, field in branch.model_fields.items():
                if part in (name, field.alias):
                    return field.annotation
        elif get_origin(branch) in (dict, Mapping):
            return get_args(branch)[1]
        elif get_origin(branch) in (tuple, list):
            return get_args(branch)[0]
    return None


def _branches(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Annotated:
        return _branches(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(branch for option in get_args(hint) for branch in _branches(option))
    return (hint,)
