"""Values as Channel Access carries them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from iocmng.errors import LinkValueError
from iocmng.links.ca_library import CHAR, DOUBLE, LONG, NUMPY_TYPES, STRING, TIME, struct_and_elements
from iocmng.values import Array, Reading, Severity, Status, Value

_EPICS_EPOCH = 631_152_000
_TEXT_SIZE = 40
_LONG_RANGE = range(-(2**31), 2**31)


def reading(event: Any, *, array: bool, text: bool, labels: Sequence[str] = ()) -> Reading:
    """Return what an event of a TIME type carries.

    Args:
        event: The arguments of the callback; its memory is valid only during that callback.
        array: Whether the PV has room for more than one element.
        text: Whether an array of characters is a text.
        labels: State names of an enum.
    """
    head, data = struct_and_elements(event)
    value = _value(data, event.type - TIME, event.count, array, text)
    return Reading(
        value,
        Severity(min(head.severity, Severity.INVALID)),
        Status(head.status) if head.status <= Status.WRITE_ACCESS else Status.SOFT,
        _EPICS_EPOCH + head.stamp.secs + head.stamp.nsec * 1e-9,
        label=labels[value] if labels and isinstance(value, int) and value < len(labels) else "",
    )


def _value(data: Any, kind: int, count: int, array: bool, text: bool) -> Value:
    if kind == STRING:
        texts = [bytes(data[index].value).decode(errors="replace") for index in range(count)]
        return _frozen(np.array(texts, dtype=str)) if array else texts[0]
    if kind == CHAR and text:
        return bytes(data[:count]).split(b"\0", 1)[0].decode(errors="replace")
    if array:
        return _frozen(
            np.frombuffer(data, dtype=NUMPY_TYPES[kind], count=count).copy() if count else np.empty(0)
        )
    return data[0]  # type: ignore[no-any-return]


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
