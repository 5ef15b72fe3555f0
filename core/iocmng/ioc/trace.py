"""Who writes: a listener that EPICS calls around each client put where the rules say TRAPWRITE."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Protocol

from iocmng.ioc import clib
from iocmng.ioc.layout import CHAR, STRING, STRING_SIZE
from iocmng.runtime.ports import Trace
from iocmng.spec import RecordSpec
from iocmng.wire import Actor

_SHOWN = 8
_LONGEST = 256


class Written(Protocol):
    """What the listener asks of a record that clients write."""

    @property
    def spec(self) -> RecordSpec:
        """What it was made from."""

    def text(self) -> str:
        """What it holds now, without a wait for its lock."""

    def ahead(self) -> int:
        """Puts that are running or wait in EPICS' queue."""

    def waiting(self) -> int | None:
        """Puts with callback that wait in EPICS' queue, None when that cannot be told."""


class Arrival:
    """A client put on its way: who, and how many puts to the same record were before it when it came."""

    __slots__ = ("actor", "ahead", "name", "old", "record", "taken")

    def __init__(self, record: int, name: str, actor: Actor, old: str, ahead: int) -> None:
        self.record, self.name, self.actor, self.old, self.ahead = record, name, actor, old, ahead
        self.taken = False


class WriteListener:
    """Notes each client put from its arrival to its end.

    Args:
        on_trace: Called on an EPICS thread when a put has changed something.
        on_ignored: Called when a plain put did not reach a record that completes puts, because it was running.
        records: The records that clients write, by their addresses.
    """

    def __init__(
        self,
        on_trace: Callable[[Trace], None],
        on_ignored: Callable[[Arrival], None],
        records: Mapping[int, Written],
    ) -> None:
        self._on_trace = on_trace
        self._on_ignored = on_ignored
        self._records = records
        self._ids = count(1)
        self._open: dict[int, Arrival] = {}
        self._by_thread: dict[int, Arrival] = {}
        self._queued: dict[int, deque[Arrival]] = {}
        self._callback = clib.TrapListener(self._called)

    def listen(self) -> None:
        """Begin; lasts as long as the process."""
        clib.listen_to_writes(self._callback)

    def take(self, record: int) -> Arrival | None:
        """The put that is processing `record` now, None when nobody can say which it is.

        One that waited in EPICS' queue runs on another thread than it came on: it is the oldest of those that
        wait, unless the queue's length says that one of them has gone.
        """
        here = self._by_thread.get(threading.get_ident())
        queue = self._queued.get(record)
        if here and here.record == record and not here.taken:
            here.taken = True
            if queue:
                queue.remove(here)
            return here
        if not queue:
            return None
        oldest = queue.popleft()
        oldest.taken = True
        return oldest if len(queue) == self._records[record].waiting() else None

    def started(self, arrival: Arrival, new: str) -> None:
        """Tell of a put that a completing record has begun to work on: its end may be hours away."""
        self._on_trace(Trace(arrival.name, arrival.actor, arrival.old, new))

    def _called(self, message: Any, after: int) -> None:
        if after:
            self._after(message.contents)
        else:
            self._before(message.contents)

    def _before(self, message: clib.TrapMessage) -> None:
        channel = clib.Channel.from_address(message.channel)
        record = int(channel.address.record)
        written = self._records.get(record)
        completes = written is not None and written.spec.completes
        actor = Actor(_text(message.user), _text(message.host), "pv")
        ahead = written.ahead() if written and completes else 0
        arrival = Arrival(record, _text(channel.name), actor, self._shown(channel, record), ahead)
        if completes:
            queue = self._queued.setdefault(record, deque())
            if not ahead:
                queue.clear()
            queue.append(arrival)
        key = next(self._ids)
        self._open[key] = self._by_thread[threading.get_ident()] = arrival
        message.private = key

    def _after(self, message: clib.TrapMessage) -> None:
        arrival = self._open.pop(int(message.private or 0), None)
        if arrival is None:
            return
        thread = threading.get_ident()
        if self._by_thread.get(thread) is arrival:
            del self._by_thread[thread]
        channel = clib.Channel.from_address(message.channel)
        written = self._records.get(arrival.record)
        if written and written.spec.completes:
            queue = self._queued[arrival.record]
            # PVA says "after" as soon as a put with callback waits, CA when it is over.
            if arrival.taken or (arrival in queue and len(queue) <= (written.waiting() or 0)):
                return
            if arrival in queue:
                queue.remove(arrival)
            if arrival.ahead:
                self._on_ignored(arrival)
        new = self._shown(channel, arrival.record)
        self._on_trace(Trace(arrival.name, arrival.actor, arrival.old, new))

    def _shown(self, channel: clib.Channel, record: int) -> str:
        written = self._records.get(record)
        if written and _text(channel.name) in (written.spec.name, f"{written.spec.name}.VAL"):
            return written.text()
        return shown(channel)


def shown(channel: clib.Channel) -> str:
    """Ask EPICS what a field holds as text: the start of a long string, the first elements of an array."""
    address = channel.address
    many = address.elements > 1
    code, width = (CHAR, 1) if many and channel.name.endswith(b"$") else (STRING, STRING_SIZE)
    wanted = min(address.elements, _LONGEST if code == CHAR else _SHOWN)
    room = ctypes.create_string_buffer(max(1, wanted) * width)
    elements = ctypes.c_long(wanted)
    if clib.get_field(ctypes.addressof(address), code, room, None, ctypes.byref(elements), None):
        return ""
    rows = [room.raw[at : at + width] for at in range(0, elements.value * width, width)]
    if code == CHAR:
        return _text(b"".join(rows).split(b"\0", 1)[0])
    texts = [_text(row.split(b"\0", 1)[0]) for row in rows]
    return (
        f"[{', '.join(texts)}{', …' if address.elements > _SHOWN <= elements.value else ''}]"
        if many
        else "".join(texts)
    )


def _text(coded: bytes | None) -> str:
    return (coded or b"").decode(errors="replace")
