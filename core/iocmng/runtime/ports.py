"""What the runtime needs from outside, as Protocols: records, time. Adapters and the test kit fill them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from iocmng.errors import LinkError, LinkValueError
from iocmng.spec import RecordSpec
from iocmng.values import Reading, Severity, Status, Value
from iocmng.wire import Actor

if TYPE_CHECKING:
    from iocmng.runtime.leaving import Leaving

Undo = Callable[[], None]

DEFAULT_TIMEOUT = 5.0
"""Seconds that access to a PV elsewhere takes at most, when nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Put:
    """A client wrote a record: full PV name, value as it holds it, who; `complete` ends a put with callback.

    `complete` may be called from any thread, more than once. A record with `completes` goes back to 0 then;
    for others it does nothing.

    Attributes:
        ahead: Puts to the same record that were running or waiting when this one arrived.
        ignored: A plain put that came while another had not been completed: it changes nothing, and is only told.
    """

    name: str
    value: Value
    actor: Actor
    complete: Callable[[], None]
    ahead: int = 0
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """A put by a client for the audit: record and field, who, and the texts before and after."""

    name: str
    actor: Actor
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the records are served: the real ports after start, and `notes` when one is not the port asked for."""

    ca_port: int
    pva_port: int
    notes: tuple[str, ...] = ()


class Record(Protocol):
    """One record of this host."""

    @property
    def spec(self) -> RecordSpec:
        """What the record was made from."""

    def publish(
        self,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Write value, quality and time of a record that clients may not write, in one step seen by clients.

        The value must have passed `iocmng.spec.convert`. `timestamp` is seconds since 1970-01-01 UTC, None for now.
        Any thread; one writer at a time per record.
        """

    def assign(self, value: Value) -> None:
        """Set a writable record from inside; subscribers see it, the put handler is not called. Any thread."""

    def read(self) -> Reading:
        """What the record shows now. Any thread."""


class Records(Protocol):
    """Finds records of this host."""

    def record(self, name: str) -> Record:
        """The record of a full PV name.

        Raises:
            KeyError: There is none.
        """


class RecordPort(Records, Protocol):
    """The records of this process: loaded before it serves, or taken from spare ones while it does."""

    def reserve(self, counts: Mapping[str, int], *, array_length: int) -> None:
        """Make hidden spare records; before `start`.

        Args:
            counts: So many of each kind, see `iocmng.spec.spares.kind_of`.
            array_length: Elements of a spare array.
        """

    def spares(self) -> Mapping[str, int]:
        """Spare records of each kind that no name is bound to. Any thread."""

    def lacking(self, specs: Iterable[RecordSpec]) -> Mapping[str, tuple[int, int]]:
        """Needed and free spares of each kind that would not suffice for `arrive(specs)`; empty when it fits.

        A name that had a fitting record in this process before needs none. What no spare can become has none free,
        see `iocmng.spec.spares.lacking_of`.
        """

    def needs_new(self, spec: RecordSpec) -> bool:
        """Whether a name that is served, or was, would get another record: its clients have to connect anew."""

    def arrive(self, specs: Iterable[RecordSpec], *, source: str) -> None:
        """Serve further records while clients are served; all or none.

        Each shows its spec's value, if any, INVALID until published; a writable one is valid with the value that it
        has in the spec. A name that was bound to a record of the same shape in this process gets that record again,
        dressed as the new spec says, also while it is being served. One without a value keeps the last, INVALID.
        Handlers of `on_put` and `watch` are kept by name; a handle of a record that was dressed again is dead, as
        after `depart`: ask `record` for the new one. May be called on any thread.

        Raises:
            SparesShort: Spares do not suffice; nothing has changed.
            RecordError: A name is taken by another source, or a field is refused; nothing has changed.
        """

    def depart(self, names: Iterable[str]) -> None:
        """Take records away: they become INVALID (COMM), running puts are completed, names are hidden.

        Clients that are connected stay connected and see INVALID; new ones find nothing. `record` raises KeyError
        from then on; a handle that somebody still holds raises RecordError when it is written. Names that are not
        served are passed over. Any thread.
        """

    def announce(self) -> None:
        """Have clients that have been waiting for names search again: a burst of beacons. Never blocks."""

    def load(self, specs: Iterable[RecordSpec], *, source: str) -> None:
        """Make the records of one instance (`source` names it).

        Raises:
            RecordError: EPICS refused one; none of this call's records exist then.
        """

    def start(self) -> Endpoints:
        """Serve all loaded records on CA and PVA and check that they answer and are protected.

        Raises:
            RecordError: They do not.
        """

    def on_put(self, name: str, handler: Callable[[Put], None]) -> Undo:
        """Call `handler` for each client put to a writable record, in order, on the loop's thread; it only enqueues."""

    def on_trace(self, handler: Callable[[Trace], None]) -> Undo:
        """Call `handler` on the loop's thread for every client put to any record, for the audit."""

    def watch(self, name: str, handler: Callable[[Reading], None]) -> Undo:
        """Call `handler` with what a record shows, now and after each change of value or quality, whoever caused it.

        It is called on a thread of the port, in order, and must only enqueue; a change may be skipped when a later
        one has come. Before the port is started nothing is told. The call that ends it does so for good, but one
        call that is under way may still finish.

        Raises:
            KeyError: There is no such record.
        """


