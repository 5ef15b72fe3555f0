"""Values as Channel Access carries them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import string_at
from struct import Struct
from typing import Any

import numpy as np

from iocmng.errors import LinkValueError
from iocmng.links.ca_library import CHAR, DOUBLE, ENUM, FLOAT, LONG, SHORT, STRING, TIME
from iocmng.values import Array, Reading, Severity, Status, Value

_EPICS_EPOCH = 631_152_000
_TEXT_SIZE = 40
_LONG_RANGE = range(-(2**31), 2**31)


_HEAD = Struct("=hhII")
_FORMS = {
    # A TIME type is status, severity, seconds and nanoseconds, some padding, and the elements.
    STRING: (Struct(f"{_HEAD.format}{_TEXT_SIZE}s"), None),
    SHORT: (Struct(f"{_HEAD.format}2xh"), np.dtype(np.int16)),
    FLOAT: (Struct(f"{_HEAD.format}f"), np.dtype(np.float32)),
    ENUM: (Struct(f"{_HEAD.format}2xH"), np.dtype(np.uint16)),
    CHAR: (Struct(f"{_HEAD.format}3xB"), np.dtype(np.uint8)),
    LONG: (Struct(f"{_HEAD.format}i"), np.dtype(np.int32)),
    DOUBLE: (Struct(f"{_HEAD.format}4xd"), np.dtype(np.float64)),
}
# A view of the event's memory is had for less than a copy of it.
_VIEWS: dict[int, Any] = {kind: ctypes.c_char * form.size for kind, (form, _) in _FORMS.items()}
_SEVERITIES = tuple(Severity)
_STATUSES = tuple(Status)


def reading(event: Any, *, array: bool, text: bool, labels: Sequence[str] = ()) -> Reading:
    """Return what an event of a TIME type carries.

    Args:
        event: The arguments of the callback; its memory is valid only during that callback.
        array: Whether the PV has room for more than one element.
        text: Whether an array of characters is a text.
        labels: State names of an enum.
    """
    kind = event.type - TIME
    value: Value
    label = ""
    if array or kind == STRING:
        status, severity, seconds, nanoseconds = _HEAD.unpack(string_at(event.raw_dbr, _HEAD.size))
        value = _elements(event, kind, array, text)
    else:
        view = _VIEWS[kind].from_address(event.raw_dbr)
        status, severity, seconds, nanoseconds, first = _FORMS[kind][0].unpack_from(view)
        value = first
        if labels and first < len(labels):
            label = labels[first]
    return Reading(
        value,
        _SEVERITIES[severity] if severity < len(_SEVERITIES) else Severity.INVALID,
        _STATUSES[status] if status < len(_STATUSES) else Status.SOFT,
        _EPICS_EPOCH + seconds + nanoseconds * 1e-9,
        label=label,
    )


def _elements(event: Any, kind: int, array: bool, text: bool) -> Value:
    form, element = _FORMS[kind]
    width = element.itemsize if element is not None else _TEXT_SIZE
    data = string_at(event.raw_dbr + form.size - width, event.count * width)
    if element is None:
        rows = (data[at : at + width] for at in range(0, len(data), width))
        texts = [row.split(b"\0", 1)[0].decode(errors="replace") for row in rows]
        return _frozen(np.array(texts, dtype=str)) if array else texts[0]
    if kind == CHAR and text:
        return data.split(b"\0", 1)[0].decode(errors="replace")
    # Arrays over bytes are read-only.
    return np.frombuffer(data, dtype=element)


def _frozen(array: Array) -> Array:
    # Every callback of the PV gets the same array.
    array.setflags(write=False)
    return array


def encoded(value: Value, native: int, room: int) -> tuple[int, int, Any]:
    """Return type, number of elements and memory for a put.

    Args:
        value: What to write.
        native: The PV's own type.
        room: How many elements the PV holds.

    Raises:
        LinkValueError: Channel Access cannot carry the value, or it has more elements than the PV.
    """
    if isinstance(value, str) and native == CHAR and room > 1:
        characters = value.encode() + b"\0"
        _check_room(len(characters), room, "bytes")
        return CHAR, len(characters), ctypes.create_string_buffer(characters, len(characters))
    try:
        array = np.atleast_1d(np.asarray(value))
    except ValueError:
        array = np.empty((0, 0))
    if array.ndim > 1 or not array.size:
        raise LinkValueError(f"cannot put {_shown(value)}: an array of one dimension with elements is needed")
    _check_room(array.size, room, "elements")
    if array.dtype.kind == "U" or native == STRING:
        return STRING, array.size, _texts([str(item) for item in array.tolist()])
    if array.dtype.kind in "biu" and int(array.min()) in _LONG_RANGE and int(array.max()) in _LONG_RANGE:
        return LONG, array.size, _memory(array.astype(np.int32))
    if array.dtype.kind in "biuf":
        return DOUBLE, array.size, _memory(array.astype(np.float64))
    raise LinkValueError(f"cannot put {_shown(value)}: neither a number, a text nor an array of these")


def _memory(array: Any) -> Any:
    return (ctypes.c_char * array.nbytes).from_buffer_copy(array.tobytes())


def _texts(texts: list[str]) -> Any:
    memory = bytearray()
    for text in texts:
        content = text.encode()
        if len(content) >= _TEXT_SIZE:
            raise LinkValueError(
                f"text {text[:20]!r}... has {len(content)} bytes, Channel Access carries {_TEXT_SIZE - 1}",
                hint="put to the PV's name with $ at its end if it holds a longer text",
            )
        memory += content.ljust(_TEXT_SIZE, b"\0")
    return (ctypes.c_char * len(memory)).from_buffer(memory)


def _check_room(size: int, room: int, what: str) -> None:
    if size > room:
        raise LinkValueError(f"the value has {size} {what}, the PV holds {room}")


def _shown(value: object) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= 60 else f"{text[:57]}..."
