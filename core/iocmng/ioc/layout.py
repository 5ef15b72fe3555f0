"""Where the fields of a record lie in memory and how its values are coded, asked of EPICS' descriptions."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import iocmng.dso  # noqa: F401

# isort: split
from softioc import fields
from softioc.imports import get_field_offsets

from iocmng.errors import RecordError
from iocmng.ioc.dbtext import FTVL, ascii_text
from iocmng.spec import RecordSpec
from iocmng.values import DType, PortType

EPICS_EPOCH = 631_152_000
STRING_SIZE = 40

TIME = struct.Struct("=II")
USHORT = struct.Struct("=H")
ULONG = struct.Struct("=I")
POINTER = struct.Struct("=Q")
DOUBLE = struct.Struct("=d")
ALARM = struct.Struct(f"=HH{STRING_SIZE}s")

STRING = int(fields.DBF_STRING)
CHAR = int(fields.DBF_CHAR)
ENUM = int(fields.DBF_ENUM)

_SCALARS = {
    "ai": (int(fields.DBF_DOUBLE), "=d"),
    "ao": (int(fields.DBF_DOUBLE), "=d"),
    "calc": (int(fields.DBF_DOUBLE), "=d"),
    "longin": (int(fields.DBF_LONG), "=i"),
    "longout": (int(fields.DBF_LONG), "=i"),
    "int64in": (int(fields.DBF_INT64), "=q"),
    "int64out": (int(fields.DBF_INT64), "=q"),
    "bi": (ENUM, "=H"),
    "bo": (ENUM, "=H"),
    "mbbi": (ENUM, "=H"),
    "mbbo": (ENUM, "=H"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Byte offsets in a record of one type: time, new alarm (status, severity, message), value, state."""

    size: int
    time: int
    new_alarm: int
    value: int
    active: int
    process_again: int
    last_monitored: int
    array: int
    array_length: int
    text_length: int
    old_text: int
    old_text_length: int
    notify_queue: int


@cache
def _offsets(record_type: str) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = get_field_offsets(record_type)
    return found


def offset_of(record_type: str, field: str) -> tuple[int, int]:
    """Return where a field lies in records of a type, and how many bytes it has.

    Raises:
        RecordError: Records of this type have no such field.
    """
    try:
        at, size, _ = _offsets(record_type)[field]
    except KeyError:
        raise RecordError(f"record type {record_type} has no field {field}") from None
    return at, size


@cache
def layout_of(record_type: str) -> Layout:
    """Return the layout of a record type.

    Raises:
        RecordError: This version of EPICS lays the alarm fields out otherwise than this module writes them.
    """
    offsets = _offsets(record_type)
    status, severity, message = (offsets[field] for field in ("NSTA", "NSEV", "NAMSG"))
    in_one_row = severity[0] - status[0] == 2 and message[0] - status[0] == 4 and message[1] == STRING_SIZE
    if not in_one_row or offsets["TIME"][1] != TIME.size:
        raise RecordError(f"record type {record_type}: NSTA, NSEV, NAMSG or TIME lie otherwise than expected",
                          hint="this version of EPICS base is not supported; use softioc 4.7")  # fmt: skip

    def at(field: str) -> int:
        return offsets[field][0] if field in offsets else 0

    return Layout(
        size=max(offset + size for offset, size, _ in offsets.values()),
        time=at("TIME"),
        new_alarm=status[0],
        value=at("VAL"),
        active=at("PACT"),
        process_again=at("RPRO"),
        last_monitored=at("MLST"),
        array=at("BPTR"),
        array_length=at("NORD"),
        text_length=at("LEN"),
        old_text=at("OVAL"),
        old_text_length=at("OLEN"),
        notify_queue=at("PPNR"),
    )


def memory_of(address: int, size: int) -> memoryview:
    """Return the bytes of a record in memory, writable."""
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


@dataclass(frozen=True, slots=True)
class Coding:
    """How values cross to EPICS: `code` and `width` of an element, and functions between Python and bytes.

    `encode` gives (bytes or the address of an array, number of elements); `decode` takes a buffer, an offset
    and a number of elements. Keep what `encode` was given alive until EPICS has it.
    """

    code: int
    width: int
    encode: Callable[[Any], tuple[Any, int]]
    decode: Callable[[Any, int, int], Any]


def text_bytes(text: str, size: int) -> bytes:
    """Return at most `size` bytes of UTF-8 that, like their first 39, end with a whole character."""
    coded = text.encode(errors="replace").replace(b"\0", b" ")
    if coded.isascii():
        return coded[:size]
    if len(coded) >= STRING_SIZE and not _whole(coded[: STRING_SIZE - 1]):
        return ascii_text(text).encode()[:size]
    while not _whole(coded[:size]):
        size -= 1
    return coded[:size]


def _whole(coded: bytes) -> bool:
    try:
        coded.decode()
    except UnicodeDecodeError:
        return False
    return True


def coding_of(spec: RecordSpec) -> Coding:
    """Return how the values of a record are coded; records that are alike share one."""
    return _coding(spec.record_type, spec.type, spec.dtype, spec.length)


@cache
def _coding(record_type: str, port_type: PortType, dtype: DType | None, length: int) -> Coding:
    if record_type == "waveform":
        return (
            _strings(max(1, length))
            if dtype is DType.STRING
            else _array(dtype or DType.FLOAT64, max(1, length))
        )
    if record_type in ("stringin", "stringout", "lsi", "lso"):
        size = length if record_type in ("lsi", "lso") else STRING_SIZE - 1
        return Coding(STRING, size + 1, lambda text: (text_bytes(text, size), 1), _decode_text)
    code, form = _SCALARS[record_type]
    packed = struct.Struct(form)
    if port_type is PortType.BOOL:
        return Coding(code, packed.size, lambda value: (packed.pack(bool(value)), 1),
                      lambda room, at, _count: bool(packed.unpack_from(room, at)[0]))  # fmt: skip
    return Coding(code, packed.size, lambda value: (packed.pack(value), 1),
                  lambda room, at, _count: packed.unpack_from(room, at)[0])  # fmt: skip


def _decode_text(room: Any, at: int, count: int) -> str:
    return bytes(room[at : at + count]).split(b"\0", 1)[0].decode(errors="replace")


def _array(dtype: DType, length: int) -> Coding:
    import numpy as np

    element = np.dtype(str(dtype))

    def encode(value: Any) -> tuple[Any, int]:
        array = np.ascontiguousarray(value, dtype=element).ravel()[:length]
        if not array.size:
            return bytes(element.itemsize), 0
        return cast(
            int, array.__array_interface__["data"][0]
        ) if array is value else array.tobytes(), array.size

    def decode(room: Any, at: int, count: int) -> Any:
        return np.frombuffer(room, dtype=element, count=count, offset=at).copy()

    return Coding(int(getattr(fields, f"DBF_{FTVL[dtype]}")), element.itemsize, encode, decode)


def _strings(length: int) -> Coding:
    import numpy as np

    def encode(value: Any) -> tuple[Any, int]:
        texts = [text_bytes(str(text), STRING_SIZE - 1).ljust(STRING_SIZE, b"\0") for text in value[:length]]
        return b"".join(texts) or bytes(STRING_SIZE), len(texts)

    def decode(room: Any, at: int, count: int) -> Any:
        rows = (bytes(room[at + n * STRING_SIZE : at + (n + 1) * STRING_SIZE]) for n in range(count))
        return np.array([row.split(b"\0", 1)[0].decode(errors="replace") for row in rows], dtype=np.str_)

    return Coding(STRING, STRING_SIZE, encode, decode)
