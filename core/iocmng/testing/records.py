"""Records in memory: a RecordPort that behaves as the real one does, without EPICS, network or threads."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from iocmng.errors import RecordError
from iocmng.ioc.readable import value_text
from iocmng.ioc.spares import Pool, check_counts
from iocmng.names import did_you_mean
from iocmng.runtime.ports import Clock, Endpoints, Put, Trace, Undo
from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.spec.spares import Shape
from iocmng.testing.alarms import clamped
from iocmng.testing.fakerecord import DEPARTED, FakeMemory, FakeRecord, Monitor
from iocmng.values import Severity, Status, Value
from iocmng.wire import Actor


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


class _Watch:
    """Somebody who wants to be told of a name, whichever record has it."""

    def __init__(self, name: str, handler: Monitor) -> None:
        self.name, self.handler = name, handler
        self.end: Undo | None = None

    def stop(self) -> None:
        """Tell nothing for the time being."""
        if self.end is not None:
            self.end()
            self.end = None


class FakeRecords:
    """A RecordPort in memory. Handlers are called at once, on the thread that puts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._records: dict[str, FakeRecord] = {}
        self._put_handlers: dict[str, tuple[Callable[[Put], None], ...]] = {}
        self._trace_handlers: tuple[Callable[[Trace], None], ...] = ()
        self._running: dict[str, Completion] = {}
        self._waiting: dict[str, deque[tuple[Callable[[], None], Completion]]] = {}
        self._watches: list[_Watch] = []
        self._pool: Pool[FakeMemory] = Pool()
        self._sources: dict[str, str] = {}
        self.announced = 0
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
            memory = FakeMemory(self._clock, self._lock)
            memory.dress(spec)
            memory.begin(spec)
            made[spec.name] = FakeRecord(spec, memory, self._is_served)
        for name, record in made.items():
            self._pool.bind(name, Shape.of(record.spec), record.memory)
        self._records.update(made)
        self._sources.update(dict.fromkeys(made, source))

    def _is_served(self) -> bool:
        return self._served

    def start(self) -> Endpoints:
        """Serve the records; nothing listens."""
        self._served = True
        self._tell(self._records)
        return Endpoints(0, 0)

    def reserve(self, counts: Mapping[str, int], *, array_length: int) -> None:
        """Make spare records; see `RecordPort.reserve`.

        Raises:
            RecordError: There is no such kind, or records are served already.
        """
        if self._served:
            raise RecordError("EPICS makes no records while it serves", hint="reserve before start")
        check_counts(counts)
        self._pool.array_length = array_length
        for kind, count in counts.items():
            for _ in range(count):
                self._pool.add(kind, FakeMemory(self._clock, self._lock))

    def spares(self) -> Mapping[str, int]:
        """Spare records of each kind that no name is bound to."""
        return self._pool.free()

    def lacking(self, specs: Iterable[RecordSpec]) -> Mapping[str, tuple[int, int]]:
        """Needed and free spares of each kind that would not suffice; see `RecordPort.lacking`."""
        return self._pool.lacking(specs)

    def needs_new(self, spec: RecordSpec) -> bool:
        """Whether a name would get another record than it has or had; see `RecordPort.needs_new`."""
        return self._pool.needs_new(spec)

    def arrive(self, specs: Iterable[RecordSpec], *, source: str) -> None:
        """Serve further records; see `RecordPort.arrive`.

        Raises:
            SparesShort: Spares do not suffice; nothing has changed.
            RecordError: A name is taken, a field is refused, or nothing is served yet; nothing has changed.
        """
        specs = tuple(specs)
        if not self._served:
            raise RecordError(f"{source}: records are not served yet", hint="load them instead")
        names = [spec.name for spec in specs]
        for name in names:
            if names.count(name) > 1 or self._sources.get(name, source) != source:
                raise RecordError(
                    f"record {name} of {source} exists already in {self._sources.get(name, source)}"
                )
        with self._lock:
            self._replace(specs, source)
        self._run_calls()
        self._tell(names)

    def _replace(self, specs: Sequence[RecordSpec], source: str) -> None:
        chosen = self._pool.choose(specs, source=source)
        before = [(memory, memory.spec) for _, memory, _ in chosen]
        try:
            for spec, memory, _ in chosen:
                memory.dress(spec)
        except RecordError:
            for memory, old in before:
                memory.dress(old)
            for spec, memory, is_new in chosen:
                if is_new:
                    self._pool.give_back(spec, memory)
            raise
        for spec, memory, is_new in chosen:
            self._take_away(spec.name, stays=memory)
            if is_new:
                self._pool.bind(spec.name, Shape.of(spec), memory)
            memory.begin_again(spec)
            self._records[spec.name] = FakeRecord(spec, memory, self._is_served)
            self._sources[spec.name] = source

    def depart(self, names: Iterable[str]) -> None:
        """Take records away, those that are there; see `RecordPort.depart`."""
        with self._lock:
            for name in tuple(names):
                self._take_away(name)

    def _take_away(self, name: str, stays: FakeMemory | None = None) -> None:
        record = self._records.pop(name, None)
        if record is None:
            return
        del self._sources[name]
        record.leave()
        for watch in self._watches:
            if watch.name == name:
                watch.stop()
        if (running := self._running.pop(name, None)) is not None:
            running.finish()
        if stays is not record.memory:
            for _, completion in self._waiting.pop(name, ()):
                completion.finish()
            value = False if running else record.memory.reading.value
            record.memory.process(value, Severity.INVALID, Status.COMM, DEPARTED)
        elif waiting := self._waiting.get(name):
            self._calls.append(waiting.popleft()[0])

    def announce(self) -> None:
        """Count how often clients were to be told."""
        self.announced += 1

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
        if name not in self._records:
            raise KeyError(name)
        watch = _Watch(name, handler)
        self._watches.append(watch)
        if self._served:
            self._tell([name])

        def undo() -> None:
            watch.stop()
            self._watches = [known for known in self._watches if known is not watch]

        return undo

    def _tell(self, names: Collection[str]) -> None:
        for watch in tuple(self._watches):
            if watch.end is None and watch.name in names and (record := self._records.get(watch.name)):
                watch.end = record.monitor(watch.handler)

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
                begin = partial(self._begin, name, wanted, actor, ahead, completion)
                waiting.append((begin, completion))
            else:
                self._begin(name, wanted, actor, 0, completion)
        self._run_calls()
        return completion

    def _begin(self, name: str, value: Value, actor: Actor, ahead: int, completion: Completion) -> None:
        record = self._records[name]
        old = value_text(record.spec, record.read().value)
        record.memory.process(value)
        self._trace(Trace(name, actor, old, value_text(record.spec, value)))
        if not (record.spec.completes and value):
            self._hand_on(Put(name, value, actor, _nothing, ahead))
            completion.finish()
            return
        self._running[name] = completion
        self._hand_on(Put(name, value, actor, partial(self._complete, record, completion), ahead))

    def _complete(self, record: FakeRecord, run: Completion) -> None:
        name = record.spec.name
        with self._lock:
            if self._running.get(name) is not run:
                return
            del self._running[name]
            record.memory.process(False)
            run.finish()
            if waiting := self._waiting.get(name):
                waiting.popleft()[0]()
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


def _nothing() -> None:
    """End a put that nobody waits for."""
