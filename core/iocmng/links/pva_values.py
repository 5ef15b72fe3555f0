"""Values as PV Access carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from iocmng.errors import LinkValueError
from iocmng.values import Array, Reading, Severity, Status, Value

_UNDEFINED = 6
_CLIENT = 7


def reading(update: Any) -> Reading:
    """Return what a p4p value with the fields `value`, `alarm` and `timeStamp` carries."""
    value, label = _value(update)
    severity, status, message = _quality(update)
    if value is None:
        severity, status = Severity.INVALID, Status.LINK
        message = f"{update.getID()} has no value a link can carry"
    try:
        seconds = update["timeStamp.secondsPastEpoch"] + update["timeStamp.nanoseconds"] * 1e-9
    except KeyError:
        seconds = 0.0
    return Reading(value, severity, status, seconds, message=message, label=label)


def _value(update: Any) -> tuple[Value | None, str]:
    # A field by its path costs a fifth of an attribute.
    try:
        value = update["value"]
    except KeyError:
        return None, ""
    if isinstance(value, (float, int, bool, str)):
        return value, ""
    if isinstance(value, np.ndarray):
        return _frozen(value), ""
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return _frozen(np.array(value, dtype=str)), ""
    if _is_enum(value):
        index, choices = value["index"], value["choices"]
        return index, str(choices[index]) if 0 <= index < len(choices) else ""
    return None, ""


def _quality(update: Any) -> tuple[Severity, Status, str]:
    try:
        severity, status = update["alarm.severity"], update["alarm.status"]
    except KeyError:
        return Severity.NO_ALARM, Status.NO_ALARM, ""
    if not severity and not status:
        return Severity.NO_ALARM, Status.NO_ALARM, ""
    message = update["alarm.message"]
    known = Severity(min(severity, Severity.INVALID))
    return known, _status(status, message, known), message


def _is_enum(value: Any) -> bool:
    return hasattr(value, "getID") and value.getID() == "enum_t"


def _frozen(array: Array) -> Array:
    # Every callback of the PV gets the same array.
    array.setflags(write=False)
    return array


def _status(code: int, message: str, severity: Severity) -> Status:
    """Return EPICS' own status, which a server of records gives as the message."""
    name = message.removesuffix("_ALARM")
    if name in Status.__members__:
        return Status[name]
    if code == _UNDEFINED:
        return Status.UDF
    if code == _CLIENT:
        return Status.LINK
    return Status.SOFT if severity else Status.NO_ALARM


def fill(target: Any, value: Value) -> None:
    """Set the value of a structure that is to be put.

    Raises:
        LinkValueError: The structure cannot take it.
    """
    field = target.get("value")
    if _is_enum(field):
        target["value.index"] = _index(value, field.choices)
        return
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(field, str) and not isinstance(value, str):
        value = str(value)
    if isinstance(value, str) and isinstance(field, np.ndarray) and field.dtype.itemsize == 1:
        value = np.frombuffer(value.encode() + b"\0", dtype=field.dtype)
    try:
        target["value"] = value
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise LinkValueError(f"cannot put {type(value).__name__} {str(value)[:40]!r}: {error}") from None


def _index(value: Value, labels: Sequence[str]) -> int:
    if isinstance(value, str):
        if value in labels:
            return list(labels).index(value)
        if not value.isdigit():
            raise LinkValueError(f"{value!r} is none of the labels {', '.join(labels)}")
    try:
        return int(value)
    except (TypeError, ValueError):
        raise LinkValueError(f"cannot put {type(value).__name__} {str(value)[:40]!r} to an enum") from None
