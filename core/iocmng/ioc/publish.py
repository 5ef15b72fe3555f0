"""Records of this process: publishing a value with its quality in one call into EPICS, and reading them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from time import time_ns
from typing import Any, cast

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.ioc.dbtext import SEEDED_TYPES
from iocmng.ioc.layout import (
    ALARM,
    CHAR,
    EPICS_EPOCH,
    POINTER,
    STRING,
    STRING_SIZE,
    TIME,
    ULONG,
    Layout,
    coding_of,
    layout_of,
    memory_of,
    text_bytes,
)
from iocmng.spec import RecordSpec
from iocmng.values import Reading, Severity, Status, Value

_OPTIONS = 0x01 | 0x02 | 0x10
# What dbGetField puts before the value: status, severity, two fields of acknowledging, message, time.
_HEADER = struct.Struct(f"=HHHH{STRING_SIZE}sII")
_SECOND = 1_000_000_000
_SEVERITIES = tuple(Severity)
_STATUSES = tuple(Status)
_pack_time = TIME.pack_into
_pack_alarm = ALARM.pack_into
_put: Callable[..., int] = clib.put_field
_epoch = EPICS_EPOCH


def keep_gil(kept: bool) -> None:
    """Say whether a put of a native record may keep the GIL: a third cheaper beside many busy threads.

    See `iocmng.ioc.locksets.python_stays_alone` for when it may.
    """
    global _put
    _put = clib.put_field_briefly if kept else clib.put_field


@dataclass(frozen=True, slots=True)
class Located:
    """Where the value of a record lies, and a long text as EPICS hands it out whole."""

    value: clib.DbAddr
    text: clib.DbAddr | None

    @classmethod
    def find(cls, name: str, record_type: str) -> Located:
        """Look a record up by its name.

        Raises:
            RecordError: EPICS does not know it.
        """
        long_text = clib.address_of(f"{name}.VAL$") if record_type in ("lsi", "lso") else None
        return cls(clib.address_of(name), long_text)


class ServedRecord:
    """A record of this process; where it lies is looked up at its first use after the records are served."""

    __slots__ = (
        "_address",
        "_coding",
        "_count",
        "_is_served",
        "_layout",
        "_long_address",
        "_memory",
        "_room",
        "departed",
        "spec",
    )

    def __init__(self, spec: RecordSpec, is_served: Callable[[], bool]) -> None:
        self.spec = spec
        self._is_served = is_served
        self._address = 0
        self._long_address = 0
        self.departed = False

    def bind(self) -> int:
        """Look the record up in EPICS' memory, and return the address of its DBADDR.

        Raises:
            RecordError: Records are not served yet, this one no more, or EPICS does not know it.
        """
        if self.departed:
            raise self._gone()
        if not self._is_served():
            raise RecordError(f"{self.spec.name}: records are not served yet", hint="start the port first")
        return self.locate()

    def locate(self, found: Located | None = None) -> int:
        """Do as `bind`, before records are served too; with `found` where it lies need not be looked up."""
        found = found or Located.find(self.spec.name, self.spec.record_type)
        where = found.value
        self._layout: Layout = layout_of(self.spec.record_type)
        self._coding = coding_of(self.spec)
        self._memory = memory_of(where.record, self._layout.size)
        self._count = max(1, where.elements)
        self._room: Any = found
        self._long_address = ctypes.addressof(found.text) if found.text else 0
        self._address = ctypes.addressof(where)
        return self._address

    def where(self) -> Located:
        """Where it lies; looked up at the first use."""
        if not self._address:
            self.locate()
        return cast(Located, self._room)

    def leave(self) -> None:
        """Write no more: the record has gone, or is another's now."""
        self.departed = True
        self._address = 0

    def _gone(self) -> RecordError:
        return RecordError(f"{self.spec.name}: the record is served no more, or for another",
                           hint="ask for the record of this name again")  # fmt: skip

    @property
    def active(self) -> bool:
        """Whether EPICS is processing it, maybe for hours; only once it has been looked up."""
        return bool(self._memory[self._layout.active])

    def process(self, switch: clib.DbAddr) -> None:
        """Have EPICS process it as it is; `switch` is its field PROC."""
        clib.put_field(ctypes.byref(switch), CHAR, b"\1", 1)

    def mark_invalid(self, status: Status, reason: str, timestamp: float) -> None:
        """Write time and quality into memory, for the processing that follows."""
        seconds = int(timestamp)
        _pack_time(self._memory, self._layout.time, max(0, seconds - _epoch), int(timestamp % 1 * _SECOND))
        _pack_alarm(
            self._memory,
            self._layout.new_alarm,
            status,
            Severity.INVALID,
            text_bytes(reason, STRING_SIZE - 1),
        )

    def seed(self, value: Value, timestamp: float) -> None:
        """Put the first value into memory before clients are served; a writable one is valid then."""
        if not self._address:
            self.locate()
        if self.spec.record_type in SEEDED_TYPES:
            self._seed_memory(value)
        if self.spec.writable:
            TIME.pack_into(
                self._memory, self._layout.time, int(timestamp) - EPICS_EPOCH, int(timestamp % 1 * _SECOND)
            )

    def _seed_memory(self, value: Value) -> None:
        data, count = self._coding.encode(value)
        memory, layout = self._memory, self._layout
        if self.spec.record_type == "waveform":
            ctypes.memmove(POINTER.unpack_from(memory, layout.array)[0], data, count * self._coding.width)
            ULONG.pack_into(memory, layout.array_length, count)
            return
        if self.spec.record_type in ("stringin", "stringout"):
            for at in (layout.value, layout.old_text):
                memory[at : at + STRING_SIZE] = data.ljust(STRING_SIZE, b"\0")
            return
        for at in (layout.value, layout.old_text):
            ctypes.memmove(POINTER.unpack_from(memory, at)[0], data + b"\0", len(data) + 1)
        for at in (layout.text_length, layout.old_text_length):
            ULONG.pack_into(memory, at, len(data) + 1)

    @property
    def memory_address(self) -> int:
        """Where the record itself lies."""
        return int(clib.DbAddr.from_address(self._address).record)

    def read(self) -> Reading:
        """Return what the record shows; before it is served, and afterwards, INVALID and not connected."""
        if self.departed or (not self._address and not self._is_served()):
            return Reading(self.spec.value, Severity.INVALID, Status.UDF, 0.0, connected=False)
        address = self._address or self.bind()
        coding = self._coding
        if self._long_address:
            address, code, count, width = self._long_address, CHAR, self.spec.length + 1, 1
        else:
            code, count, width = coding.code, self._count, coding.width
        room = ctypes.create_string_buffer(_HEADER.size + count * width)
        options, elements = ctypes.c_long(_OPTIONS), ctypes.c_long(count)
        if clib.get_field(address, code, room, ctypes.byref(options), ctypes.byref(elements), None):
            raise RecordError(f"{self.spec.name}: EPICS could not read it")
        view = memoryview(room)
        status, severity, _, _, message, seconds, nanoseconds = _HEADER.unpack_from(view)
        many = (
            elements.value
            if self.spec.record_type == "waveform" or self._long_address
            else width
            if code == STRING
            else 1
        )
        return Reading(
            coding.decode(view, _HEADER.size, many),
            _SEVERITIES[severity],
            _STATUSES[status],
            seconds + EPICS_EPOCH + nanoseconds / _SECOND,
            True,
            message.split(b"\0", 1)[0].decode(errors="replace"),
        )

    def publish(
        self,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Refuse: clients own this record's value.

        Raises:
            RecordError: Always; `NativeRecord` overrides it.
        """
        raise RecordError(
            f"{self.spec.name}: clients may write it, so it is not published", hint="use assign()"
        )

    def assign(self, value: Value) -> None:
        """Refuse: clients may not write this record.

        Raises:
            RecordError: Always; `WritableRecord` overrides it.
        """
        raise RecordError(
            f"{self.spec.name}: clients may not write it, so it is not assigned", hint="use publish()"
        )


class NativeRecord(ServedRecord):
    """A record that only its task writes: quality and time go into its memory, then one put processes it."""

    __slots__ = ()

    def process(self, switch: clib.DbAddr) -> None:
        """Have EPICS process it as it is."""
        _put(ctypes.byref(switch), CHAR, b"\1", 1)

    def publish(
        self,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Write value, quality and time in one step (see `iocmng.runtime.ports.Record.publish`)."""
        address = self._address or self.bind()
        coding = self._coding
        data, count = coding.encode(value)
        layout = self._layout
        memory = self._memory
        if timestamp is None:
            seconds, rest = divmod(time_ns(), _SECOND)
        else:
            seconds = int(timestamp)
            rest = int((timestamp - seconds) * _SECOND)
        _pack_time(memory, layout.time, max(0, seconds - _epoch), rest)
        if value.__class__ is float and not isfinite(value) and severity < Severity.INVALID:
            severity, status, reason = Severity.INVALID, Status.UDF, reason or f"value is {value}"
        if severity:
            message = text_bytes(reason, STRING_SIZE - 1) if reason else b""
            _pack_alarm(memory, layout.new_alarm, status or Status.SOFT, severity, message)
        # Nothing may come between this look and the put: a record that has gone in the meantime stays INVALID.
        if self._address != address:
            raise self._gone()
        if _put(address, coding.code, data, count):
            raise RecordError(f"{self.spec.name}: EPICS refused the value {value!r}")
