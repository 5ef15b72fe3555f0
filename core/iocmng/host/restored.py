"""Values of inputs that were kept over a restart, put into the description that records are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from iocmng.spec import InstanceSpec
from iocmng.values import Value


def with_values(spec: InstanceSpec, values: Mapping[str, Value]) -> InstanceSpec:
    """The description with restored values of inputs, by PV name, so that records start with them."""
    ports = tuple(
        replace(port, record=replace(port.record, value=values[port.record.name]))
        if port.record.name in values
        else port
        for port in spec.ports
    )
    return replace(spec, ports=ports)
