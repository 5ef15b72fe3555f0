"""Records that clients write: device support in Python that hands each put on, once."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable
from time import time
from typing import Any, cast

import iocmng.dso  # noqa: F401

# isort: split
from softioc.imports import create_callback_capsule
from softioc.imports import signal_processing_complete as _complete_later

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.ioc.layout import CHAR, DOUBLE, POINTER, ULONG, USHORT, memory_of
from iocmng.ioc.publish import Located, ServedRecord
from iocmng.ioc.readable import value_text
from iocmng.spec import RecordSpec
from iocmng.values import PortType, Status, Value

_ACCEPTED, _REFUSED = 0, -1
_DBE_VALUE_LOG = 0x01 | 0x02

# A processNotifyRecord: a list node with its flag, the list of those that wait (its count last), the record.
_QUEUE_COUNT, _QUEUE_RECORD, _QUEUE_SIZE = 40, 48, 56

DEPARTED = "its plugin was removed"
"""Why a record is INVALID that serves nobody."""

Delivery = Callable[["WritableRecord", Value, Callable[[], None]], None]

by_address: dict[int, WritableRecord] = {}
"""The records that clients write, or did before they departed."""

_assigning: set[int] = set()
_capsules: dict[int, Any] = {}


class WritableRecord(ServedRecord):
    """A record that clients write; its device support runs under the record's lock and only notes the put."""

    __slots__ = (
        "_accepted",
        "_capsule",
        "_deliver",
        "_echo_of",
        "_echoes",
        "_last_finite",
        "_run",
        "_shortens",
        "record_address",
    )

    def __init__(self, spec: RecordSpec, is_served: Callable[[], bool], deliver: Delivery) -> None:
        super().__init__(spec, is_served)
        if spec.completes and spec.record_type != "bo":
            raise RecordError(f"{spec.name}: only a bo record can complete puts, not {spec.record_type}")
        self._deliver = deliver
        self._run: object | None = None
        self._accepted = 0
        self._last_finite = 0.0
        self._echoes, self._echo_of = 0, 0.0
        self._shortens = False
        self.record_address = 0

    def locate(self, found: Located | None = None) -> int:
        """Look the record up, and bind it to its device support."""
        address = super().locate(found)
        self.record_address = self.memory_address
        if self.spec.type in (PortType.ENUM, PortType.BOOL):
            (self._accepted,) = USHORT.unpack_from(self._memory, self._layout.value)
        elif self.spec.type is PortType.FLOAT:
            self._accepts_number()
        if self.spec.completes:
            # The record's own, for good: EPICS may still hold the one that an earlier task of it used.
            capsule = _capsules.get(self.record_address) or create_callback_capsule()
            self._capsule = _capsules[self.record_address] = capsule
        self._shortens = self._is_bigger_than_told(self.where().value)
        by_address[self.record_address] = self
        return address

    def _is_bigger_than_told(self, value: clib.DbAddr) -> bool:
        """Whether clients could write more than the record is described to hold: it was made for longer values."""
        if self.spec.record_type == "waveform":
            return int(value.elements) > max(1, self.spec.length)
        return self.spec.record_type == "lso" and int(value.field_size) > self.spec.length + 1

    def leave(self) -> None:
        """Take no more puts: one that is running is completed, and those that wait for it are refused."""
        super().leave()
        self.end_run()

    def end_run(self) -> None:
        """Complete a put that is running, if there is one."""
        if (run := self._run) is not None:
            self._complete(run)

    @property
    def running(self) -> bool:
        """Whether a put has not been completed yet."""
        return self._run is not None

    def ahead(self) -> int:
        """Puts that are running or wait: what a put that comes now has before it."""
        return self.running + (self.waiting() or 0)

    def waiting(self) -> int | None:
        """Puts with callback that wait in EPICS' queue, None when this EPICS keeps its queue otherwise."""
        (queue,) = POINTER.unpack_from(self._memory, self._layout.notify_queue)
        if not queue:
            return 0
        room = memory_of(queue, _QUEUE_SIZE)
        if POINTER.unpack_from(room, _QUEUE_RECORD)[0] != self.record_address:
            return None
        return int(ULONG.unpack_from(room, _QUEUE_COUNT)[0])

    def text(self) -> str:
        """What the record holds, read without its lock: a listener that waited would hold clients up."""
        return value_text(self.spec, self._value())

    def assign(self, value: Value) -> None:
        """Set the value from inside: subscribers see it, the handler is not called. Any thread.

        Raises:
            RecordError: EPICS refuses the value.
        """
        address = self._address or self.bind()
        data, count = self._coding.encode(value)
        if _put_quietly(address, self._coding.code, data, count):
            raise RecordError(f"{self.spec.name}: EPICS refused the value {value!r}")

    def process(self, switch: clib.DbAddr) -> None:
        """Have EPICS process it as it is; the handler is not called."""
        _put_quietly(ctypes.addressof(switch), CHAR, b"\1", 1)

    def written(self) -> int:
        """Take note of a put, called by EPICS under the record's lock; return what device support has to."""
        memory, layout = self._memory, self._layout
        if memory[layout.active]:
            self._end()
            return _ACCEPTED
        if self.departed:
            return self._refuse()
        if self._shortens:
            self._shorten()
        if self.spec.type in (PortType.ENUM, PortType.BOOL) and not self._accepts():
            return _REFUSED
        finite = self.spec.type is not PortType.FLOAT or self._accepts_number()
        if threading.get_ident() in _assigning:
            self._echo_of = self._last_finite
            return _ACCEPTED
        if not finite:
            self._return_to_last_finite()
            return _REFUSED
        value = self._value()
        if self._echoes and self._is_echo(value):
            return _ACCEPTED
        if not (self.spec.completes and value):
            self._deliver(self, value, _nothing)
            return _ACCEPTED
        run = self._run = object()
        # A record that stays active posts nothing by itself: subscribers have to see that it was put.
        clib.get_time_stamp(self.record_address)
        mask = clib.reset_alarms(self.record_address) | _DBE_VALUE_LOG
        clib.post_events(self.record_address, self.record_address + layout.value, mask)
        USHORT.pack_into(memory, layout.last_monitored, self._accepted)
        memory[layout.active] = 1
        self._deliver(self, value, lambda: self._complete(run))
        return _ACCEPTED

    def _refuse(self) -> int:
        """Answer a put that comes when the record serves nobody: it stays INVALID, and keeps what it can."""
        if self.spec.type in (PortType.ENUM, PortType.BOOL):
            USHORT.pack_into(self._memory, self._layout.value, self._accepted)
        elif self.spec.type is PortType.FLOAT:
            DOUBLE.pack_into(self._memory, self._layout.value, self._last_finite)
        self.mark_invalid(Status.COMM, DEPARTED, time())
        self._deliver(self, False, _nothing)
        return _REFUSED

    def _shorten(self) -> None:
        memory, layout, length = self._memory, self._layout, self.spec.length
        if self.spec.record_type == "waveform":
            (count,) = ULONG.unpack_from(memory, layout.array_length)
            ULONG.pack_into(memory, layout.array_length, min(count, max(1, length)))
        elif (size := ULONG.unpack_from(memory, layout.text_length)[0]) > length + 1:
            text = memory_of(POINTER.unpack_from(memory, layout.value)[0], size)
            text[length] = 0
            ULONG.pack_into(memory, layout.text_length, length + 1)

    def _accepts(self) -> bool:
        (index,) = USHORT.unpack_from(self._memory, self._layout.value)
        states = 2 if self.spec.type is PortType.BOOL else len(self.spec.labels) or 16
        if index >= states:
            USHORT.pack_into(self._memory, self._layout.value, self._accepted)
            return False
        self._accepted = index
        return True

    def _accepts_number(self) -> bool:
        (value,) = DOUBLE.unpack_from(self._memory, self._layout.value)
        if not math.isfinite(value):
            return False
        self._last_finite = value
        return True

    def _return_to_last_finite(self) -> None:
        """Undo a put of NaN or infinity; EPICS has raised the alarm already, and clears it in a second round."""
        DOUBLE.pack_into(self._memory, self._layout.value, self._last_finite)
        self._echoes, self._echo_of = self._echoes + 1, self._last_finite
        self._memory[self._layout.process_again] = 1

    def _is_echo(self, value: Value) -> bool:
        """Whether this is such a second round, not a put; it finds what the last put before it left."""
        if value != self._echo_of:
            self._echo_of = cast(float, value)
            return False
        self._echoes -= 1
        return True

    def _complete(self, run: object) -> None:
        """End the put that began `run`: the record shows 0 again, and a put with callback is answered."""
        if self._run is not run:
            return
        self._run = None
        _complete_later(_Active(self.record_address), self._capsule)

    def _end(self) -> None:
        self._accepted = 0
        USHORT.pack_into(self._memory, self._layout.value, 0)
        self._memory[self._layout.process_again] = 0
        if self.departed:
            self.mark_invalid(Status.COMM, DEPARTED, time())

    def _value(self) -> Value:
        memory, layout, width = self._memory, self._layout, self._coding.width
        room: Any = memory
        start, count = layout.value, width
        if self.spec.record_type == "waveform":
            (count,) = ULONG.unpack_from(memory, layout.array_length)
            room, start = memory_of(POINTER.unpack_from(memory, layout.array)[0], max(1, count * width)), 0
        elif self.spec.record_type == "lso":
            room, start = memory_of(POINTER.unpack_from(memory, layout.value)[0], width), 0
        return cast(Value, self._coding.decode(room, start, count))


