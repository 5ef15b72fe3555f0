"""What a PV elsewhere says as the record of a port holds it, and what a port says as its target takes it."""

from __future__ import annotations

from typing import Any

from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.values import PortType, Reading, Severity, Status, Value

_CHARACTERS = ("int8", "uint8")


def received(record: RecordSpec, reading: Reading, last: Value | None) -> tuple[Reading, str]:
    """Return the reading of a source as `record` shows it, and why its value cannot be used, or "".

    An enum is its index; a text port takes its label where the source tells it. An array of characters is a text
    for a text port, and a single value an array of one. A value that does not fit leaves `last` with INVALID.
    """
    value = reading.value
    if value is None or not reading.connected:
        return _with(reading, last), ""
    if type(value) is float and record.type is PortType.FLOAT:
        return reading, ""
    try:
        made = convert(record, _native(record, value, reading.label))
    except (TypeError, ValueError) as error:
        why = _without_port(record, str(error))
        return Reading(last, Severity.INVALID, Status.LINK, reading.timestamp, True, why, reading.label), why
    return (reading if made is value else _with(reading, made)), ""


def _with(reading: Reading, value: Value | None) -> Reading:
    return Reading(
        value,
        reading.severity,
        reading.status,
        reading.timestamp,
        reading.connected,
        reading.message,
        reading.label,
    )


def _native(record: RecordSpec, value: Any, label: str) -> Any:
    many = hasattr(value, "dtype") and getattr(value, "ndim", 0) > 0
    if record.type is PortType.STRING:
        if many and str(value.dtype) in _CHARACTERS:
            return value.tobytes().split(b"\0", 1)[0].decode(errors="replace")
        return label or value
    if record.type is PortType.ARRAY and not many:
        return [value]
    return value


def _without_port(record: RecordSpec, text: str) -> str:
    """The reason alone, because an alarm's message has room for 39 bytes and belongs to one port anyway."""
    _, found, reason = text.partition(f"({record.type})")
    return reason.lstrip(": ") if found else text


def outgoing(record: RecordSpec, value: Value, target: Reading) -> Value:
    """Return a port's value as its target takes it; `target` is what that said last.

    A state is a label for a text PV, else its index; clients turn numbers into texts and texts into labels.
    """
    if record.type in (PortType.BOOL, PortType.ENUM) and isinstance(value, (bool, int)):
        index = int(value)
        if isinstance(target.value, str) and index < len(record.labels):
            return record.labels[index]
        return index
    return value


def same(one: object, other: object) -> bool:
    """Whether two values are equal; arrays element by element, NaN equal to NaN."""
    if one is other or (type(one) is float and one == other):
        return True
    if hasattr(one, "shape") or hasattr(other, "shape"):
        import numpy as np

        first, second = np.asarray(one), np.asarray(other)
        numbers = first.dtype.kind in "fc" and second.dtype.kind in "fc"
        return bool(np.array_equal(first, second, equal_nan=numbers))
    return bool(one == other or (one != one and other != other))


def alike(one: Reading, other: Reading) -> bool:
    """Whether two readings say the same but for their time."""
    return (
        same(one.value, other.value)
        and one.severity is other.severity
        and one.connected is other.connected
        and one.status is other.status
        and one.message == other.message
    )
