"""Parameters in layers, the last one wins: config.yaml, environment, site, request, set."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from iocmng import names
from iocmng.config import RESERVED_PARAMETERS, Parameters, read_document
from iocmng.config.document import plain
from iocmng.spec.instance import ParameterValue
from iocmng.wire import Finding, Level, Where

CONFIG, ENVIRONMENT, SITE, REQUEST, SET = "config.yaml", "environment", "site", "request", "set"


def environment_name(plugin: str, key: str) -> str:
    """Name of the environment variable that overrides a parameter: `BEAM_MONITOR_THRESHOLD`."""
    return re.sub(r"[^A-Z0-9_]", "_", f"{plugin}_{key}".upper())


def from_environment(
    plugin: str, declared: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[tuple[str, Any] | Finding]:
    """Yield (name, value) of each declared parameter that the environment overrides, or a finding.

    A variable's text takes the type that the parameter has in config.yaml.
    """
    for key, value in declared.items():
        variable = environment_name(plugin, key)
        text = environ.get(variable)
        if text is None:
            continue
        try:
            yield key, _typed(text, value)
        except ValueError as error:
            yield Finding(
                Level.ERROR,
                "environment",
                f"{variable}={text!r}: parameter {key!r} is {error} in config.yaml",
                Where(key=variable),
                "change or unset the variable",
            )


def _typed(text: str, like: Any) -> Any:
    if isinstance(like, str):
        return text
    document = read_document(text)
    if document.findings:
        raise ValueError(_kind(like))
    value = plain(document.value)
    if isinstance(like, bool) and value in (0, 1):
        return bool(value)
    if isinstance(like, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = like is None or (
        isinstance(value, type(like)) and isinstance(value, bool) == isinstance(like, bool)
    )
    if not fits:
        raise ValueError(_kind(like))
    return value


def _kind(value: Any) -> str:
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return words.get(type(value), type(value).__name__)


def merge(*layers: tuple[str, Mapping[str, Any]]) -> dict[str, ParameterValue]:
    """Lay layers of (origin, values) over each other; mappings are merged key by key, as in iocmng 2."""
    merged: dict[str, ParameterValue] = {}
    for origin, values in layers:
        for key, value in values.items():
            before = merged.get(key)
            if before is not None and isinstance(before.value, Mapping) and isinstance(value, Mapping):
                value = _deep(before.value, value)
            merged[key] = ParameterValue(value=value, origin=origin)
    return merged


def _deep(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below)
    for key, value in above.items():
        inner = made.get(key)
        made[key] = (
            _deep(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
        )
    return made


def check_reserved(merged: Mapping[str, ParameterValue]) -> tuple[Parameters | None, list[Finding]]:
    """Read the reserved parameters; findings name the parameter, its value and where it comes from."""
    try:
        return Parameters.model_validate({key: parameter.value for key, parameter in merged.items()}), []
    except ValidationError as error:
        findings = {}
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0]) if detail["loc"] else "parameters"
            origin = merged[name].origin if name in merged else ""
            wanted = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            findings[name] = Finding(
                Level.ERROR,
                "parameters",
                f"parameter {name!r} (from {origin}) {wanted}; it is {detail['input']!r}",
            )
        return None, list(findings.values())


def misspelt(merged: Mapping[str, ParameterValue], declared: Collection[str]) -> Iterator[Finding]:
    """Warn of parameters that nobody declares and that look like one that is."""
    for key, parameter in merged.items():
        if key in declared or key in RESERVED_PARAMETERS:
            continue
        near = names.nearest(key, [*declared, *RESERVED_PARAMETERS])
        if near:
            message = f"parameter {key!r} (from {parameter.origin}) is not declared"
            yield Finding(
                Level.WARNING, "unknown-parameter", message, Where(key=key), f"did you mean {near!r}?"
            )
