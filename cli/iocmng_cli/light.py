"""Plain conversion of command-line words, so that Typer need not import pydantic (0.25 s)."""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

_UNKNOWN = object()


def lightened(params: list[Any]) -> list[Any]:
    """Let Typer parameters convert simple values by themselves; all else, and every error, stays Typer's."""
    for param in params:
        if "process_value" not in vars(param):
            param.process_value = partial(_process, param, param.process_value)
    return params


def _process(param: Any, typers_own: Any, ctx: Any, value: Any) -> Any:
    converted = _simple(param, value)
    missing = param.required and converted in (None, ())
    if converted is _UNKNOWN or missing:
        return typers_own(ctx, value)
    return converted if param.callback is None else param.callback(ctx, param, converted)


def _simple(param: Any, value: Any) -> Any:
    several = param.multiple or param.nargs == -1
    if value is None:
        return () if several else None
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is None:
        return _UNKNOWN
    if several:
        words = isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value)
        return list(value) if words and descriptor.annotation == list[str] else _UNKNOWN
    return _one(descriptor.annotation, param, value)


def _one(wanted: Any, param: Any, value: Any) -> Any:
    if not isinstance(wanted, type):
        return _UNKNOWN
    if isinstance(value, str) and (wanted in (int, float, Path) or issubclass(wanted, Enum)):
        try:
            value = wanted(value)
        except ValueError:
            return _UNKNOWN
    if not isinstance(value, wanted):
        return _UNKNOWN
    low, high = getattr(param, "min", None), getattr(param, "max", None)
    inside = (low is None or value >= low) and (high is None or value <= high)
    return value if inside else _UNKNOWN
