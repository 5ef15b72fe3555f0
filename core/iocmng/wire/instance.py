"""What the world sees of an instance: one line of the list, and everything of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iocmng.wire.finding import Finding
from iocmng.wire.run import JobView


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One line of `list`. `state` is the STATUS word of the task or job; `mode` is "" for a job.

    `degraded` says that something is not as it should be, `complaint` what. `busy` says that code runs now,
    `enabled` whether it starts at boot, `prefix` is the full PV prefix.
    `uptime` is seconds in the present run of the task (0 when it does not run). Of a job, `progress` is that of its
    latest run (0 to 100 %), `waiting` how many runs wait.
    `generation` is that which its distribution came with, None for what pip installed in the base; `origin` where that
    distribution came from: `base`, `index`, or the address of a wheel, folder or git source.
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
    complaint: str = ""
    busy: bool = False
    cycles: int = 0
    cycle_errors: int = 0
    overruns: int = 0
    restarts: int = 0
    uptime: float = 0.0
    progress: float = 0.0
    waiting: int = 0
    pvs: int = 0
    class_name: str = ""
    generation: int | None = None
    origin: str = ""
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
class LinkView:
    """The link of a port: its address, how it is used, and how it does.

    `mode` is `poll` or `monitor` for an input, "" for an output; `local` says that the PV is one of this host.
    `age` is seconds since the last proof of life of an input; `complaint` why it is not well, or "".
    `updates` counts readings taken, or values the target took; `failures` what went wrong; `dropped` readings or
    values that were superseded before their turn; `pending` that a value waits for the target.
    """

    address: str
    mode: str = ""
    local: bool = False
    connected: bool = False
    age: float | None = None
    complaint: str = ""
    updates: int = 0
    failures: int = 0
    dropped: int = 0
    pending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PortView:
    """A declared port, its PV, and its link when it has one."""

    name: str
    direction: str
    pv: PvView
    link: LinkView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """The present decision of a rule and its reason.

    `state` is `active`, `inactive` or `undecided`; `condition` what it was written as, `value` what that gives now:
    True, False, or None for unknown. `held` says that it keeps an earlier decision because inputs are unknown.
    `since` is when it was decided so, seconds since 1970-01-01 UTC; `pending` seconds until a `for` or `clear_for`
    is over, None when none runs.
    """

    id: str
    state: str
    condition: str
    value: bool | None = None
    reason: str = ""
    held: bool = False
    since: float = 0.0
    pending: float | None = None
    message: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    actuators: Mapping[str, Any] = field(default_factory=dict)
    fired: int = 0


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
    """Everything of one instance.

    `latched` are outputs that hold a value until CLEAR; `unknowns` counts, by transform or rule, evaluations in which
    an expression could not be computed (division by zero, an empty buffer, a text where a number is needed).
    `worker` is the process in which its code runs when that is not the host's, and `worker_memory` what that process
    has for itself, MiB.
    """

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
    job: JobView | None = None
    rules: tuple[RuleView, ...] = ()
    latched: Mapping[str, Any] = field(default_factory=dict)
    evaluations: int = 0
    unknowns: Mapping[str, int] = field(default_factory=dict)
    worker: int | None = None
    worker_memory: float | None = None
