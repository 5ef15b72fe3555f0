"""A client of PVs over Channel Access. Importing this module imports pyepics (0.3 s)."""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass, field
from typing import Any

from iocmng.errors import LinkError, LinkRefused
from iocmng.links import ca_library
from iocmng.links.ca_library import NORMAL, TIME, VALUE_AND_ALARM, Library, OnConnection, OnEvent
from iocmng.links.ca_values import encoded, reading
from iocmng.links.client import Question, ThreadedClient, lost
from iocmng.links.feeds import Fanout
from iocmng.links.outbox import Write
from iocmng.links.thread_state import keep_thread_state
from iocmng.names import Provider
from iocmng.values import Reading

_UNUSED = 60.0
_SEARCH_AGAIN = 10.0
_SEARCHED_AT_ONCE = 1000
_CONNECTED = 6
_FOUND_WITHIN = 1.0


@dataclass(eq=False)
class _Channel:
    """A PV and what goes on with it; libca's threads set `connected`, `native`, `room`, the worker others."""

    pv: str
    chid: ctypes.c_void_p = field(default_factory=ctypes.c_void_p)
    connected: bool = False
    native: int = ca_library.DOUBLE
    room: int = 1
    labels: tuple[str, ...] = ()
    fanout: Fanout | None = None
    subscription: ctypes.c_void_p | None = None
    subscribed_as: tuple[int, int] | None = None
    waiting: list[Question] = field(default_factory=list)
    unsent: Write | None = None
    write: Write | None = None
    text: bool = False
    used: float = 0.0
    made: float = field(default_factory=time.monotonic)
    was_connected: bool = False
    calls: set[_Call] = field(default_factory=set)


@dataclass(eq=False, slots=True)
class _Call:
    """What libca hands back to a callback of a get or put; kept alive until it did."""

    channel: _Channel
    subject: Any


