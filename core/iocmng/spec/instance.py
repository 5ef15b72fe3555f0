"""An instance, described once and frozen: what the runtime runs and every adapter lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from iocmng.spec.handshake import HandshakeSpec
from iocmng.spec.record import RecordSpec
from iocmng.spec.script import ScriptSpec
from iocmng.spec.wiring import LatchDirection, LinkSpec, LogicSpec
from iocmng.values import Value


class Kind(StrEnum):
    """What an instance is."""

    TASK = "task"
    JOB = "job"


class Mode(StrEnum):
    """What makes a task's code run."""

    CONTINUOUS = "continuous"
    TRIGGERED = "triggered"
    REACTIVE = "reactive"


class Direction(StrEnum):
    """Which way a port goes, seen from the instance."""

    INPUT = "input"
    OUTPUT = "output"


class RestartPolicy(StrEnum):
    """Which ends of a task are followed by a new start."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ON_ABNORMAL = "on-abnormal"
    ALWAYS = "always"


class OnStall(StrEnum):
    """What follows a stall."""

    ALARM = "alarm"
    RESTART = "restart"
    EXIT = "exit"


class Isolation(StrEnum):
    """Where the code of an instance runs: in a thread of the host, or in a process of its own."""

    THREAD = "thread"
    PROCESS = "process"


class Engine(StrEnum):
    """What the code of an instance is written for: a thread of its own, or cothread's scheduler."""

    THREAD = "thread"
    COTHREAD = "cothread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """How an instance is supervised; times in seconds. `stall_after` None means max(10, 4 * interval)."""

    restart: RestartPolicy = RestartPolicy.ON_FAILURE
    restart_sec: float = 1.0
    restart_max_sec: float = 60.0
    restart_reset: float = 600.0
    restart_max: int = 0
    restart_window: float = 60.0
    cycle_errors: int = 1
    stall_after: float | None = None
    on_stall: OnStall = OnStall.ALARM
    start_timeout: float = 30.0
    stop_timeout: float = 10.0
    heartbeat_link: str | None = None
    start_order: int = 100
    depends_on: tuple[str, ...] = ()
    run_queue: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """How runs of a job are handled; `run_timeout` in seconds, None for no limit; `keep_runs` None for the site's."""

    run_timeout: float | None = None
    on_busy: str = "refuse"
    lock: str | None = None
    keep_runs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRef:
    """Where a plugin's code and config come from.

    Attributes:
        name: The entry point's name.
        target: The entry point's value, `module:attr` or `module`.
        distribution: The distribution's name, and its `version`.
        config: Path of the config file, "" when there is none.
        editable: Installed in editable mode (its files may change under the host).
        origin: `installed` or `directory`.
        folder: The author's plugin directory, of which module and config are copies; "" for an installed one.
    """

    name: str
    target: str
    distribution: str = ""
    version: str = ""
    config: str = ""
    editable: bool = False
    origin: str = "installed"
    folder: str = ""

    @property
    def author_config(self) -> str:
        """The config file that its author edits (or may add, in a directory without one); "" when there is none."""
        if not self.folder or not self.config:
            return self.config
        return str(Path(self.folder, Path(self.config).name))

    def owns(self, file: str) -> bool:
        """Whether a file that a traceback names is its own code."""
        if self.folder and Path(file).is_relative_to(self.folder):
            return True
        return self.target.partition(":")[0].partition(".")[0].strip() in Path(file).with_suffix("").parts


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """A declared port: `value` is what the config declares, `fail_safe` what it shows when not running.

    `buffer_size` is the length of its ring buffer, `latch` which values set by a rule it keeps; None for neither.
    """

    name: str
    direction: Direction
    record: RecordSpec
    value: Value | None = None
    fail_safe: Value | None = None
    hold_on_pause: bool = False
    link: LinkSpec | None = None
    buffer_size: int | None = None
    latch: LatchDirection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterValue:
    """A parameter and where it comes from."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    """A named, configured task or job with its frozen ports and default PVs.

    `prefix` is the instance's own segment, `pv_prefix` the full one. `defaults` are the default PVs by their
    name (STATUS, MESSAGE, …). `interval` and `timeout` in seconds. `devices` says whether `get_device` may make
    some. `memory_limit` is what the code may take in a process of its own, MiB; None for no limit.
    `handshake` is what a bridge task answers; None for all others.
    """

    name: str
    kind: Kind
    plugin: PluginRef
    prefix: str
    pv_prefix: str
    mode: Mode = Mode.CONTINUOUS
    interval: float = 1.0
    timeout: float = 5.0
    description: str = ""
    version: str = ""
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    ports: tuple[PortSpec, ...] = ()
    defaults: Mapping[str, RecordSpec] = field(default_factory=dict)
    supervision: Supervision = Supervision()
    job: JobSettings = JobSettings()
    script: ScriptSpec | None = None
    logic: LogicSpec = field(default_factory=LogicSpec)
    enabled: bool = True
    class_name: str = ""
    beamline: Mapping[str, Any] = field(default_factory=dict)
    devices: bool = False
    isolation: Isolation = Isolation.THREAD
    memory_limit: float | None = None
    engine: Engine = Engine.THREAD
    handshake: HandshakeSpec | None = None

    @property
    def records(self) -> tuple[RecordSpec, ...]:
        """All records of the instance: default PVs first, then ports in declaration order."""
        return (*self.defaults.values(), *(port.record for port in self.ports))

    @property
    def linked(self) -> bool:
        """Whether any port is linked to a PV elsewhere."""
        return any(port.link is not None for port in self.ports)

    @property
    def stall_after(self) -> float:
        """Seconds without progress after which the instance is stalled."""
        given = self.supervision.stall_after
        if given is None and self.handshake is not None:
            return self.handshake.stuck_after + 5.0
        return max(10.0, 4 * self.interval) if given is None else given
