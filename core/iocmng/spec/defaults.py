"""The default PVs of tasks, jobs, invalid plugins and the host (REFERENCE 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from iocmng import names
from iocmng.lifecycle import HostState, JobState, State
from iocmng.spec.instance import Kind, Mode
from iocmng.spec.record import RecordSpec
from iocmng.values import DType, PortType

LONG_TEXT = 255
SHORT_TEXT = 39
INVALID_LABEL = State.INVALID.name

STATE_SEVERITY_FIELDS = tuple(
    f"{state}SV"
    for state in (
        "ZR",
        "ON",
        "TW",
        "TH",
        "FR",
        "FV",
        "SX",
        "SV",
        "EI",
        "NI",
        "TE",
        "EL",
        "TV",
        "TT",
        "FT",
        "FF",
    )
)
"""Severity fields of mbbi and mbbo, in the order of the states."""

Template = Mapping[str, Any]
"""A RecordSpec's arguments without its name."""


def _bo(
    description: str, action: str, *, idle: str = "Idle", value: bool = False, completes: bool = False
) -> Template:
    return {
        "type": PortType.BOOL, "record_type": "bo", "writable": True, "labels": (idle, action),
        "value": value, "completes": completes, "description": description,
    }  # fmt: skip


def _bi(description: str, labels: tuple[str, str] = ("Off", "On"), severity: str = "") -> Template:
    return {
        "type": PortType.BOOL, "record_type": "bi", "labels": labels, "description": description,
        "fields": (("OSV", severity),) if severity else (),
    }  # fmt: skip


def _mbbi(description: str, labels: tuple[str, ...], severities: Mapping[str, str]) -> Template:
    fields = tuple(
        (STATE_SEVERITY_FIELDS[labels.index(label)], severity) for label, severity in severities.items()
    )
    return {
        "type": PortType.ENUM, "record_type": "mbbi", "labels": labels, "description": description,
        "fields": fields,
    }  # fmt: skip


def _text(description: str, length: int = SHORT_TEXT) -> Template:
    record_type = "lsi" if length > SHORT_TEXT else "stringin"
    return {"type": PortType.STRING, "record_type": record_type, "length": length, "description": description}


def _count(description: str, fields: tuple[tuple[str, str], ...] = ()) -> Template:
    return {"type": PortType.INT, "record_type": "longin", "description": description, "fields": fields}


def _number(description: str, unit: str, precision: int, **fields: str) -> Template:
    return {
        "type": PortType.FLOAT, "record_type": "ai", "unit": unit, "description": description,
        "fields": (("PREC", str(precision)), *fields.items()),
    }  # fmt: skip


_STATUS_TASK = _mbbi(
    "State of the task",
    tuple(state.name for state in State),
    {"ERROR": "MAJOR", "BACKOFF": "MINOR", "STALLED": "MAJOR", "INVALID": "INVALID"},
)
_JOB_WORDS = {int(State.INVALID): INVALID_LABEL, **{int(state): state.name for state in JobState}}
_STATUS_JOB = _mbbi(
    "State or outcome of the latest run",
    tuple(word for _, word in sorted(_JOB_WORDS.items())),
    {"FAILED": "MAJOR", "ABORTED": "MINOR", "TIMEOUT": "MAJOR", "LOST": "MAJOR", "INVALID": "INVALID"},
)
_MESSAGE = _text("What it does or why it stopped", LONG_TEXT)
_LAST_ERROR = _text("Latest error, kept until RESET", LONG_TEXT)

_TASK: Mapping[str, Template] = {
    "ENABLE": _bo("0 pauses, 1 resumes", "Enabled", idle="Disabled", value=True),
    "STATUS": _STATUS_TASK,
    "MESSAGE": _MESSAGE,
    "LAST_ERROR": _LAST_ERROR,
    "LAST_ERROR_TIME": _text("When it happened"),
    "DEGRADED": _bi("A link or health() complains", ("OK", "Degraded"), "MINOR"),
    "RESTART": _bo("1 restarts the task", "Restart"),
    "VERSION": _text("Version of the plugin"),
    "CLEAR": _bo("1 releases latches whose cause is gone", "Clear"),
    "RESET": _bo("1 clears, zeroes counters, leaves ERROR", "Reset"),
    "HEARTBEAT": _bi("Toggles each second while it progresses"),
    "BUSY": _bi("Code is running", ("Idle", "Busy")),
    "TASK_STATUS": _mbbi(
        "Result of the last cycle",
        ("Success", "Task Fail", "IO Failure", "Code Crash"),
        {"Task Fail": "MINOR", "IO Failure": "MINOR", "Code Crash": "MAJOR"},
    ),
    "TASK_DURATION": _number("Duration of the last cycle", "s", 6),
    "CYCLE_ERRORS": _count("Cycles that failed"),
    "OVERRUNS": _count("Cycles that took longer than interval"),
    "RESTARTS": _count("Starts after a failure"),
}
_CYCLE_COUNT = _count("Cycles since the start")
_RUN_TASK = _bo("1 runs the task once", "Run", completes=True)

_JOB: Mapping[str, Template] = {
    "STATUS": _STATUS_JOB,
    "MESSAGE": _MESSAGE,
    "RUN": _bo("1 starts a run", "Run", completes=True),
    "ABORT": _bo("1 aborts the run", "Abort"),
    "PROGRESS": _number("Progress of the run", "%", 1, LOPR="0", HOPR="100"),
    "RUN_ID": _text("Id of the latest run"),
    "STARTED": _text("Start of the latest run"),
    "ELAPSED": _number("Duration of the latest run", "s", 3),
    "EXIT_CODE": _count("Exit code of the latest run"),
    "LAST_LINE": _text("Latest line of the run's log", LONG_TEXT),
}

