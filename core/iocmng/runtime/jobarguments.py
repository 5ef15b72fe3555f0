"""Arguments of a run: checked all at once before it starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iocmng.errors import BadInput
from iocmng.names import did_you_mean
from iocmng.runtime.script.command import path_problem
from iocmng.spec import Direction, InstanceSpec, PortSpec, RecordSpec
from iocmng.spec.convert import convert
from iocmng.spec.script import PATH, ArgumentSpec
from iocmng.values import Value


def complete_arguments(
    spec: InstanceSpec,
    given: Mapping[str, Any],
    present: Callable[[str], Value | None],
    roots: Sequence[Path] = (),
) -> dict[str, Any]:
    """The arguments of a run: what the request gives, converted; for the rest the inputs' values and defaults.

    Args:
        spec: The job.
        given: What the request gives, by name.
        present: The value that an input shows now.
        roots: Folders under which a script that the request names may lie.

    Raises:
        BadInput: Names every argument that does not fit or is missing.
    """
    inputs = {port.name: port for port in spec.ports if port.direction is Direction.INPUT}
    declared = spec.script.args if spec.script else ()
    names = {*inputs, *(spec.script.names if spec.script else ())}
    complete: dict[str, Any] = {}
    problems: list[str] = []

    def take(name: str, value: Any) -> None:
        try:
            complete[name] = _converted(name, value, inputs.get(name), spec)
        except (TypeError, ValueError) as error:
            problems.append(str(error))

    for name, value in given.items():
        if name in names:
            take(name, value)
        else:
            problems.append(f"no argument {name!r} ({did_you_mean(name, names) or 'it takes none'})")
    for name in inputs:
        if name not in given and (value := present(name)) is not None:
            take(name, value)
    for argument in declared:
        if argument.name in given or argument.name in inputs:
            continue
        if argument.default is not None:
            complete[argument.name] = argument.default
        elif argument.required or argument.positional:
            problems.append(f"argument {argument.name!r} is missing: it has no default")
    if spec.script and spec.script.path_parameter and (path := complete.get(PATH)) is not None:
        problems += filter(None, [path_problem(spec.script, path, roots)])
    if problems:
        raise BadInput(f"{spec.name}: {'; '.join(problems)}", code="arguments")
    return complete


def _converted(name: str, value: Any, port: PortSpec | None, spec: InstanceSpec) -> Any:
    argument: ArgumentSpec | None = spec.script.argument(name) if spec.script else None
    if port is not None:
        value = _within(port.record, convert(port.record, value))
    return argument.convert(value) if argument is not None else value


def _within(record: RecordSpec, value: Value) -> Value:
    """`value` when DRVL and DRVH allow it: a put would be limited by EPICS, an argument never meets the record."""
    fields = dict(record.fields)
    name = record.name.rpartition(":")[2]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and {"DRVL", "DRVH"} <= fields.keys():
        low, high = float(fields["DRVL"]), float(fields["DRVH"])
        if not low <= value <= high:
            raise ValueError(f"{name}: {value} is not within {low:g} to {high:g}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: needs a finite number, got {value}")
    return value
