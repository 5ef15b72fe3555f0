"""The linked inputs of one instance: subscribed or polled, aged, buffered, and handed over in order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from functools import partial

from iocmng.errors import LinkError
from iocmng.logic import Samples
from iocmng.runtime.ports import Clock, PvClient, Undo
from iocmng.runtime.wiring.batch import Batch
from iocmng.runtime.wiring.source import EARLY, Source
from iocmng.runtime.wiring.timers import Timers
from iocmng.spec import Direction, InstanceSpec
from iocmng.values import Reading
from iocmng.wire import LinkView

PATIENCE = 0.1
"""Seconds that an evaluation waits for polled inputs: a network answers in a few milliseconds, and a source that
hangs may not hold up the interlocks of others for longer than an operator notices."""

FIRST_PATIENCE = 1.0
"""Seconds that code waits in its first cycle for sources that have never answered: the time a search takes."""

DEPTH = 256
"""Readings of trigger inputs that wait in order; beyond that only the latest of each is kept."""


class InputLinks:
    """Made by `Wiring.inputs`; methods are for any thread, and never call out while they hold the lock.

    Args:
        spec: The instance.
        client: Reads and subscribes.
        clock: Ages.
        timers: For what is due later.
        changed: Called with a port whose reading, quality or validity changed; it must only enqueue. Its first calls
            may come before the constructor returns.
        is_local: Whether an address is a PV of this host.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        client: PvClient,
        clock: Clock,
        timers: Timers,
        changed: Callable[[str], None],
        is_local: Callable[[str], bool],
    ) -> None:
        self._client = client
        self._clock = clock
        self._timers = timers
        self._changed = changed
        self._is_local = is_local
        self._interval, self._timeout = spec.interval, spec.timeout
        self._sources = {
            port.name: Source(port)
            for port in spec.ports
            if port.link is not None and port.direction is Direction.INPUT
        }
        self._polled = [source for source in self._sources.values() if source.polled]
        rates = [source.link.poll_rate for source in self._polled if source.link.poll_rate is not None]
        self._tolerance = 0.5 * min([self._interval, *rates])
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._waiting: dict[tuple[str, int], Reading] = {}
        self._batches: set[Batch] = set()
        self._closed = False
        self._undo: list[Undo] = []
        for source in self._sources.values():
            if not source.polled:
                self._undo.append(client.listen(source.address, partial(self._arrived, source)))
            if source.link.max_age is not None:
                timers.after(source.link.max_age / 2, partial(self._look_after, source))

    @property
    def connected(self) -> Mapping[str, bool]:
        """Whether the source of each linked input answers, in declaration order."""
        return {name: source.reading.connected for name, source in self._sources.items()}

    @property
    def complaint(self) -> str:
        """What is wrong, `port: PV not connected; …`, or ""."""
        with self._lock:
            now = self._clock.monotonic()
            told = ((name, source.complaint(now, self._clock)) for name, source in self._sources.items())
            return "; ".join(f"{name}: {complaint}" for name, complaint in told if complaint)

    @property
    def dropped(self) -> int:
        """Readings of trigger inputs that were superseded before anybody took them."""
        return sum(source.dropped for source in self._sources.values())

    def reading(self, port: str) -> Reading:
        """What a port's source says now: INVALID with status TIMEOUT when that is too old.

        Raises:
            KeyError: The port is no linked input.
        """
        with self._lock:
            return self._sources[port].shown(self._clock.monotonic(), self._clock)

    def age(self, port: str) -> float:
        """Seconds since the last proof of life, or by the source's time stamp; infinite before the first.

        A port without link is always as new as can be.
        """
        source = self._sources.get(port)
        if source is None:
            return 0.0
        with self._lock:
            return source.age(self._clock.monotonic(), self._clock)

    def samples(self, port: str) -> Samples:
        """Every good reading of a port that arrived, oldest first, as many as it keeps; times are monotonic.

        Raises:
            KeyError: The port is no linked input.
        """
        with self._lock:
            return self._sources[port].samples()

    def take_changed(self) -> list[tuple[str, Reading]]:
        """The readings since the last call, oldest first: all of trigger inputs, the latest of others."""
        with self._lock:
            taken = [(name, reading) for (name, _), reading in self._waiting.items()]
            self._waiting.clear()
            return taken

    def view(self, port: str) -> LinkView:
        """What people see of a port's link.

        Raises:
            KeyError: The port is no linked input.
        """
        source = self._sources[port]
        local = self._is_local(source.address)
        with self._lock:
            return source.view(self._clock.monotonic(), self._clock, local=local)

    def poll(self, done: Callable[[], None]) -> None:
        """Read all polled inputs that are due, in one batch, without waiting.

        `done` is called once, when every connected one has answered or `PATIENCE` has passed, perhaps before this
        returns. What comes later arrives through `changed`.
        """
        batch = self._begin(done, lambda source: source.reading.connected or not source.known)
        if not batch.over:
            self._timers.after(PATIENCE, batch.expire)

    def poll_wait(self) -> None:
        """Read all polled inputs that are due and wait for those that answer, at most the instance's timeout."""
        wakeup = self._clock.wakeup()
        batch = self._begin(wakeup.set, lambda source: source.reading.connected or not source.known)
        unknown = [source.name for source in self._polled if not source.known]
        first = min(FIRST_PATIENCE, self._timeout) if unknown else 0.0
        if not batch.over and unknown:
            wakeup.wait(first)
            batch.forgo(unknown)
        if not batch.over:
            wakeup.wait(self._timeout - first)
            batch.expire()

    def recheck(self) -> None:
        """Ask all sources now; what they say arrives through `changed`."""
        with self._lock:
            sources = [source for source in self._sources.values() if not source.asking]
            for source in sources:
                source.asking = True
        for source in sources:
            self._ask(source, None)

    def close(self) -> None:
        """End subscriptions; nothing is called any more."""
        with self._lock:
            self._closed = True
            undo, self._undo = self._undo, []
            batches = tuple(self._batches)
        for batch in batches:
            batch.expire()
        for end in undo:
            end()

    def _begin(self, done: Callable[[], None], counts: Callable[[Source], bool]) -> Batch:
        with self._lock:
            now = self._clock.monotonic()
            due = [source for source in self._polled if source.due(now, self._interval, self._tolerance)]
            for source in due:
                source.asking, source.asked = True, now
            batch = Batch((source.name for source in due if counts(source)), lambda: self._end(batch, done))
            self._batches.add(batch)
        for source in due:
            self._ask(source, batch)
        batch.seal()
        return batch

    def _end(self, batch: Batch, done: Callable[[], None]) -> None:
        with self._lock:
            self._batches.discard(batch)
        done()

    def _ask(self, source: Source, batch: Batch | None) -> None:
        try:
            self._client.ask(source.address, partial(self._answered, source, batch), timeout=self._timeout)
        except LinkError as error:
            # The clients are closed: the host is going.
            self._answered(source, batch, error)

    def _arrived(self, source: Source, reading: Reading) -> None:
        """A subscription brings a reading."""
        with self._lock:
            if self._closed:
                return
            now = self._clock.monotonic()
            _, news = source.take(reading, now, self._clock)
            if news:
                self._note(source, now)
        if news:
            self._changed(source.name)

    def _answered(self, source: Source, batch: Batch | None, outcome: Reading | LinkError) -> None:
        """A read is over."""
        with self._lock:
            source.asking = False
            if self._closed:
                return
            now = self._clock.monotonic()
            if isinstance(outcome, LinkError):
                differs = news = source.polled and source.fail(outcome, self._clock)
            elif source.polled:
                differs, news = source.take(outcome, now, self._clock)
            else:
                differs = news = source.prove(outcome, now, self._clock)
            if news:
                self._note(source, now)
        in_time = batch is not None and batch.answered(source.name)
        if differs and not in_time:
            self._changed(source.name)

    def _look_after(self, source: Source) -> None:
        """See whether a source is too old, or soon will be and can be asked; then again when that may change."""
        oldest = source.link.max_age or 0.0
        with self._lock:
            if self._closed:
                return
            now = self._clock.monotonic()
            stale = source.is_stale(now, self._clock)
            flipped, source.stale = stale is not source.stale, stale
            if flipped:
                self._note(source, now)
            age = source.age(now, self._clock)
            ask = not source.polled and not source.asking and source.reading.connected and age >= oldest / 2
            source.asking |= ask
        rest = (oldest if age >= oldest / 2 else oldest / 2) - age
        # A rest that rounding leaves over would have the thread look again without end.
        self._timers.after(max(rest, EARLY) if rest > 0 else oldest / 2, partial(self._look_after, source))
        if ask:
            self._ask(source, None)
        if flipped:
            self._changed(source.name)

    def _note(self, source: Source, now: float) -> None:
        """Let what a source says wait for `take_changed`."""
        reading = source.shown(now, self._clock) if source.stale else source.reading
        if not source.link.trigger:
            self._waiting.pop((source.name, 0), None)
            self._waiting[source.name, 0] = reading
            return
        self._waiting[source.name, next(self._order)] = reading
        if len(self._waiting) > DEPTH + len(self._sources):
            self._keep_latest()

    def _keep_latest(self) -> None:
        latest: dict[str, tuple[tuple[str, int], Reading]] = {}
        for key, reading in self._waiting.items():
            if latest.pop(key[0], None) is not None:
                self._sources[key[0]].dropped += 1
            latest[key[0]] = (key, reading)
        self._waiting = dict(latest.values())
