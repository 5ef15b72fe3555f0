"""Fields of a record while clients are served: set without processing it, and set back to what EPICS gives them.

`dbPutField` on an alarm limit or a state name processes the record, which would make a dead value look good.
`dbPut` under the record's lock does not, and tells subscribers of DBE_PROPERTY all the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.ioc.dbtext import INPUT_TYPES, OUTPUT_TYPES
from iocmng.ioc.layout import CHAR, STRING, STRING_SIZE, memory_of, offset_of
from iocmng.ioc.naming import Name
from iocmng.spec import RecordSpec
from iocmng.values import DType, PortType

_FIRST_LINK, _LAST_LINK = 14, 16
_WIDEST = 64

_TYPES = {
    "ai": PortType.FLOAT, "ao": PortType.FLOAT, "bi": PortType.BOOL, "bo": PortType.BOOL,
    "mbbi": PortType.ENUM, "mbbo": PortType.ENUM, "stringin": PortType.STRING, "stringout": PortType.STRING,
    "lsi": PortType.STRING, "lso": PortType.STRING, "waveform": PortType.ARRAY,
}  # fmt: skip


def plain_spec(name: str, record_type: str, *, dtype: DType | None = None, length: int = 1,
               writable: bool | None = None) -> RecordSpec:  # fmt: skip
    """A record of which nothing but its type is decided."""
    return RecordSpec(
        name=name,
        type=_TYPES.get(record_type, PortType.INT),
        record_type=record_type,
        writable=record_type in OUTPUT_TYPES if writable is None else writable,
        dtype=dtype,
        length=length,
    )


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a record that serves as example: where it lies in each, what it holds, and its first value."""

    address: clib.DbAddr
    at: int
    code: int
    first: bytes
    count: int

    @property
    def is_link(self) -> bool:
        return bool(_FIRST_LINK <= self.address.field_type <= _LAST_LINK)

    def of(self, record: int) -> clib.DbAddr:
        """The same field of another record of the type."""
        address = clib.RoomyDbAddr.from_buffer_copy(self.address)
        address.record = record
        address.field = record + self.at
        return address


class Examples:
    """One record of each type that nobody dresses: it knows how fields are put, and their values by default."""

    SUPPORTED = ":plain:waveform:own"

    def __init__(self) -> None:
        self._names: dict[str, Name] = {}
        self._fields: dict[tuple[str, str], _Field] = {}

    @staticmethod
    def specs() -> list[RecordSpec]:
        """What to load before the start."""
        types = sorted(INPUT_TYPES | OUTPUT_TYPES)
        return [
            *(plain_spec(f":plain:{each}", each, writable=None if each != "waveform" else False) for each in types),
            plain_spec(Examples.SUPPORTED, "waveform", writable=True),
        ]  # fmt: skip

    def find(self, *, hide: bool) -> None:
        """Find the records, and let nobody else find them."""
        for spec in self.specs():
            name = self._names[spec.name] = Name.find(spec.name)
            if hide:
                name.hide()

    def field(self, record_type: str, field: str) -> _Field:
        """What is known of a field.

        Raises:
            RecordError: Records of this type have no such field.
        """
        found = self._fields.get((record_type, field))
        if found is None:
            found = self._fields[record_type, field] = self._look_up(record_type, field)
        return found

    def put_support(self, record: int, *, own: bool) -> None:
        """Give a waveform our device support, or that of a record without any."""
        source = self._names[self.SUPPORTED if own else ":plain:waveform"].record
        for field in ("DSET", "DTYP"):
            at, size = offset_of("waveform", field)
            memory_of(record + at, size)[:] = memory_of(source + at, size)

    def _look_up(self, record_type: str, field: str) -> _Field:
        name = f":plain:{record_type}"
        if name not in self._names:
            raise RecordError(f"record type {record_type} cannot be dressed")
        with self._names[name].shown():
            address = clib.address_of(f"{name}.{field}")
            if address.field_type == STRING:
                address = clib.address_of(f"{name}.{field}$")
        code = CHAR if _FIRST_LINK <= address.field_type <= _LAST_LINK else address.request_type
        first, count = (b"\0", 1) if address.elements > 1 or code == CHAR else _held(address)
        at = int(address.field) - int(address.record)
        return _Field(address, at, code, first, count)


def _held(address: clib.DbAddr) -> tuple[bytes, int]:
    room = ctypes.create_string_buffer(_WIDEST)
    count = ctypes.c_long(1)
    if clib.get_field(ctypes.byref(address), address.request_type, room, None, ctypes.byref(count), None):
        return b"", 0
    return room.raw, 1


class Dresser:
    """Puts fields on records.

    Args:
        examples: One record of each type.
    """

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def dress(self, record: int, record_type: str, name: str, fields: Iterable[tuple[str, str]],
              before: Iterable[str], lock: Callable[[int], None]) -> None:  # fmt: skip
        """Put fields, and set those of `before` that are not among them back to what they are by default.

        Args:
            record: Where it lies.
            record_type: Its type.
            name: What an error calls it.
            fields: Names and texts.
            before: Names of fields that it may still wear.
            lock: Locks a record.

        Raises:
            RecordError: EPICS refuses a field; those before it have been put.
        """
        wanted = dict(fields)
        back = [field for field in before if field not in wanted]
        links = [field for field in (*wanted, *back) if self._examples.field(record_type, field).is_link]
        lock(record)
        try:
            for field in back:
                if field not in links:
                    known = self._examples.field(record_type, field)
                    _put(clib.put, name, field, known, record, known.code, known.first, known.count)
            for field, text in wanted.items():
                if field not in links:
                    self._put_text(record, record_type, name, field, text)
        finally:
            clib.unlock_record(record)
        for field in links:
            coded = wanted.get(field, "").encode() + b"\0"
            known = self._examples.field(record_type, field)
            _put(clib.put_field, name, field, known, record, CHAR, coded, len(coded))

    def _put_text(self, record: int, record_type: str, name: str, field: str, text: str) -> None:
        known = self._examples.field(record_type, field)
        coded = text.encode() + b"\0"
        room = known.address.elements if known.code == CHAR else STRING_SIZE
        if len(coded) > room:
            raise RecordError(f"{name}.{field}: the text is too long: {len(coded) - 1} bytes in {text!r}, "
                              f"at most {room - 1} fit")  # fmt: skip
        code, count = (CHAR, len(coded)) if known.code == CHAR else (STRING, 1)
        _put(clib.put, name, field, known, record, code, coded.ljust(STRING_SIZE, b"\0"), count)

    def put_group(self, record: int, record_type: str, group: str, *, shared: bool) -> None:
        """Put the access security group: clients are told at once what they may do."""
        known = self._examples.field(record_type, "ASG")
        coded = group.encode() + b"\0"
        put = clib.put_field if shared else clib.put_field_briefly
        _put(put, group, "ASG", known, record, CHAR, coded, len(coded))


def _put(put: Callable[..., int], name: str, field: str, known: _Field, record: int,
         code: int, data: bytes, count: int) -> None:  # fmt: skip
    if put(ctypes.byref(known.of(record)), code, data, count):
        raise RecordError(f"{name}.{field}: EPICS refuses {data.split(bytes(1))[0].decode()!r}",
                          hint="the field cannot take it while records are served")  # fmt: skip
