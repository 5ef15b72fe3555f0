"""What record processing does to a value: drive limits, alarm limits, state severities, deadband."""

from __future__ import annotations

import math
from typing import NamedTuple

from iocmng.errors import RecordError
from iocmng.ioc.dbtext import ENUM_SEVERITIES
from iocmng.spec import RecordSpec
from iocmng.values import PortType, Severity, Status, Value

_LIMITS = (
    ("HIHI", "HHSV", Status.HIHI, 1),
    ("LOLO", "LLSV", Status.LOLO, -1),
    ("HIGH", "HSV", Status.HIGH, 1),
    ("LOW", "LSV", Status.LOW, -1),
)


class Alarm(NamedTuple):
    """A severity with its status and message."""

    severity: Severity
    status: Status
    message: str


class _Limit(NamedTuple):
    level: float
    severity: Severity
    status: Status
    sign: int


def clamped(spec: RecordSpec, value: Value) -> Value:
    """Return a client's number within the drive limits of the record."""
    if spec.type not in (PortType.FLOAT, PortType.INT):
        return value
    fields = dict(spec.fields)
    low, high = _number(spec, fields, "DRVL"), _number(spec, fields, "DRVH")
    if low is None or high is None or not high > low or not isinstance(value, (int, float)):
        return value
    bounded = min(max(value, low), high)
    return int(bounded) if spec.type is PortType.INT else float(bounded)


class AlarmLimits:
    """The alarm fields of one record, and which of them the last value was in.

    Raises:
        RecordError: A field holds no number, or no severity.
    """

    def __init__(self, spec: RecordSpec) -> None:
        fields = dict(spec.fields)
        self._limits: list[_Limit] = []
        for level_field, severity_field, status, sign in _LIMITS:
            level = _number(spec, fields, level_field)
            severity = _severity(spec, fields, severity_field)
            if level is not None and severity:
                self._limits.append(_Limit(level, severity, status, sign))
        self._hysteresis = _number(spec, fields, "HYST") or 0.0
        self._deadband = _number(spec, fields, "MDEL") or 0.0
        names = ("ZSV", "OSV") if spec.type is PortType.BOOL else ENUM_SEVERITIES
        state_types = (PortType.BOOL, PortType.ENUM)
        self._states = (
            tuple(_severity(spec, fields, name) for name in names) if spec.type in state_types else ()
        )
        self._within: float | None = None

    def judge(self, value: Value, severity: Severity, status: Status, message: str) -> Alarm:
        """Return the worst of what the writer says and what the limits say; of equals the writer's."""
        if severity:
            given = Alarm(severity, status or Status.SOFT, message[:39])
        else:
            given = Alarm(Severity.NO_ALARM, Status.NO_ALARM, "")
        if isinstance(value, float) and not math.isfinite(value):
            return max(
                given, Alarm(Severity.INVALID, Status.UDF, given.message or f"value is {value}"), key=_rank
            )
        return max(given, self._by_limits(value), key=_rank)

    def _by_limits(self, value: Value) -> Alarm:
        if self._states and isinstance(value, (bool, int)):
            severity = self._states[int(value)] if int(value) < len(self._states) else Severity.NO_ALARM
            return Alarm(severity, Status.STATE if severity else Status.NO_ALARM, "")
        if isinstance(value, (int, float)):
            for limit in self._limits:
                distance = (value - limit.level) * limit.sign
                if distance >= 0 or (self._within == limit.level and distance >= -self._hysteresis):
                    self._within = limit.level
                    return Alarm(limit.severity, limit.status, "")
            self._within = None
        return Alarm(Severity.NO_ALARM, Status.NO_ALARM, "")

    def beyond_deadband(self, value: Value, posted: Value | None) -> bool:
        """Whether subscribers hear of `value` after `posted`."""
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not isinstance(posted, (int, float))
        ):
            same = value is not None and not isinstance(value, (bool, int, float, str))
            return same or value != posted
        if self._deadband < 0 or math.isnan(value) != math.isnan(posted):
            return True
        return abs(value - posted) > self._deadband


def _rank(alarm: Alarm) -> int:
    return int(alarm.severity)


def _number(spec: RecordSpec, fields: dict[str, str], field: str) -> float | None:
    if field not in fields:
        return None
    try:
        return float(fields[field])
    except ValueError:
        raise RecordError(f"Can't set {spec.name}.{field} to {fields[field]!r}: no number") from None


def _severity(spec: RecordSpec, fields: dict[str, str], field: str) -> Severity:
    word = fields.get(field, Severity.NO_ALARM.name)
    try:
        return Severity[word]
    except KeyError:
        raise RecordError(f"Can't set {spec.name}.{field} to {word!r}: no severity") from None
