"""The event bus: something happened, and everyone who asked hears of it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any

from iocmng.runtime.ports import Clock, Trace, Undo
from iocmng.wire import Actor, Event, EventKind

_log = logging.getLogger("iocmng.events")
KEPT = 10_000


class EventBus:
    """Publishes from any thread; subscribers are called in order on the publishing thread and must only enqueue."""

    def __init__(self, clock: Clock, kept: int = KEPT) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: deque[Event] = deque(maxlen=kept)
        self._subscribers: tuple[Callable[[Event], None], ...] = ()
        self._last = 0

    def publish(
        self,
        kind: EventKind,
        *,
        instance: str = "",
        text: str = "",
        data: Mapping[str, Any] | None = None,
        actor: Actor | None = None,
    ) -> Event:
        """Hand an event to every subscriber; one that raises is logged and costs the others nothing."""
        with self._lock:
            self._last += 1
            event = Event(self._last, self._clock.time(), kind, instance, text, data or {}, actor or Actor())
            self._events.append(event)
            subscribers = self._subscribers
        for subscriber in subscribers:
            try:
                subscriber(event)
            except Exception:  # noqa: BLE001 - a border: a subscriber's fault must not reach the publisher
                _log.exception("subscriber %r failed on event %d", subscriber, event.id)
        return event

    def audit_put(self, trace: Trace) -> None:
        """Publish that a client wrote a record."""
        self.publish(
            EventKind.AUDIT,
            text=f"put {trace.name}: {trace.old} -> {trace.new}",
            data={"pv": trace.name, "old": trace.old, "new": trace.new},
            actor=trace.actor,
        )

    def subscribe(self, subscriber: Callable[[Event], None]) -> Undo:
        """Hear every event from now on; the returned call ends it."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

        def undo() -> None:
            with self._lock:
                self._subscribers = tuple(known for known in self._subscribers if known is not subscriber)

        return undo

    def since(self, event_id: int) -> tuple[Event, ...]:
        """Kept events after `event_id`, oldest first."""
        with self._lock:
            newer = list(takewhile(lambda event: event.id > event_id, reversed(self._events)))
        return tuple(reversed(newer))
