"""What the world sees of an instance: one line of the list, and everything of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iocmng.wire.finding import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One line of `list`. `state` is the STATUS word of the task or job; `mode` is "" for a job.

    `busy` says that code runs now, `enabled` whether it starts at boot, `prefix` is the full PV prefix.
    `uptime` is seconds in the present run of the task (0 when it does not run).
    """

    name: str
    kind: str
    plugin: str
    distribution: str = ""
    version: str = ""
    state: str
    prefix: str = ""
    mode: str = ""
    message: str = ""
    description: str = ""
    enabled: bool = True
    degraded: bool = False
    busy: bool = False
    cycles: int = 0
    cycle_errors: int = 0
    overruns: int = 0
    restarts: int = 0
    uptime: float = 0.0
    pvs: int = 0
    class_name: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterView:
    """A parameter with its origin: `default`, `config.yaml`, `environment`, `site`, `request` or `set`.

    `live`: `set` acts at once. `pending`: it has been set and waits for the next start.
    """

    name: str
    value: Any
    origin: str
    description: str = ""
    live: bool = False
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PvView:
    """A PV with what it shows now; `low` and `high` limit what can be written."""

    name: str
    type: str
    record_type: str
    value: Any = None
    severity: str = "INVALID"
    status: str = "UDF"
    message: str = ""
    timestamp: float = 0.0
    writable: bool = False
    unit: str = ""
    description: str = ""
    labels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortView:
    """A declared port and its PV."""

    name: str
    direction: str
    pv: PvView


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """One step in the history of an instance."""

    time: float
    before: str
    after: str
    reason: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceDetail:
    """Everything of one instance."""

    view: InstanceView
    parameters: tuple[ParameterView, ...] = ()
    ports: tuple[PortView, ...] = ()
    defaults: tuple[PvView, ...] = ()
    supervision: Mapping[str, Any] = field(default_factory=dict)
    last_error: str = ""
    last_error_time: float | None = None
    traceback: str = ""
    history: tuple[StateChange, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    health: str = ""
    last_duration: float = 0.0
    refused_writes: int = 0
    abandoned: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    config: str = ""
    module: str = ""
