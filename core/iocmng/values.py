"""Values and their quality: severity, status, and the reading that carries both with its time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.generic]
    Value: TypeAlias = float | int | bool | str | Array
else:
    Array = Any
    Value = Any


class Severity(IntEnum):
    """EPICS alarm severities."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


class Status(IntEnum):
    """EPICS alarm statuses (alarm.h, EPICS base 7)."""

    NO_ALARM = 0
    READ = 1
    WRITE = 2
    HIHI = 3
    HIGH = 4
    LOLO = 5
    LOW = 6
    STATE = 7
    COS = 8
    COMM = 9
    TIMEOUT = 10
    HW_LIMIT = 11
    CALC = 12
    SCAN = 13
    LINK = 14
    SOFT = 15
    BAD_SUB = 16
    UDF = 17
    DISABLE = 18
    SIMM = 19
    READ_ACCESS = 20
    WRITE_ACCESS = 21


class PortType(StrEnum):
    """The types a port can have, in the words of config.yaml."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    STRING = "string"
    ENUM = "enum"
    ARRAY = "array"


class DType(StrEnum):
    """Element types of an array port, in numpy's words."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class Reading:
    """One value with its quality.

    Attributes:
        value: The value; arrays are numpy arrays; None when nothing was ever read.
        severity: How good it is.
        status: Why it is not better.
        timestamp: When it was made, seconds since 1970-01-01 UTC.
        connected: Whether its source answers.
        message: The source's words for the alarm, or "".
        label: Name of the state where the value is the index of an enum whose source tells its labels, else "".
    """

    value: Value | None
    severity: Severity = Severity.NO_ALARM
    status: Status = Status.NO_ALARM
    timestamp: float = 0.0
    connected: bool = True
    message: str = ""
    label: str = ""

    @property
    def ok(self) -> bool:
        """Whether the value may be used: connected, not INVALID, and there at all."""
        return self.connected and self.severity is not Severity.INVALID and self.value is not None
