"""What the runtime needs from outside, as Protocols: records, time. Adapters and the test kit fill them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from iocmng.spec import RecordSpec
from iocmng.values import Reading, Severity, Status, Value
from iocmng.wire import Actor

if TYPE_CHECKING:
    from iocmng.runtime.leaving import Leaving

Undo = Callable[[], None]


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


class RecordPort(Protocol):
    """The records of this process: all are loaded, then served, and stay until the process ends."""

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

    def record(self, name: str) -> Record:
        """The record of a full PV name.

        Raises:
            KeyError: There is none.
        """

    def on_put(self, name: str, handler: Callable[[Put], None]) -> Undo:
        """Call `handler` for each client put to a writable record, in order, on the loop's thread; it only enqueues."""

    def on_trace(self, handler: Callable[[Trace], None]) -> Undo:
        """Call `handler` on the loop's thread for every client put to any record, for the audit."""


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