_HOST: Mapping[str, Template] = {
    "STATE": _mbbi("State of the host", tuple(state.name for state in HostState), {"SAFE_MODE": "MINOR"}),
    "HEARTBEAT": _bi("Toggles each second"),
    "BEAT": _count("Counts the host's heartbeats"),
    "UPTIME": _number("Time since the start", "s", 0),
    "VERSION": _text("Version of iocmng"),
    "INSTANCES": _count("Instances and broken plugins"),
    "RUNNING": _count("Instances that run"),
    "FAILED": _count("Instances that failed", (("HIGH", "1"), ("HSV", "MAJOR"))),
    "DEGRADED": _count("Instances that are degraded", (("HIGH", "1"), ("HSV", "MINOR"))),
    "SPARES_FREE": _count("Tasks that still fit without a restart", (("LOW", "4"), ("LSV", "MINOR"))),
    "RESTART_REQUIRED": _bi("A change waits for a restart", ("No", "Yes")),
    "SAFE_MODE": _bi("No plugin was started", ("No", "Yes"), "MINOR"),
    "CPU": _number("Use of one core", "%", 1),
    "MEMORY": _number("Resident memory", "MiB", 1),
    "MESSAGE": _text("What the host does or complains about", LONG_TEXT),
    "BOOT_ID": _text("Changes with each start"),
    "HOSTNAME": _text("Machine that the host runs on", LONG_TEXT),
    "PID": _count("Process id of the host"),
    "URL": _text("Address of the admin endpoint", LONG_TEXT),
}


@dataclass(frozen=True, slots=True)
class Wiring:
    """What further default PVs follow: names of linked inputs and outputs, and first-out groups."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


UNWIRED = Wiring()
FIRST = "_FIRST"
"""End of the PV that names the first rule of a group that fired."""


def _connections(kind: str, ports: tuple[str, ...]) -> dict[str, Template]:
    if not ports:
        return {}
    longest = max(LONG_TEXT, len("\n".join(ports)))
    return {
        f"CONN_{kind}": {
            "type": PortType.ARRAY, "record_type": "waveform", "length": len(ports), "dtype": DType.UINT8,
            "description": "1 connected, 0 not, by CONN_" + kind + "_NAMES",
        },
        f"CONN_{kind}_NAMES": _text("Linked ports, one a line", longest),
    }  # fmt: skip


def _named(prefix: str, templates: Mapping[str, Template]) -> dict[str, RecordSpec]:
    return {
        port: RecordSpec(name=f"{prefix}:{port}", port=port, **template)
        for port, template in templates.items()
    }


@cache
def _task_templates(mode: Mode, wiring: Wiring) -> Mapping[str, Template]:
    last = {"RUN": _RUN_TASK} if mode is Mode.TRIGGERED else {"CYCLE_COUNT": _CYCLE_COUNT}
    firsts = {f"{group}{FIRST}": _text("First rule of the group that fired") for group in wiring.groups}
    connections = {**_connections("INP", wiring.inputs), **_connections("OUT", wiring.outputs)}
    return {**_TASK, **last, **connections, **firsts}


def task_defaults(pv_prefix: str, mode: Mode, wiring: Wiring = UNWIRED) -> dict[str, RecordSpec]:
    """Default PVs of a task by their last part: `RUN` when it is triggered, else `CYCLE_COUNT`.

    Args:
        pv_prefix: Prefix of the instance.
        mode: What makes it run.
        wiring: Its links and first-out groups, which have PVs of their own.
    """
    return _named(pv_prefix, _task_templates(mode, wiring))


def job_defaults(pv_prefix: str) -> dict[str, RecordSpec]:
    """Default PVs of a job by their last part."""
    return _named(pv_prefix, _JOB)


def invalid_defaults(pv_prefix: str, kind: Kind) -> dict[str, RecordSpec]:
    """What a refused plugin still shows: STATUS (7 is INVALID for both kinds), MESSAGE, LAST_ERROR."""
    status = _STATUS_JOB if kind is Kind.JOB else _STATUS_TASK
    return _named(pv_prefix, {"STATUS": status, "MESSAGE": _MESSAGE, "LAST_ERROR": _LAST_ERROR})


def host_records(host_prefix: str) -> dict[str, RecordSpec]:
    """The host's own PVs by their last part; EPICS itself computes ALIVE from BEAT, without Python."""
    prefix = names.pv_name(host_prefix, names.HOST_SEGMENT)
    return {**_named(prefix, _HOST), "ALIVE": alive_record(prefix)}


def alive_record(prefix: str) -> RecordSpec:
    """A calc that is 1 while `{prefix}:BEAT` moves between two scans of 2 s, else 0 and MAJOR.

    The second input is the record's own LA, where a calc keeps what A was when it was last processed.
    """
    name = f"{prefix}:ALIVE"
    return RecordSpec(
        name=name,
        port="ALIVE",
        type=PortType.FLOAT,
        record_type="calc",
        description="1 while the host's heartbeat moves",
        fields=(
            ("SCAN", "2 second"),
            ("INPA", f"{prefix}:BEAT NPP NMS"),
            ("INPB", f"{name}.LA NPP NMS"),
            ("CALC", "A!=B"),
            ("LOW", "0.5"),
            ("LSV", "MAJOR"),
            ("LOPR", "0"),
            ("HOPR", "1"),
        ),
    )