class CaClient(ThreadedClient):
    """PVs over Channel Access.

    libca calls back in threads of its own while it holds a lock that other calls to it may wait for. So only
    the worker thread calls libca, and callbacks only hand things on.
    """

    provider = Provider.CA

    def __init__(self) -> None:
        super().__init__()
        self._channels: dict[str, _Channel] = {}
        self._searched = 0
        self._on_connection = OnConnection(self._connection_changed)
        self._on_event = OnEvent(self._event)
        self._on_get = OnEvent(self._got)
        self._on_put = OnEvent(self._put)
        self._on_labels = OnEvent(self._got_labels)
        self._worker.submit(self._start)

    def _start(self) -> None:
        self._library = Library(self._failed)
        self._sweep()

    def _channel(self, pv: str) -> _Channel:
        channel = self._channels.get(pv)
        if channel is None:
            channel = _Channel(pv, text=pv.endswith("$"))
            self._search(channel)
            self._channels[pv] = channel
            self._library.flush()
        channel.used = time.monotonic()
        return channel

    def _search(self, channel: _Channel) -> None:
        channel.chid = ctypes.c_void_p()
        channel.connected = False
        status = self._library.create_channel(
            channel.pv.encode(), self._on_connection, channel, 0, ctypes.byref(channel.chid)
        )
        self._check(channel, status)

    def _sweep(self) -> None:
        """Drop channels that nobody uses, and search for the missing ones afresh.

        libca searches ever less often, and a restarted server that it cannot hear (no CA repeater on this
        machine, or another network) would stay undiscovered for minutes.
        """
        self._worker.after(_SEARCH_AGAIN, self._sweep)
        missing = []
        for channel in list(self._channels.values()):
            used = channel.fanout or channel.unsent or channel.write or channel.waiting
            if not used and channel.used + _UNUSED < time.monotonic():
                del self._channels[channel.pv]
                self._clear(channel)
            elif not channel.connected:
                missing.append(channel)
        # Thousands at once would hold up what the others read and write: they take turns.
        first = self._searched % max(1, len(missing))
        for channel in (missing[first:] + missing[:first])[:_SEARCHED_AT_ONCE]:
            self._clear(channel)
            self._search(channel)
        self._searched = first + _SEARCHED_AT_ONCE
        self._library.flush()

    def _clear(self, channel: _Channel) -> None:
        self._library.clear_channel(channel.chid)
        channel.subscription = channel.subscribed_as = None
        # libca calls nothing back for a channel that is gone.
        channel.calls.clear()

    def _connection_changed(self, event: Any) -> None:
        channel: _Channel = self._library.user(event.chid)
        if event.op == _CONNECTED:
            channel.native = self._library.field_type(event.chid)
            channel.room = self._library.element_count(event.chid)
            channel.labels = ()
            channel.connected = channel.was_connected = True
            self._worker.submit(lambda: self._connected(channel))
            return
        channel.connected = False
        if channel.fanout is not None:
            lost(channel.fanout)

    def _connected(self, channel: _Channel) -> None:
        if not channel.connected or self._channels.get(channel.pv) is not channel:
            return
        if channel.native == ca_library.ENUM:
            self._ask_labels(channel)
        if channel.fanout is not None:
            self._listen(channel)
        questions, channel.waiting = channel.waiting, []
        for question in questions:
            self._read(channel, question)
        if channel.unsent is not None:
            self._send(channel, channel.unsent)
        self._library.flush()

    def _ask_labels(self, channel: _Channel) -> None:
        """Ask for the state names; the server answers in order, so they are here before the first value is."""
        call = self._keep(channel, None)
        if self._library.get(ca_library.STATES, 1, channel.chid, self._on_labels, call) != NORMAL:
            call.channel.calls.discard(call)

    def _got_labels(self, event: Any) -> None:
        call: _Call = event.usr
        if event.status == NORMAL:
            call.channel.labels = ca_library.state_names(event)
        call.channel.calls.discard(call)

    def _subscribe(self, pv: str, fanout: Fanout) -> None:
        channel = self._channel(pv)
        channel.fanout = fanout
        if channel.connected:
            self._listen(channel)
            self._library.flush()

    def _listen(self, channel: _Channel) -> None:
        kind = (channel.native, channel.room)
        if channel.subscribed_as == kind:
            return
        self._deafen(channel)
        channel.subscription = ctypes.c_void_p()
        status = self._library.create_subscription(
            TIME + channel.native,
            0 if channel.room > 1 else 1,
            channel.chid,
            VALUE_AND_ALARM,
            self._on_event,
            channel,
            ctypes.byref(channel.subscription),
        )
        self._check(channel, status)
        channel.subscribed_as = kind

    def _unsubscribe(self, pv: str) -> None:
        channel = self._channels[pv]
        channel.fanout = None
        channel.used = time.monotonic()
        self._deafen(channel)
        self._library.flush()

    def _deafen(self, channel: _Channel) -> None:
        if channel.subscription is not None:
            self._library.clear_subscription(channel.subscription)
        channel.subscription = channel.subscribed_as = None

    def _event(self, event: Any) -> None:
        keep_thread_state()
        channel: _Channel = event.usr
        fanout = channel.fanout
        if fanout is None:
            return
        if event.status == NORMAL:
            fanout.publish(_reading(channel, event))
        elif channel.connected:
            lost(fanout, self._library.message(event.status))

    def _is_down(self, pv: str) -> bool:
        channel = self._channels.get(pv)
        if channel is None or channel.connected:
            return False
        channel.used = time.monotonic()
        return channel.was_connected or channel.made + _FOUND_WITHIN < channel.used

    def _ask(self, question: Question) -> None:
        channel = self._channel(question.pv)
        if channel.connected:
            self._read(channel, question)
            self._library.flush()
        else:
            channel.waiting.append(question)

    def _read(self, channel: _Channel, question: Question) -> None:
        call = self._keep(channel, question)
        status = self._library.get(
            TIME + channel.native, 0 if channel.room > 1 else 1, channel.chid, self._on_get, call
        )
        if status != NORMAL:
            call.channel.calls.discard(call)
            question.settle(self._error(channel, status))

    def _got(self, event: Any) -> None:
        keep_thread_state()
        call: _Call = event.usr
        question: Question = call.subject
        if event.status == NORMAL:
            question.settle(_reading(call.channel, event))
        else:
            question.settle(self._error(call.channel, event.status))
        call.channel.calls.discard(call)

    def _forget(self, question: Question) -> None:
        channel = self._channels.get(question.pv)
        if channel is not None and question in channel.waiting:
            channel.waiting.remove(question)

    def _begin_write(self, pv: str, write: Write) -> None:
        channel = self._channel(pv)
        channel.unsent = write
        if channel.connected:
            self._send(channel, write)
            self._library.flush()

    def _send(self, channel: _Channel, write: Write) -> None:
        channel.unsent = None
        if not self._library.write_access(channel.chid):
            self._written(channel.pv, write, self._error(channel, ca_library.NO_WRITE_ACCESS))
            return
        try:
            kind, count, memory = encoded(write.value, channel.native, channel.room)
        except ValueError as error:
            self._written(channel.pv, write, error)
            return
        channel.write = write
        call = self._keep(channel, write)
        if write.wait:
            status = self._library.put_callback(kind, count, channel.chid, memory, self._on_put, call)
        else:
            status = self._library.put(kind, count, channel.chid, memory)
            if status == NORMAL:
                # The server answers in order: when this read comes back, the put is done or complained about.
                status = self._library.get(ca_library.STRING, 1, channel.chid, self._on_put, call)
        if status != NORMAL:
            call.channel.calls.discard(call)
            self._written(channel.pv, write, self._error(channel, status))

    def _put(self, event: Any) -> None:
        call: _Call = event.usr
        write: Write = call.subject
        answered = event.status == NORMAL or (not write.wait and event.status == ca_library.NO_READ_ACCESS)
        self._written(call.channel.pv, write, None if answered else self._error(call.channel, event.status))
        call.channel.calls.discard(call)

    def _failed(self, failure: Any) -> None:
        if failure.operation != ca_library.PUT or not failure.chid:
            return
        for channel in list(self._channels.values()):
            write = channel.write
            if channel.chid.value == failure.chid and write is not None:
                write.complaint = self._error(channel, failure.status)

    def _cancel_write(self, pv: str, write: Write) -> None:
        channel = self._channels.get(pv)
        if channel is not None:
            channel.unsent = None if channel.unsent is write else channel.unsent
            channel.write = None if channel.write is write else channel.write

    def _finish(self, pv: str, write: Write, error: Exception | None) -> None:
        self._cancel_write(pv, write)
        super()._finish(pv, write, error)

    def _shut_down(self) -> None:
        for channel in self._channels.values():
            channel.fanout = None
            self._clear(channel)
        self._channels.clear()
        self._library.flush()

    def _keep(self, channel: _Channel, subject: Question | Write | None) -> _Call:
        call = _Call(channel, subject)
        channel.calls.add(call)
        return call

    def _check(self, channel: _Channel, status: int) -> None:
        if status != NORMAL:
            raise self._error(channel, status)

    def _error(self, channel: _Channel, status: int) -> LinkError:
        detail = f"ca://{channel.pv}: {self._library.message(status)}"
        if status in (ca_library.NO_READ_ACCESS, ca_library.NO_WRITE_ACCESS):
            return LinkRefused(detail, hint="the access security of its server decides that")
        return LinkError(detail)


def _reading(channel: _Channel, event: Any) -> Reading:
    return reading(event, array=channel.room > 1, text=channel.text, labels=channel.labels)