class PvClient(Protocol):
    """A client of PVs elsewhere; every method may be called from any thread.

    The value of a reading is a float, int, bool or str, or a read-only numpy array (an enum is its index, with the
    name of that state as the reading's label; an array of texts has elements of type str). A PV whose name ends in
    `$` is a text over CA.
    """

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """Ask the server for value and quality now.

        Raises:
            LinkTimeout: It did not answer within `timeout` seconds.
            LinkRefused: It refused.
        """

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """Ask for several PVs at once; return for each, in order, its reading or what went wrong.

        All of it takes `timeout` seconds at most; a dead one does not delay the others.
        """

    def ask(
        self, pv: str, answer: Callable[[Reading | LinkError], None], *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """Ask the server for value and quality without waiting.

        `answer` is called once, on a thread of the client: with the reading, or with what went wrong, a LinkTimeout
        after `timeout` seconds at the latest; at once when the PV is known not to be connected. It must only enqueue.
        """

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """Write a value and return when the server has taken it.

        Args:
            pv: The PV; an enum takes a label as well as an index.
            value: What to write.
            timeout: Seconds.
            wait: Return only when the record has been processed to its end (a put with callback over CA).

        Raises:
            LinkTimeout: The server did not answer in time. The value may arrive yet.
            LinkRefused: It refused.
            LinkValueError: The PV cannot take that value.
        """

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Hand over a value to be written, without waiting and without raising for anything that the PV does.

        One write per PV is under way; while it is, only the latest of later values is kept. What could
        not be written within `timeout` seconds is dropped.
        """

    def send(
        self,
        pv: str,
        value: Value,
        done: Callable[[LinkError | LinkValueError | None], None],
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """Write a value without waiting; `done` is told once, on a thread of the client, how it went.

        Told None when the server has taken it. It must only enqueue. The write is without callback: a slow record
        holds nobody up.
        """

    def listen(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """Do as `monitor`, but call back on the thread on which the client library tells: it must only enqueue."""

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """Call `callback` for every change of value or quality, one after another, in a thread of its own.

        The first call comes at once: the present reading if known, else one that is not connected. When
        the connection is lost it is called with the last value, INVALID and not connected; it recovers by
        itself. When the callback is slow, the oldest of many waiting readings are dropped.

        Returns:
            What ends the subscription; a call that is under way may still finish after that.
        """

    def close(self) -> None:
        """End all subscriptions and threads; everything afterwards raises LinkError."""


class AuthorLoop(Protocol):
    """Where coroutines of authors run: never the host's own loop."""

    def run(self, work: Coroutine[Any, Any, Any], leaving: Leaving, grace: float) -> Any:
        """Run a coroutine to its end, called on the thread of the instance.

        When `leaving` is set it has `grace` seconds before it is cancelled.
        """

    async def sleep(self, seconds: float, leaving: Leaving) -> bool:
        """Wait inside a coroutine; False as soon as `leaving` is set."""

    def owns_this_thread(self) -> bool:
        """Whether the caller is a coroutine on this loop."""


class Wakeup(Protocol):
    """What one thread waits on and others set."""

    def wait(self, timeout: float | None) -> bool:
        """Wait until set or `timeout` seconds have passed; return whether it was set, and clear it."""

    def set(self) -> None:
        """Wake the waiting thread, or let its next wait return at once."""


class Clock(Protocol):
    """Time, so that tests can own it."""

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    def wakeup(self) -> Wakeup:
        """A new thing to wait on."""

    def spawn(self, target: Callable[[], None], name: str) -> threading.Thread:
        """Start a daemon thread whose waits use this clock."""
