"""Who writes: a listener that EPICS calls before and after each client put, on CA and PVA, where the rules say TRAPWRITE."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Container
from itertools import count
from typing import Any

from iocmng.ioc import clib
from iocmng.ioc.layout import CHAR, STRING, STRING_SIZE
from iocmng.runtime.ports import Trace
from iocmng.wire import Actor

_SHOWN = 8
_LONGEST = 256


class Arrival:
    """A client put on its way: who, and how many puts to the same record were before it when it came."""

    __slots__ = ("actor", "ahead", "name", "old", "record", "taken")

    def __init__(self, record: int, name: str, actor: Actor, old: str, ahead: int) -> None:
        self.record, self.name, self.actor, self.old, self.ahead = record, name, actor, old, ahead
        self.taken = False


class WriteListener:
    """Notes each client put from its arrival to its end.

    Args:
        on_end: Called on the client's thread when a put is over.
        on_ignored: Called when a put to one of the `completing` records never reached it, because it was running.
        completing: Addresses of the records that complete puts.
    """

    def __init__(
        self,
        on_end: Callable[[Trace], None],
        on_ignored: Callable[[Arrival], None],
        completing: Container[int],
    ) -> None:
        self._on_end = on_end
        self._on_ignored = on_ignored
        self._completing = completing
        self._ids = count(1)
        self._open: dict[int, Arrival] = {}
        self._by_thread: dict[int, Arrival] = {}
        self._by_record: dict[int, deque[Arrival]] = {}
        self._callback = clib.TrapListener(self._called)

    def listen(self) -> None:
        """Begin; lasts as long as the process."""
        clib.listen_to_writes(self._callback)

    def take(self, record: int) -> Arrival | None:
        """The put that is processing `record` on this thread, or the oldest that waits for it."""
        if waiting := self._by_record.get(record):
            arrival = waiting[0]
            if not arrival.taken:
                arrival.taken = True
                return arrival
            for later in waiting:
                if not later.taken:
                    later.taken = True
                    return later
        arrival_here = self._by_thread.get(threading.get_ident())
        return arrival_here if arrival_here and arrival_here.record == record else None

    def _called(self, message: Any, after: int) -> None:
        if after:
            self._after(message.contents)
        else:
            self._before(message.contents)

    def _before(self, message: clib.TrapMessage) -> None:
        channel = clib.Channel.from_address(message.channel)
        record = int(channel.address.record)
        actor = Actor(_text(message.user), _text(message.host), "pv")
        waiting = self._by_record.setdefault(record, deque()) if record in self._completing else None
        arrival = Arrival(record, _text(channel.name), actor, shown(channel), len(waiting or ()))
        if waiting is not None:
            waiting.append(arrival)
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
        if waiting := self._by_record.get(arrival.record):
            waiting.remove(arrival)
            if not arrival.taken:
                self._on_ignored(arrival)
        self._on_end(Trace(arrival.name, arrival.actor, arrival.old, shown(channel)))


def shown(channel: clib.Channel) -> str:
    """Return what a field holds as text: the start of a long string, the first elements of an array."""
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
