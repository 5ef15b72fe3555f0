"""Records in memory: a RecordPort that behaves as the real one does, without EPICS, network or threads."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from iocmng.errors import RecordError
from iocmng.ioc.dbtext import record_text
from iocmng.ioc.readable import value_text
from iocmng.names import did_you_mean
from iocmng.runtime.ports import Clock, Endpoints, Put, Trace, Undo
from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.testing.alarms import AlarmLimits, clamped
from iocmng.values import PortType, Reading, Severity, Status, Value
from iocmng.wire import Actor

Monitor = Callable[[Reading], None]


class PutRefused(ValueError):
    """A client may not write this record, or not this value."""


class Completion:
    """A client's put with callback: over when `done` is set."""

    def __init__(self) -> None:
        self._over = threading.Event()

    @property
    def done(self) -> bool:
        """Whether the put has been answered."""
        return self._over.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait until it has been answered, at most `timeout` seconds."""
        return self._over.wait(timeout)

    def finish(self) -> None:
        """Answer it."""
        self._over.set()


class FakeRecord:
    """One record in memory; values as clients see them."""

    def __init__(self, spec: RecordSpec, clock: Clock, lock: threading.RLock) -> None:
        self._spec = spec
        self._clock = clock
        self._lock = lock
        self._limits = AlarmLimits(spec)
        self._monitors: tuple[Monitor, ...] = ()
        self._posted: Value | None = None
        self.served = False
        first = spec.value if spec.value is not None else _empty(spec)
        valid = spec.writable and spec.value is not None
        self._reading = Reading(
            first,
            Severity.NO_ALARM if valid else Severity.INVALID,
            Status.NO_ALARM if valid else Status.UDF,
            clock.time() if valid else 0.0,
        )
        self._posted = first

    @property
    def spec(self) -> RecordSpec:
        """What the record was made from."""
        return self._spec

    def publish(
        self,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Write value, quality and time (see `iocmng.runtime.ports.Record.publish`).

        Raises:
            RecordError: Clients may write it, or records are not served yet.
        """
        if self._spec.writable:
            raise RecordError(
                f"{self._spec.name}: clients may write it, so it is not published", hint="use assign()"
            )
        self._need_served()
        self.process(value, severity, status, reason, timestamp)

    def assign(self, value: Value) -> None:
        """Set a writable record from inside.

        Raises:
            RecordError: Clients may not write it, or records are not served yet.
        """
        if not self._spec.writable:
            raise RecordError(
                f"{self._spec.name}: clients may not write it, so it is not assigned", hint="use publish()"
            )
        self._need_served()
        self.process(clamped(self._spec, value))

    def read(self) -> Reading:
        """What the record shows now."""
        if not self.served:
            return replace(self._reading, severity=Severity.INVALID, status=Status.UDF, connected=False)
        return self._reading

    def monitor(self, handler: Monitor) -> Undo:
        """Call `handler` with what the record shows now, and after every change that clients are told of."""
        with self._lock:
            self._monitors = (*self._monitors, handler)
            handler(self.read())

        return partial(self.forget, handler)

    def forget(self, handler: Monitor) -> None:
        """Call `handler` no more."""
        with self._lock:
            self._monitors = tuple(known for known in self._monitors if known is not handler)

    def process(
        self,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Take a value over as a processed record does: limits raise the severity, changes are posted."""
        with self._lock:
            found = self._limits.judge(value, severity, status, reason)
            before = self._reading
            time = self._clock.time() if timestamp is None else timestamp
            self._reading = Reading(value, found.severity, found.status, time, True, found.message)
            alarm_changed = (before.severity, before.status, before.message) != (
                found.severity,
                found.status,
                found.message,
            )
            if alarm_changed or self._limits.beyond_deadband(value, self._posted):
                self._posted = value
                for monitor in self._monitors:
                    monitor(self._reading)

    def _need_served(self) -> None:
        if not self.served:
            raise RecordError(f"{self._spec.name}: records are not served yet", hint="start the port first")


class FakeRecords:
    """A RecordPort in memory. Handlers are called at once, on the thread that puts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._records: dict[str, FakeRecord] = {}
        self._put_handlers: dict[str, tuple[Callable[[Put], None], ...]] = {}
        self._trace_handlers: tuple[Callable[[Trace], None], ...] = ()
        self._running: dict[str, object] = {}
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._watches: list[tuple[str, Monitor]] = []
        self._calls: deque[Callable[[], None]] = deque()
        self._calling = False
        self._served = False

    def load(self, specs: Iterable[RecordSpec], *, source: str) -> None:
        """Make the records of one instance; see `RecordPort.load`.

        Raises:
            RecordError: A record exists already, or its text cannot be written.
        """
        if self._served:
            raise RecordError(f"{source}: EPICS makes no records while it serves", hint="load before start")
        made: dict[str, FakeRecord] = {}
        for spec in specs:
            if spec.name in made or spec.name in self._records:
                raise RecordError(f"record {spec.name} of {source} exists already")
            record_text(spec)
            made[spec.name] = FakeRecord(spec, self._clock, self._lock)
        self._records.update(made)

    def start(self) -> Endpoints:
        """Serve the records; nothing listens."""
        self._served = True
        for record in self._records.values():
            record.served = True
        for name, handler in tuple(self._watches):
            self._records[name].monitor(handler)
        return Endpoints(0, 0)

    def record(self, name: str) -> FakeRecord:
        """The record of a full PV name.

        Raises:
            KeyError: There is none.
        """
        return self._records[name]

    def on_put(self, name: str, handler: Callable[[Put], None]) -> Undo:
        """Call `handler` for each `client_put` to a writable record; see `RecordPort.on_put`.

        Raises:
            KeyError: There is no such record.
            RecordError: Clients may not write it.
        """
        if not self._records[name].spec.writable:
            raise RecordError(f"{name}: clients may not write it, so no put will come")
        self._put_handlers[name] = (*self._put_handlers.get(name, ()), handler)

        def undo() -> None:
            self._put_handlers[name] = tuple(h for h in self._put_handlers[name] if h is not handler)

        return undo

    def on_trace(self, handler: Callable[[Trace], None]) -> Undo:
        """Call `handler` for every `client_put` that is let through."""
        self._trace_handlers = (*self._trace_handlers, handler)

        def undo() -> None:
            self._trace_handlers = tuple(h for h in self._trace_handlers if h is not handler)

        return undo

    def watch(self, name: str, handler: Monitor) -> Undo:
        """Call `handler` at once and after every change, on the thread that causes it; see `RecordPort.watch`.

        Raises:
            KeyError: There is no such record.
        """
        record = self._records[name]
        if self._served:
            return record.monitor(handler)
        entry = (name, handler)
        self._watches.append(entry)

        def undo() -> None:
            self._watches.remove(entry)
            record.forget(handler)

        return undo

    def client_put(
        self,
        name: str,
        value: object,
        *,
        user: str = "operator",
        host: str = "localhost",
        callback: bool = True,
    ) -> Completion:
        """Put as a CA or PVA client would; with `callback` the result is done when the put has been answered.

        Raises:
            KeyError: There is no such record.
            PutRefused: Clients may not write it, or EPICS would not take the value.
        """
        if name not in self._records:
            raise KeyError(f"no record {name!r}; {did_you_mean(name, self._records)}")
        record = self._records[name]
        if not record.spec.writable:
            raise PutRefused(f"{name}: clients may not write it")
        try:
            wanted = clamped(record.spec, convert(record.spec, value))
        except (TypeError, ValueError) as error:
            raise PutRefused(str(error)) from error
        if isinstance(wanted, float) and not math.isfinite(wanted):
            raise PutRefused(f"{name}: {wanted} is not a finite number")
        actor = Actor(user, host, "pv")
        completion = Completion()
        with self._lock:
            waiting = self._waiting.setdefault(name, deque())
            ahead = (name in self._running) + len(waiting)
            if ahead and not callback:
                self._hand_on(Put(name, wanted, actor, _nothing, ahead, ignored=True))
                completion.finish()
            elif ahead:
                waiting.append(partial(self._begin, record, wanted, actor, ahead, completion))
            else:
                self._begin(record, wanted, actor, 0, completion)
        self._run_calls()
        return completion

    def _begin(
        self, record: FakeRecord, value: Value, actor: Actor, ahead: int, completion: Completion
    ) -> None:
        name = record.spec.name
        old = value_text(record.spec, record.read().value)
        record.process(value)
        self._trace(Trace(name, actor, old, value_text(record.spec, value)))
        if not (record.spec.completes and value):
            self._hand_on(Put(name, value, actor, _nothing, ahead))
            completion.finish()
            return
        run = self._running[name] = object()
        self._hand_on(Put(name, value, actor, partial(self._complete, record, run, completion), ahead))

    def _complete(self, record: FakeRecord, run: object, completion: Completion) -> None:
        name = record.spec.name
        with self._lock:
            if self._running.get(name) is not run:
                return
            del self._running[name]
            record.process(False)
            completion.finish()
            if waiting := self._waiting.get(name):
                waiting.popleft()()
        self._run_calls()

    def _hand_on(self, put: Put) -> None:
        handlers = self._put_handlers.get(put.name, ())
        if not handlers:
            self._calls.append(put.complete)
        self._calls.extend(partial(handler, put) for handler in handlers)

    def _trace(self, trace: Trace) -> None:
        self._calls.extend(partial(handler, trace) for handler in self._trace_handlers)

    def _run_calls(self) -> None:
        """Call what has been queued, in order, also when a handler puts again."""
        with self._lock:
            if self._calling:
                return
            self._calling = True
            try:
                while self._calls:
                    self._calls.popleft()()
            finally:
                self._calling = False


def _empty(spec: RecordSpec) -> Value:
    if spec.type is PortType.ARRAY:
        return convert(spec, ())
    empty: dict[PortType, Value] = {
        PortType.FLOAT: 0.0,
        PortType.INT: 0,
        PortType.BOOL: False,
        PortType.STRING: "",
        PortType.ENUM: 0,
    }
    return empty[spec.type]


def _nothing() -> None:
    """End a put that nobody waits for."""
