"""Parameters set at run time: which are known, whether a value fits, which act at once."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from pydantic import ValidationError

from iocmng.errors import BadInput
from iocmng.names import did_you_mean
from iocmng.runtime.instance import Instance
from iocmng.runtime.jobarguments import arguments_model
from iocmng.runtime.parameters import RESERVED, build, explain, live_names, model_of
from iocmng.spec import Direction, Kind, ParameterValue, PortSpec
from iocmng.spec.script import ArgumentSpec
from iocmng.values import DType, PortType
from iocmng.wire import ParameterView

SETTABLE = frozenset({"interval", "timeout"})
_NUMBERS = (int, float)


def changed_values(
    instance: Instance, changes: Mapping[str, Any], kept: MutableMapping[str, Any]
) -> tuple[dict[str, ParameterValue], dict[str, Any]]:
    """The instance's parameters after `changes`, and for each that acts at once the new parameters object.

    `kept`, what was set at run time, is changed along.

    Raises:
        BadInput: Names every parameter that is unknown or does not fit.
    """
    model = model_of(instance.cls) if instance.cls else None
    known = {*instance.spec.parameters, *SETTABLE, *(model.model_fields if model else ())} - (
        RESERVED - SETTABLE
    )
    problems = []
    for key, value in changes.items():
        if key not in known:
            problems.append(f"no parameter {key!r} that can be set ({did_you_mean(key, known)})")
        elif value is None:
            kept.pop(key, None)
        elif problem := _type_problem(key, value, instance.spec.parameters.get(key)):
            problems.append(problem)
        else:
            kept[key] = value
    if problems:
        raise BadInput(f"{instance.name}: {'; '.join(problems)}", code="parameters")
    values = dict(instance.spec.parameters)
    values.update({key: ParameterValue(value=value, origin="set") for key, value in kept.items()})
    live: dict[str, Any] = {}
    if instance.cls is not None:
        plain = {key: parameter.value for key, parameter in values.items()}
        try:
            built = build(instance.cls, plain, owner=instance.name)
        except ValidationError as error:
            raise BadInput(explain(error), code="parameters") from error
        live = dict.fromkeys(live_names(instance.cls) & changes.keys(), built)
    return values, live


def _type_problem(key: str, value: Any, present: ParameterValue | None) -> str | None:
    """Say why a value cannot follow the present one when no model says more."""
    if key in SETTABLE:
        positive = isinstance(value, _NUMBERS) and not isinstance(value, bool) and value > 0
        return None if positive else f"{key}: needs a positive number of seconds, got {value!r}"
    if present is None or present.value is None:
        return None
    before = present.value
    if isinstance(before, _NUMBERS) and not isinstance(before, bool):
        fits = isinstance(value, _NUMBERS) and not isinstance(value, bool)
    else:
        fits = isinstance(value, type(before))
    return None if fits else f"{key}: is a {type(before).__name__}, got {type(value).__name__} {value!r}"


def parameter_views(instance: Instance) -> tuple[ParameterView, ...]:
    """All parameters with origin, words, and whether a set value still waits for the next start."""
    model = model_of(instance.cls) if instance.cls else None
    live = live_names(instance.cls) if instance.cls else frozenset()
    views = []
    fields = model.model_fields if model else {}
    for name in dict.fromkeys((*instance.values, *fields)):
        field = fields.get(name)
        given = instance.values.get(name)
        views.append(
            ParameterView(
                name=name,
                value=given.value
                if given
                else field.get_default(call_default_factory=True)
                if field
                else None,
                origin=given.origin if given else "default",
                description=(field.description or "") if field else "",
                live=name in live,
                pending=name in instance.pending,
            )
        )
    return tuple(views)


def schema_of(instance: Instance) -> dict[str, Any]:
    """JSON Schema of an instance's parameters, of a job's arguments under `arguments`."""
    model = model_of(instance.cls) if instance.cls else None
    if model is not None:
        schema = model.model_json_schema()
    else:
        properties = {
            name: {"default": parameter.value, **_json_type(parameter.value)}
            for name, parameter in instance.spec.parameters.items()
            if name not in RESERVED - SETTABLE
        }
        schema = {"type": "object", "properties": properties, "additionalProperties": False}
    arguments = {
        port.name: _port_schema(port) for port in instance.spec.ports if port.direction is Direction.INPUT
    }
    required: list[str] = []
    declared = arguments_model(instance.cls)
    definitions: dict[str, Any] = {}
    if declared is not None and instance.spec.kind is Kind.JOB:
        made = declared.model_json_schema()
        arguments.update(made.get("properties", {}))
        required += made.get("required", [])
        definitions = {"$defs": made["$defs"]} if "$defs" in made else {}
    if instance.spec.script is not None:
        for name in instance.spec.script.names:
            argument = instance.spec.script.argument(name)
            if argument is not None:
                arguments[name] = _argument_schema(argument)
            if argument is not None and argument.required and argument.default is None:
                required.append(name)
    more = {"required": required} if required else {}
    return {
        **schema,
        "arguments": {
            **more,
            **definitions,
            "type": "object",
            "properties": arguments,
            "additionalProperties": False,
        },
    }


def _json_type(value: Any) -> dict[str, str]:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    kind = kinds.get(type(value))
    return {"type": kind} if kind else {}


def _port_schema(port: PortSpec) -> dict[str, Any]:
    record = port.record
    schema: dict[str, Any] = {"description": record.description}
    if record.type is PortType.ENUM:
        schema["enum"] = list(record.labels)
    elif record.type is PortType.ARRAY:
        items = "string" if record.dtype is DType.STRING else "number"
        schema.update(type="array", items={"type": items}, maxItems=record.length)
    else:
        words = {PortType.FLOAT: "number", PortType.INT: "integer", PortType.BOOL: "boolean"}
        schema["type"] = words.get(record.type, "string")
    if port.value is not None and not hasattr(port.value, "tolist"):
        schema["default"] = port.value
    return schema


def _argument_schema(argument: ArgumentSpec) -> dict[str, Any]:
    word = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
    kind = {"type": word[argument.type.removesuffix("_list")]}
    schema: dict[str, Any] = {"type": "array", "items": kind} if argument.many else dict(kind)
    schema["description"] = argument.description
    if argument.default is not None:
        schema["default"] = argument.default
    return schema
