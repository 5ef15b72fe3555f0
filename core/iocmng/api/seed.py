"""What clients of the previous system read in an entry, made from the view and the frozen description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from iocmng.api.models import Startup
from iocmng.spec import Direction, InstanceSpec, PortSpec
from iocmng.wire import Finding, InstanceView, Level, to_plain

_STATUS: Mapping[str, str] = {
    "INIT": "loaded",
    "RUN": "running",
    "PAUSED": "running",
    "RUNNING": "running",
    "END": "stopped",
    "ERROR": "error",
    "BACKOFF": "error",
    "STALLED": "error",
    "INVALID": "invalid",
}
_ALIVE = frozenset({"RUN", "PAUSED", "STALLED"})
_STARTUP_KEYS = frozenset(field.name for field in fields(Startup))

Plain = dict[str, Any]


def brief(view: InstanceView) -> Plain:
    """The entry that needs nothing but the view."""
    task = view.kind == "task"
    return {
        **to_plain(view),
        "plugin_type": view.kind,
        "status": _STATUS.get(view.state, "loaded"),
        "running": view.state in _ALIVE if task else None,
        "cycle_count": view.cycles,
        "pv_prefix": view.prefix,
    }


def entry(view: InstanceView, spec: InstanceSpec | None, told: Mapping[str, Any]) -> Plain:
    """The whole entry; `told` is what the host itself says about the start."""
    return {**startup(view, spec, told), **brief(view), "validation": validation(view)}


def startup(view: InstanceView, spec: InstanceSpec | None, told: Mapping[str, Any]) -> Plain:
    """How the instance starts and what it serves."""
    found: Plain = to_plain(
        Startup(
            name=view.name,
            plugin_type=view.kind,
            mode=view.mode,
            pv_prefix=view.prefix,
            plugin_prefix=view.prefix.rpartition(":")[2],
            auto_start_on_boot=view.enabled,
        )
        if spec is None
        else _described(view, spec)
    )
    found.update(_source(view.origin))
    found.update(to_plain({key: value for key, value in told.items() if key in _STARTUP_KEYS}))
    return found


def validation(view: InstanceView) -> Plain:
    """What validation found."""

    def texts(level: Level) -> list[str]:
        return [str(finding) for finding in view.findings if finding.level is level]

    return {
        "ok": view.state != "INVALID" and not texts(Level.ERROR),
        "class_name": view.class_name,
        "plugin_type": view.kind,
        "errors": texts(Level.ERROR),
        "warnings": texts(Level.WARNING),
    }


def broken(view: InstanceView, fault: Exception) -> Plain:
    """An entry for an instance that cannot be described."""
    finding = Finding(
        Level.ERROR, "listing", f"cannot be listed: {fault}", hint="the host's log has the traceback"
    )
    text = to_plain(view.message) or finding.message
    return {**brief(view), "message": text, "findings": to_plain((*view.findings, finding))}


def _source(origin: str) -> Plain:
    """Where a plugin directory comes from: `/FOLDER#PATH`, or `https://HOST/REPOSITORY@BRANCH#PATH`."""
    place, _, path = origin.partition("#")
    if place.startswith("/") and not place.endswith(".whl"):
        return {"local_path": place, "path": path}
    scheme, git, rest = place.partition("://")
    if not git:
        return {}
    authority, _, tail = rest.partition("/")
    repository, _, branch = tail.partition("@")
    return {"git_url": f"{scheme}://{authority}/{repository}", "branch": branch, "path": path}


def _described(view: InstanceView, spec: InstanceSpec) -> Startup:
    inputs = [port for port in spec.ports if port.direction is Direction.INPUT]
    outputs = [port for port in spec.ports if port.direction is Direction.OUTPUT]
    definitions = {"inputs": _definitions(inputs), "outputs": _definitions(outputs)}
    controls = list(spec.defaults)
    return Startup(
        name=spec.name,
        plugin_type=spec.kind.value,
        mode=view.mode,
        pv_prefix=spec.pv_prefix,
        plugin_prefix=spec.prefix,
        auto_start=view.enabled,
        auto_start_on_boot=view.enabled,
        autostart_order=spec.supervision.start_order,
        parameters={name: given.value for name, given in spec.parameters.items()},
        start_parameters={
            name: given.value
            for name, given in spec.parameters.items()
            if given.origin in ("config.yaml", "default")
        },
        arguments=definitions,
        pv_definitions=definitions,
        base_control_pvs=controls,
        additional_input_pvs=[port.name for port in inputs],
        additional_output_pvs=[port.name for port in outputs],
        built_pvs=[*controls, *(port.name for port in spec.ports)],
    )


def _definitions(ports: list[PortSpec]) -> Plain:
    found: Plain = {}
    for port in ports:
        record = port.record
        given = {
            "type": record.type.value,
            "value": port.value,
            "unit": record.unit,
            "description": record.description,
            "labels": list(record.labels),
        }
        found[port.name] = {key: value for key, value in given.items() if value not in (None, "", [])}
    return found