class _Active:
    """A record whose processing ends, as softioc wants to see it."""

    class _Pointer:
        def __init__(self, value: int) -> None:
            self.value = value

    PRIO = 0

    def __init__(self, address: int) -> None:
        self.record = self._Pointer(address)


def _put_quietly(address: int, code: int, data: Any, count: int) -> int:
    """Put without the handler being told."""
    thread = threading.get_ident()
    _assigning.add(thread)
    try:
        return int(clib.put_field(address, code, data, count))
    finally:
        _assigning.discard(thread)


def _nothing() -> None:
    """End a put that nobody waits for."""


def _written(record: int) -> int:
    found = by_address.get(record)
    return found.written() if found else _ACCEPTED


_write = clib.WriteSupport(_written)
_table = clib.DeviceSupport(number=6, write=_write)
_TYPES = ("ao", "longout", "int64out", "bo", "mbbo", "stringout", "lso", "waveform")
# EPICS keeps the pointer, not a copy of the name.
_SUPPORT_NAMES = tuple(f"devIocmng_{record_type}".encode() for record_type in _TYPES)


def add_device_support() -> None:
    """Make our device support known to EPICS: one table for all record types, kept for good."""
    for name in _SUPPORT_NAMES:
        clib.add_device_support(name, ctypes.addressof(_table))
    if clib.load_database(str(clib.DBD).encode(), None, None):
        raise RecordError(f"EPICS cannot read {clib.DBD}")
