"""Descriptions of instances."""

from __future__ import annotations

from dataclasses import replace

from iocmng.spec import Direction, InstanceSpec, Kind, Mode, ParameterValue, PluginRef, PortSpec, RecordSpec
from iocmng.values import PortType

PREFIX = "TEST"


def task_spec(name: str, mode: Mode = Mode.CONTINUOUS) -> InstanceSpec:
    """A task with one input, one output and one parameter."""
    prefix = f"{PREFIX}:{name.upper()}"

    def record(port: str, record_type: str, writable: bool) -> RecordSpec:
        return RecordSpec(
            name=f"{prefix}:{port}",
            type=PortType.FLOAT,
            record_type=record_type,
            port=port,
            writable=writable,
            unit="mbar",
        )

    return InstanceSpec(
        name=name,
        kind=Kind.TASK,
        plugin=PluginRef(name=name, target=f"acme.{name}:Task", distribution=f"acme-{name}", version="1.2"),
        prefix=name.upper(),
        pv_prefix=prefix,
        mode=mode,
        parameters={"gain": ParameterValue(value=2.0, origin="config.yaml")},
        ports=(
            PortSpec(name="LIMIT", direction=Direction.INPUT, record=record("LIMIT", "ao", True), value=1.5),
            PortSpec(name="PRESSURE", direction=Direction.OUTPUT, record=record("PRESSURE", "ai", False)),
        ),
        defaults={"STATUS": replace(record("STATUS", "mbbi", False), type=PortType.ENUM, unit="")},
        class_name="Task",
    )
