"""The model of one port of config.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from iocmng.config.fields import Flag, Number, Positive, Strict, Text
from iocmng.values import DType, PortType

SeverityWord = Literal["NO_ALARM", "MINOR", "MAJOR", "INVALID"]
FieldValue = str | int | float


class Alarm(Strict):
    """Alarm limits of a number, or severities of the states of a bool or enum."""

    lolo: Number | None = Field(default=None, description="Value at or below which LLSV applies (LOLO).")
    low: Number | None = Field(default=None, description="Value at or below which LSV applies (LOW).")
    high: Number | None = Field(default=None, description="Value at or above which HSV applies (HIGH).")
    hihi: Number | None = Field(default=None, description="Value at or above which HHSV applies (HIHI).")
    hysteresis: Annotated[Number, Field(ge=0)] = Field(
        default=0, description="How far back before an alarm ends (HYST)."
    )
    severity: SeverityWord | dict[str, SeverityWord] | None = Field(
        default=None,
        description=(
            "One severity for all given limits, or a mapping: limit → severity for numbers (default: lolo "
            "and hihi MAJOR, low and high MINOR), state name → severity for bool and enum."
        ),
    )


class Port(Strict):
    """Keys that inputs and outputs share."""

    type: Annotated[PortType, Field(strict=False)] = Field(
        default=PortType.FLOAT, description="Kind of value; decides the record type."
    )
    value: Any = Field(
        default=None, description="Initial value; an output that declares one is valid from RUN on."
    )
    unit: str = Field(default="", description="Engineering unit (EGU), 15 bytes.")
    prec: int = Field(default=3, ge=0, le=15, description="Decimals shown (PREC).")
    low: Number | None = Field(
        default=None,
        description="Lower end of the display range (LOPR); with high and a writable input also DRVL.",
    )
    high: Number | None = Field(
        default=None,
        description="Upper end of the display range (HOPR); with low and a writable input also DRVH.",
    )
    clamp: Flag = Field(
        default=True, description="Writable inputs with low and high: limit what may be written."
    )
    znam: str = Field(default="Off", description="Name of the state 0 of a bool, 25 bytes.")
    onam: str = Field(default="On", description="Name of the state 1 of a bool, 25 bytes.")
    labels: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="State names of an enum, up to 16 of 25 bytes."
    )
    length: int | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="Elements of an array (NELM); default: as many as `value` has.",
    )
    dtype: Annotated[DType, Field(strict=False)] = Field(
        default=DType.FLOAT64, description="Element type of an array."
    )
    size: int = Field(
        default=39, ge=1, le=32766, description="Longest text; above 39 the record is an lsi or lso."
    )
    alarm: Alarm | None = Field(default=None, description="Alarm limits and severities.")
    alarm_on: Literal["", "MINOR", "MAJOR", "minor", "major"] = Field(
        default="", description="Severity when active (bool) or at `high` (numbers)."
    )
    deadband: Annotated[Number, Field(ge=0)] = Field(
        default=0, description="Smallest change that monitors see (MDEL)."
    )
    archive_deadband: Annotated[Number, Field(ge=0)] = Field(
        default=0, description="Smallest change that archivers see (ADEL)."
    )
    description: str = Field(default="", description="DESC, 40 bytes.")
    fields: dict[str, FieldValue] = Field(default_factory=dict, description="Further EPICS fields.")
    info: dict[str, FieldValue] = Field(default_factory=dict, description="Info tags.")
    access: Text | None = Field(default=None, description="Access security group (ASG) of a writable input.")
    link: Text | None = Field(default=None, description="External PV: NAME, ca://NAME or pva://NAME.")
    buffer_size: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Ring buffer of the last N values: <name>_buf in expressions.",
    )


class InputPort(Port):
    """A port that the instance reads: a writable record, or linked to a PV elsewhere."""

    autosave: Flag = Field(default=True, description="Restored at boot (inputs without a link).")
    link_mode: Literal["poll", "monitor"] | None = Field(
        default=None,
        description="How a linked input is read; default: monitor with trigger or in reactive mode, else poll.",
    )
    poll_rate: Positive | None = Field(
        default=None, description="Seconds between reads of a polled input; default: interval."
    )
    max_age: Positive | None = Field(
        default=None, description="Seconds after which a linked input is invalid."
    )
    age_by: Literal["receipt", "source"] = Field(
        default="receipt", description="Whether age counts from receipt or from the source's time stamp."
    )
    trigger: Flag = Field(
        default=False, description="A change calls on_input_changed, and in reactive mode evaluates."
    )


class OutputPort(Port):
    """A port that the instance writes: a read-only record, which may forward to a PV elsewhere."""

    latch: Flag = Field(default=False, description="Hold a value that a rule set until CLEAR or RESET.")
    latch_dir: Literal["rise", "fall", "any", "0->1", "1->0"] = Field(
        default="rise", description="Which change latches."
    )
    fail_safe: Any = Field(default=None, description="Value written when the instance is not running.")
    on_pause: Literal["fail_safe", "hold"] = Field(
        default="fail_safe", description="What a fail_safe output shows while PAUSED."
    )
    reassert: Flag = Field(
        default=True, description="Write a linked output again when its target reconnects."
    )


KEYS_BY_TYPE: dict[PortType, frozenset[str]] = {
    PortType.FLOAT: frozenset(
        {"unit", "prec", "low", "high", "clamp", "alarm", "alarm_on", "deadband", "archive_deadband"}
    ),
    PortType.INT: frozenset(
        {"unit", "prec", "low", "high", "clamp", "alarm", "alarm_on", "deadband", "archive_deadband"}
    ),
    PortType.BOOL: frozenset({"znam", "onam", "alarm", "alarm_on"}),
    PortType.STRING: frozenset({"size"}),
    PortType.ENUM: frozenset({"labels", "alarm"}),
    PortType.ARRAY: frozenset({"length", "dtype", "unit", "prec", "low", "high"}),
}
"""Keys that only some types know; every other key of a port is for all."""

TYPED_KEYS: frozenset[str] = frozenset().union(*KEYS_BY_TYPE.values())
