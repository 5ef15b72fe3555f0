"""Forms of requests, and of answers beyond those of `wire`: `to_plain` writes them, these describe them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from iocmng.api.lookup import LONGEST_NAME, LONGEST_WAIT, shown
from iocmng.names import did_you_mean
from iocmng.runtime.ports import DEFAULT_TIMEOUT
from iocmng.wire import (
    GenerationView,
    InstanceDetail,
    InstanceView,
    LogLine,
    OperationView,
    PvReading,
    PvView,
    Role,
    RunView,
    TokenView,
)

LONGEST_PV = 256


@dataclass(frozen=True, kw_only=True)
class Brief(InstanceView):
    """A line of the list with the fields of the previous system that cost nothing.

    `status` keeps its words (loaded, running, stopped, error, invalid); `running` is null for a job.
    """

    plugin_type: str
    status: str
    running: bool | None
    cycle_count: int
    pv_prefix: str


@dataclass(frozen=True, kw_only=True)
class Startup:
    """How an instance starts and what it serves, in the words of the previous system."""

    name: str
    plugin_type: str
    mode: str
    pv_prefix: str
    plugin_prefix: str
    auto_start: bool = True
    auto_start_on_boot: bool = True
    autostart_order: int | None = None
    git_url: str = ""
    local_path: str | None = None
    path: str = ""
    branch: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start_parameters: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    pv_definitions: Mapping[str, Any] = field(default_factory=dict)
    base_control_pvs: Sequence[str] = ()
    additional_input_pvs: Sequence[str] = ()
    additional_output_pvs: Sequence[str] = ()
    built_pvs: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What validation found, in the words of the previous system."""

    ok: bool
    class_name: str
    plugin_type: str
    errors: Sequence[str] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Entry(Startup, Brief):
    """One instance in a list, with all fields of the previous system."""

    validation: Validation


@dataclass(frozen=True, kw_only=True)
class EntryDetail(Entry):
    """One instance, with everything of it under `detail`."""

    detail: InstanceDetail


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Instances."""

    plugins: Sequence[Entry]
    count: int


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What came of a verb."""

    ok: bool
    message: str
    instance: Brief
    validation: Validation


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What came of an operation; `instance` and `validation` are null when it is about none that is here."""

    ok: bool
    message: str
    instance: Brief | None
    validation: Validation | None
    operation: OperationView


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Operations of this process, newest first."""

    operations: Sequence[OperationView]
    count: int


@dataclass(frozen=True, kw_only=True)
class Generations:
    """Generations that are kept, newest first."""

    generations: Sequence[GenerationView]
    count: int


@dataclass(frozen=True, kw_only=True)
class JobResultBody:
    """The result of a run in the words of the previous system; `timestamp` is ISO 8601 UTC."""

    success: bool
    data: Any
    message: str
    timestamp: str


@dataclass(frozen=True, kw_only=True)
class JobRan:
    """A run that was waited for."""

    ok: bool
    result: JobResultBody
    run: RunView


@dataclass(frozen=True, kw_only=True)
class Health:
    """`status` is ok, degraded (something failed or is degraded), or the host's state when not RUN."""

    status: str
    version: str
    tasks_count: int
    jobs_count: int


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs of a job, newest first."""

    runs: Sequence[RunView]
    count: int


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Log lines, oldest first."""

    lines: Sequence[LogLine]
    count: int


@dataclass(frozen=True, kw_only=True)
class Pvs:
    """PVs of the host."""

    pvs: Sequence[PvView]
    count: int


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens, without their secrets."""

    tokens: Sequence[TokenView]
    count: int


@dataclass(frozen=True, kw_only=True)
class Done:
    """It is done."""

    ok: bool
    message: str


@dataclass(frozen=True, kw_only=True)
class PvAnswer(PvReading):
    """A PV that was read; `ok` is true and `error` null, as clients of the previous system expect."""

    ok: bool
    error: str | None


@dataclass(frozen=True, kw_only=True)
class PvPut:
    """A PV that was written; `ok` is true and `error` null."""

    ok: bool
    pv_name: str
    address: str
    error: str | None


@dataclass(frozen=True, kw_only=True)
class PvMonitor:
    """A subscription that was made or ended."""

    ok: bool
    key: str
    message: str


@dataclass(frozen=True, kw_only=True)
class PvMonitored:
    """A subscription: its latest reading (null before the first), and how many there were.

    `expires` is in how many seconds it ends when nobody asks for it.
    """

    key: str
    pv_name: str
    reading: PvReading | None
    updates: int
    expires: float


@dataclass(frozen=True, kw_only=True)
class PvMonitors:
    """The caller's subscriptions: `monitors` has the PV of each key, `readings` the latest of each."""

    monitors: Mapping[str, str]
    count: int
    readings: Mapping[str, PvReading | None]


@dataclass(frozen=True, kw_only=True)
class PvProvider:
    """How PVs elsewhere without a scheme are reached, `pva` or `ca`."""

    provider: str


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Devices of the beamline file, and those that tasks and jobs have made."""

    available: Sequence[str]
    available_count: int
    created: Sequence[str]
    created_count: int


@dataclass(frozen=True, kw_only=True)
class ProblemBody:
    """An RFC 9457 problem; `ok`, `message` and `validation` only on the paths of the previous system."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    instance: str


class Request(BaseModel):
    """Base of request bodies: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_keys(cls, given: Any) -> Any:
        known = cls.model_fields
        unknown = [str(key) for key in given if key not in known] if isinstance(given, dict) else []
        if unknown:
            said = ", ".join(shown(key) for key in unknown[:5])
            raise PydanticCustomError(
                "unknown-key",
                "unknown key {said}; {hint}",
                {"said": said, "hint": did_you_mean(unknown[0][:LONGEST_NAME], known)},
            )
        return given


class RunRequest(Request):
    """Arguments of a run."""

    arguments: dict[str, Any] = {}


class ParametersRequest(Request):
    """Parameters to set; null drops one."""

    parameters: dict[str, Any]


class PutRequest(Request):
    """A value for a PV: number, string, label of an enum, or list; NaN as "NaN"."""

    value: Any


PvName = Annotated[str, Field(min_length=1, max_length=LONGEST_PV)]
Timeout = Annotated[float, Field(gt=0, le=LONGEST_WAIT, allow_inf_nan=False)]


class PvGetRequest(Request):
    """A PV to read: a full name, `ca://NAME` or `pva://NAME`; `timeout` in seconds."""

    pv_name: PvName
    timeout: Timeout = DEFAULT_TIMEOUT


class PvPutRequest(PvGetRequest):
    """A PV to write, and a number, text, label of an enum, or list for it; `timeout` in seconds."""

    value: Any


class PvMonitorRequest(Request):
    """A PV to subscribe to, and the key of the subscription; the PV's name when not given."""

    pv_name: PvName
    name: Annotated[str | None, Field(max_length=LONGEST_PV)] = None


class TokenRequest(Request):
    """A token to make."""

    name: str
    role: Role
