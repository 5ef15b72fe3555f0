"""Arguments of a run: checked all at once before it starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iocmng.errors import BadInput
from iocmng.names import did_you_mean
from iocmng.runtime.parameters import explain
from iocmng.runtime.script.command import path_problem
from iocmng.spec import Direction, InstanceSpec, PortSpec, RecordSpec
from iocmng.spec.convert import convert
from iocmng.spec.script import PATH, ArgumentSpec
from iocmng.values import Value
from iocmng.wire.finite import nonfinite

if TYPE_CHECKING:
    from pydantic import BaseModel


def complete_arguments(
    spec: InstanceSpec,
    given: Mapping[str, Any],
    present: Callable[[str], Value | None],
    *,
    roots: Sequence[Path] = (),
    cls: type | None = None,
) -> dict[str, Any]:
    """The arguments of a run: what the request gives, converted; for the rest the inputs' values and defaults.

    Args:
        spec: The job.
        given: What the request gives, by name.
        present: The value that an input shows now.
        roots: Folders under which a script that the request names may lie.
        cls: The job's class, whose `Arguments` model declares more; None when it is not loaded yet: what only it can
            tell is left to `settled_arguments`.

    Raises:
        BadInput: Names every argument that does not fit or is missing.
    """
    inputs = {port.name: port for port in spec.ports if port.direction is Direction.INPUT}
    declared = spec.script.args if spec.script else ()
    names = own_names(spec)
    model = arguments_model(cls)
    known = {*names, *(model.model_fields if model else ())}
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
        elif cls is None and spec.class_name:
            complete[name] = value
        elif name not in known:
            problems.append(f"no argument {name!r} ({did_you_mean(name, known) or 'it takes none'})")
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
    if model is not None:
        try:
            complete |= _modelled(model, {name: given[name] for name in given.keys() - names & known})
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise BadInput(f"{spec.name}: {'; '.join(problems)}", code="arguments")
    return complete


def settled_arguments(spec: InstanceSpec, cls: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a run that was asked for before the class was loaded, now that it is.

    Raises:
        BadInput: As `complete_arguments` would have.
    """
    names, model = own_names(spec), arguments_model(cls)
    settled = {name: value for name, value in arguments.items() if name in names}
    more = {name: value for name, value in arguments.items() if name not in names}
    if model is None:
        if more:
            told = [f"no argument {name!r} ({did_you_mean(name, names) or 'it takes none'})" for name in more]
            raise BadInput(f"{spec.name}: {'; '.join(told)}", code="arguments")
        return settled
    try:
        return settled | _modelled(model, more)
    except ValueError as error:
        raise BadInput(f"{spec.name}: {error}", code="arguments") from error


def own_names(spec: InstanceSpec) -> frozenset[str]:
    """Arguments that the config declares."""
    inputs = (port.name for port in spec.ports if port.direction is Direction.INPUT)
    return frozenset((*inputs, *(spec.script.names if spec.script else ())))


def arguments_model(cls: type | None) -> type[BaseModel] | None:
    """The `Arguments` model of a job's class, or None."""
    model = getattr(cls, "Arguments", None)
    if model is None:
        return None
    # Workers whose code has no model do without it; it takes a tenth of a second and ten MB.
    from pydantic import BaseModel

    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _modelled(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a model makes of what is given, as plain values."""
    from pydantic import ValidationError

    try:
        made = model(**given)
    except ValidationError as error:
        raise ValueError(explain(error)) from error
    plain = made.model_dump()
    if found := next(filter(None, (nonfinite(value, name) for name, value in plain.items())), ""):
        raise ValueError(f"{found}: needs a finite number")
    return plain


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
