"""What goes into one evaluation of an instance's logic, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from iocmng.logic.samples import Samples
from iocmng.values import Reading, Severity, Status, Value


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that expressions may read, taken once for one evaluation.

    Attributes:
        readings: Inputs, and outputs that the logic does not write, by name; INVALID where they are too old.
        buffers: Ring buffers by port name (without `_buf`).
        ages: Seconds since the last proof of life (or by the source's time stamp) of linked inputs, by name.
        parameters: Parameters by name.
        wall: Seconds since 1970-01-01 UTC.
    """

    readings: Mapping[str, Reading]
    buffers: Mapping[str, Samples] = field(default_factory=dict)
    ages: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    wall: float = 0.0


@dataclass(frozen=True, slots=True)
class OutputWrite:
    """An output that differs from what was written last, in value or quality.

    `value` None leaves the value that is shown and changes its quality only.
    """

    port: str
    value: Value | None
    severity: Severity = Severity.NO_ALARM
    status: Status = Status.NO_ALARM
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A value for the PV that a port is linked to, to be written now.

    It stands, to be written again when its target reconnects and retried until accepted, until a step names the
    port among its `withdrawn`.
    """

    port: str
    value: Value
    rule: str


class LogicEventKind(StrEnum):
    """What happened to a rule, a latch or an expression."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    UNKNOWN = "unknown"
    KNOWN = "known"
    LATCHED = "latched"
    RELEASED = "released"
    KEPT = "kept"
    FIRST = "first"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LogicEvent:
    """Something for the log, MESSAGE and the event bus.

    `subject` is the rule, output, group or transform; `text` is what people read: the rule's message, or why.
    """

    kind: LogicEventKind
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one evaluation decided.

    Attributes:
        writes: Outputs that changed, each at most once, in declaration order of the logic.
        commands: Actuators to write now.
        withdrawn: Ports whose standing command is over.
        events: What happened, in order.
        deadline: Monotonic time at which to evaluate again though nothing changes, None for never.
        latched: All outputs that are latched now with their values, None when that did not change.
        message: What MESSAGE is to say, None to leave it.
    """

    writes: tuple[OutputWrite, ...] = ()
    commands: tuple[Command, ...] = ()
    withdrawn: tuple[str, ...] = ()
    events: tuple[LogicEvent, ...] = ()
    deadline: float | None = None
    latched: Mapping[str, Value] | None = None
    message: str | None = None
