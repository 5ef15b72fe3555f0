"""Tell handlers of every change of a record, whoever caused it, through EPICS' own event subscriptions."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Iterable
from itertools import count

from iocmng.errors import RecordError
from iocmng.ioc import clib
from iocmng.values import Reading

_log = logging.getLogger("iocmng.ioc")
_VALUE_OR_ALARM = 0x01 | 0x04
_PRIORITY = 60

Handler = Callable[[Reading], None]


class _Watch:
    __slots__ = ("handler", "name", "subscription")

    def __init__(self, name: str, handler: Handler) -> None:
        self.name, self.handler = name, handler
        self.subscription = 0


class Watches:
    """Subscriptions inside the process. EPICS calls back on a thread of its own, where the record is read too.

    No record is locked while EPICS calls back, and a change that comes while others wait takes the place of an
    older one of the same record when there are very many.

    Args:
        read: Reads the record of a name; None when there is nothing to tell.
    """

    def __init__(self, read: Callable[[str], Reading | None]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._ids = count(1)
        self._watches: dict[int, _Watch] = {}
        self._channels: dict[tuple[str, int], int] = {}
        self._context = 0
        self._serving = False
        self._away: set[str] = set()
        self._changed = clib.EventFunction(self._deliver)
        self._started = clib.ThreadStarted(_keep_thread_state)

    def begin(self) -> None:
        """Subscribe to what has been asked for; the records are served now."""
        with self._lock:
            self._serving = True
            waiting = list(self._watches.items())
        for key, watch in waiting:
            self._subscribe(key, watch)

    def add(self, name: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` with what the record shows, once it is served and after every change."""
        watch = _Watch(name, handler)
        with self._lock:
            key = next(self._ids)
            self._watches[key] = watch
            serving = self._serving
        if serving:
            self._subscribe(key, watch)

        def undo() -> None:
            with self._lock:
                known = self._watches.pop(key, None)
                subscription = watch.subscription
            if known and subscription:
                clib.cancel_event(subscription)

        return undo

    def leave(self, names: Iterable[str]) -> None:
        """Tell nothing of records from now on: they depart, or others take their places."""
        with self._lock:
            self._away.update(names)
            ended = [watch for watch in self._watches.values() if watch.name in self._away]
            subscriptions = [watch.subscription for watch in ended if watch.subscription]
            for watch in ended:
                watch.subscription = 0
        for subscription in subscriptions:
            clib.cancel_event(subscription)

    def come(self, names: Iterable[str]) -> None:
        """Tell of the records that have these names now, beginning with what they show."""
        with self._lock:
            for name in names:
                self._away.discard(name)
            waiting = [(key, watch) for key, watch in self._watches.items() if not watch.subscription]
        for key, watch in waiting:
            self._subscribe(key, watch)

    def _subscribe(self, key: int, watch: _Watch) -> None:
        with self._lock:
            if key not in self._watches or watch.subscription or watch.name in self._away:
                return
            channel = self._channel(watch.name)
            subscription = clib.add_event(self._events(), channel, self._changed, key, _VALUE_OR_ALARM)
            if not subscription:
                raise RecordError(f"{watch.name}: EPICS has no memory for a subscription")
            watch.subscription = subscription
        clib.enable_event(subscription)
        clib.post_single_event(subscription)

    def _channel(self, name: str) -> int:
        """The channel of a record, kept for good: EPICS may still look at one whose subscription has ended."""
        key = name, int(clib.address_of(name).record)
        if key not in self._channels:
            channel = clib.create_channel(name.encode())
            if not channel or clib.open_channel(channel):
                raise RecordError(f"EPICS has no record {name} to subscribe to")
            self._channels[key] = channel
        return self._channels[key]

    def _events(self) -> int:
        if not self._context:
            self._context = clib.init_events()
            if clib.start_events(self._context, b"iocmng watches", self._started, None, _PRIORITY):
                raise RecordError("EPICS could not start the thread of its subscriptions")
        return self._context

    def _deliver(self, key: int, _channel: int, _remaining: int, _log_entry: int) -> None:
        watch = self._watches.get(key)
        if watch is None or watch.name in self._away:
            return
        try:
            if (reading := self._read(watch.name)) is not None:
                watch.handler(reading)
        except Exception:  # noqa: BLE001 - a border: one handler's fault must not end the subscriptions of others
            _log.exception("handler %r failed on a change of %s", watch.handler, watch.name)


def _keep_thread_state(_argument: int) -> None:
    """Make Python keep what it knows of this thread between calls: making it anew takes longer than the call."""
    ctypes.pythonapi.PyGILState_Ensure()
