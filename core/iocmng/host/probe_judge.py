"""What one fork of the probing child does with one question; whatever the plugin does ends with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from iocmng.base import DeclarativeTask, ScriptJob
from iocmng.config import LoadedConfig, PluginConfig, load_config, parse_config
from iocmng.host.probe_imports import ImportTimes
from iocmng.ioc.check import check_records
from iocmng.logic.functions import get_registry
from iocmng.plugins.candidate import has_error
from iocmng.plugins.classcheck import (
    check_class,
    check_handshake,
    check_mode,
    check_ports,
    check_script,
    check_script_file,
    kind_of,
)
from iocmng.plugins.load import LoadFailed, load_class, load_object, prepare
from iocmng.plugins.verdict import Question, Verdict
from iocmng.runtime.parameters import RESERVED, model_of
from iocmng.spec import InstanceSpec, Kind, Mode
from iocmng.spec.build import describe
from iocmng.wire import Finding, Level, Where

Say = Callable[[str], None]
"""Tells the server which phase begins, so that it can say what a child that vanished was doing."""


def judge(question: Question, say: Say) -> Verdict:
    """Import a plugin, look at its class, and load its records into a database that is never served."""
    functions = get_registry().keys()
    prepare(question.roots, question.plugin.target, first=question.first)
    say("import")
    try:
        if question.hooks:
            load_object(question.plugin)
            return Verdict()
        loaded = _config(question)
        script = bool(loaded.config and loaded.config.script)
        with ImportTimes(question.plugin.target) as times:
            cls = load_class(question.plugin, script=script)
    except LoadFailed as failure:
        return Verdict(findings=(failure.finding,))
    say("class")
    findings = list(check_class(cls))
    kind = kind_of(cls)
    if kind is None or loaded.config is None:
        return Verdict(findings=tuple(findings), kind=kind, class_name=cls.__name__)
    findings += check_script(cls, script=script)
    handshake = loaded.config.handshake
    findings += check_handshake(
        cls, handshake.prefixes if handshake else None, handshake.records if handshake else {}
    )
    if loaded.config.script is not None:
        findings += check_script_file(loaded.config.script.path, question.plugin.config)
    sets = {key: tuple(_check_set(cls, loaded, given)) for key, given in question.parameters.items()}
    say("records")
    if not has_error(findings):
        findings.extend(_check_records(question, kind, loaded))
        findings.extend(_check_ports(question, kind, loaded, cls))
    return Verdict(
        findings=tuple(findings),
        kind=kind,
        class_name="" if cls in (DeclarativeTask, ScriptJob) else cls.__name__,
        schema=_schema(cls),
        parameters=sets,
        functions=tuple(sorted(get_registry().keys() - functions)),
        imports=times.seconds,
    )


def _config(question: Question) -> LoadedConfig:
    if question.config:
        return parse_config(question.config, "policy.json", lenient=question.lenient)
    return load_config(Path(question.plugin.config), lenient=question.lenient)


def _check_set(cls: type, loaded: LoadedConfig, given: Mapping[str, Any]) -> Iterator[Finding]:
    """What a class says about one set of parameters."""
    rules = bool(loaded.config and (loaded.config.rules or loaded.config.transforms))
    answers = bool(loaded.config and loaded.config.handshake is not None)
    mode = Mode.TRIGGERED if answers else Mode(given.get("mode", Mode.CONTINUOUS))
    yield from check_mode(cls, mode, rules=rules)
    declared: Any = getattr(cls, "Parameters", None)
    model = model_of(cls)
    if model is None:
        if isinstance(declared, type):
            text = f"{cls.__name__}.Parameters is no pydantic model"
            hint = "write 'class Parameters(ParameterModel):' after 'from iocmng import ParameterModel'"
            yield Finding(Level.ERROR, "parameters", text, Where(key="Parameters"), hint)
        return
    fields = model.model_fields
    try:
        model(**{key: value for key, value in given.items() if key in fields or key not in RESERVED})
    except ValidationError as error:
        for item in error.errors(include_url=False):
            yield _parameter_finding(
                item["loc"], item["msg"].removeprefix("Value error, "), item["type"], given, loaded
            )
    except Exception as problem:  # noqa: BLE001 - a border: a model's own validators may raise anything
        text = f"{cls.__name__}.Parameters raises {type(problem).__name__}: {problem}"
        yield Finding(Level.ERROR, "parameters", text, loaded.locate("parameters"))


def _parameter_finding(
    loc: tuple[int | str, ...], message: str, kind: str, given: Mapping[str, Any], loaded: LoadedConfig
) -> Finding:
    name = str(loc[0]) if loc else "parameters"
    config = loaded.config.parameters.given if loaded.config else {}
    ours = name not in given or config.get(name) == given[name]
    where = loaded.locate("parameters", *loc) if ours else Where(key=f"parameters.{name}")
    got = f", got {given[name]!r}" if name in given and kind != "extra_forbidden" else ""
    hint = ""
    if kind == "missing":
        hint = f"write {name} under parameters: in config.yaml or the site file"
    elif kind == "extra_forbidden":
        message, hint = "the plugin has no such parameter", "remove it, or declare it in the Parameters class"
    return Finding(Level.ERROR, "parameters", f"parameter {name!r}: {message}{got}", where, hint)


def _schema(cls: type) -> Mapping[str, Any]:
    model = model_of(cls)
    if model is None:
        return {}
    try:
        return model.model_json_schema()
    except Exception:  # noqa: BLE001 - a border: fields of foreign types may have no schema; the model still counts
        return {"type": "object", "properties": {name: {} for name in model.model_fields}}


def _check_records(question: Question, kind: Kind, loaded: LoadedConfig) -> Iterator[Finding]:
    config = loaded.config
    spec = _describe(question, kind, config) if config else None
    if spec is None:
        return
    directions = {port.name: f"{port.direction}s" for port in spec.ports}
    ports = {record.name: record.port for record in spec.records}
    for record, complaint in check_records(spec.records):
        port = ports.get(record, "")
        where = loaded.locate("arguments", directions[port], port) if port in directions else loaded.locate()
        text = f"EPICS refuses {port or 'the records'}: {complaint}"
        yield Finding(Level.ERROR, "epics", text, where, "correct or remove the field")


def _check_ports(question: Question, kind: Kind, loaded: LoadedConfig, cls: type) -> Iterator[Finding]:
    spec = _describe(question, kind, loaded.config) if loaded.config else None
    if spec is not None:
        # RUN is there in one mode only, and the site file may choose that mode.
        yield from check_ports(
            cls,
            {port.name for port in spec.ports},
            {"RUN", *spec.defaults},
            owned=spec.logic.outputs,
            linked={port.name for port in spec.ports if port.link is not None},
        )


def _describe(question: Question, kind: Kind, config: PluginConfig) -> InstanceSpec | None:
    plugin = question.plugin
    spec, _ = describe(config, plugin, kind=kind, name=plugin.name, host_prefix=question.host_prefix)
    return spec
