"""An in-memory PvClient: PVs that a test serves, changes, cuts off and refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from iocmng.errors import LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.runtime.ports import DEFAULT_TIMEOUT, Clock, Undo
from iocmng.runtime.wiring.timers import Timers
from iocmng.values import Reading, Severity, Status, Value


@dataclass(eq=False)
class _Pv:
    reading: Reading
    labels: tuple[str, ...] = ()
    refuses: bool = False
    hangs: bool = False
    callbacks: list[Callable[[Reading], None]] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    @property
    def answers(self) -> bool:
        return self.reading.connected and not self.hangs

    def publish(self, reading: Reading) -> None:
        if isinstance(reading.value, int) and 0 <= reading.value < len(self.labels):
            reading = replace(reading, label=self.labels[reading.value])
        self.reading = reading
        if not self.hangs:
            self.tell()

    def tell(self) -> None:
        for callback in tuple(self.callbacks):
            callback(self.reading)
        if self.answers:
            waiting, self.waiting = self.waiting, []
            for go_on in waiting:
                go_on()


class FakeLinks:
    """PVs in memory; callbacks run at once in the thread that caused them, and no method blocks.

    Args:
        clock: Gives the time stamps, seconds since 1970-01-01 UTC.
        timers: The clock on which `ask` and `send` to a PV that does not answer become too late; without one they
            are too late at once.

    Attributes:
        puts: What was written by put, post and send, in order.
        asked: What `ask` was called for, in order.
        sent: What `send` was called for, in order, taken or not.
    """

    def __init__(self, clock: Callable[[], float] = time.time, timers: Clock | None = None) -> None:
        self.puts: list[tuple[str, Value]] = []
        self.asked: list[str] = []
        self.sent: list[tuple[str, Value]] = []
        self._clock = clock
        self._timers = Timers(timers) if timers else None
        self._pvs: dict[str, _Pv] = {}
        self._closed = False

    def serve(
        self,
        pv: str,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        *,
        labels: Sequence[str] = (),
    ) -> None:
        """Let `pv` have this value and quality; it answers from now on.

        Args:
            pv: The name as the code under test writes it.
            value: The new value.
            severity: How good it is.
            status: Why it is not better.
            labels: State names, which a put may use instead of an index.
        """
        known = self._pv(pv)
        known.labels = tuple(labels) or known.labels
        known.publish(Reading(value, severity, status, self._clock()))

    def disconnect(self, pv: str) -> None:
        """Let `pv` stop answering."""
        known = self._pv(pv)
        known.publish(
            replace(
                known.reading,
                severity=Severity.INVALID,
                status=Status.COMM,
                timestamp=self._clock(),
                connected=False,
                message="disconnected",
            )
        )

    def reconnect(self, pv: str) -> None:
        """Let `pv` answer again, with the value it had."""
        known = self._pv(pv)
        if known.reading.value is None:
            raise KeyError(f"{pv} was never served")
        known.publish(Reading(known.reading.value, timestamp=self._clock()))

    def hang(self, pv: str) -> None:
        """Let `pv` answer nothing and tell nothing any more, while it stays connected."""
        self._pv(pv).hangs = True

    def go_on(self, pv: str) -> None:
        """Let `pv` answer again, and tell what it missed to tell."""
        known = self._pv(pv)
        known.hangs = False
        known.tell()

    def connected(self, pv: str) -> bool:
        """Whether `pv` is connected, hanging or not."""
        return self._pv(pv).reading.connected

    def listeners(self, pv: str) -> int:
        """How many subscriptions `pv` has."""
        return len(self._pv(pv).callbacks)

    def refuse(self, pv: str, refuses: bool = True) -> None:
        """Let `pv` refuse all writes, or take them again."""
        self._pv(pv).refuses = refuses

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """See `PvClient.get`."""
        self._check_open()
        known = self._pv(pv)
        if not known.answers:
            raise _too_late(pv, timeout)
        return known.reading

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """See `PvClient.get_many`."""
        outcomes: list[Reading | LinkError] = []
        for pv in pvs:
            try:
                outcomes.append(self.get(pv, timeout=timeout))
            except LinkTimeout as error:
                outcomes.append(error)
        return outcomes

    def ask(
        self, pv: str, answer: Callable[[Reading | LinkError], None], *, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        """See `PvClient.ask`."""
        self._check_open()
        self.asked.append(pv)
        known = self._pv(pv)
        if known.answers:
            answer(known.reading)
        elif known.reading.connected:
            self._wait(known, lambda: answer(known.reading), lambda: answer(_too_late(pv, timeout)), timeout)
        else:
            answer(LinkError(f"{pv} is not connected", hint="the test does not serve it"))

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """See `PvClient.put`."""
        self.get(pv, timeout=timeout)
        self._write(pv, self._pv(pv), value)

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        self._check_open()
        try:
            self.put(pv, value, timeout=timeout)
        except (LinkTimeout, LinkRefused, LinkValueError):
            # A posted value that cannot be written is dropped.
            return

    def send(
        self,
        pv: str,
        value: Value,
        done: Callable[[LinkError | LinkValueError | None], None],
        *,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        """See `PvClient.send`."""
        self._check_open()
        self.sent.append((pv, value))
        known = self._pv(pv)

        def write() -> None:
            try:
                self._write(pv, known, value)
            except (LinkRefused, LinkValueError) as error:
                done(error)
            else:
                done(None)

        if known.answers:
            write()
        else:
            self._wait(known, write, lambda: done(_too_late(pv, timeout)), timeout)

    def listen(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.listen`."""
        return self.monitor(pv, callback)

    def monitor(self, pv: str, callback: Callable[[Reading], None]) -> Undo:
        """See `PvClient.monitor`."""
        self._check_open()
        known = self._pv(pv)
        known.callbacks.append(callback)
        callback(known.reading)

        def undo() -> None:
            if callback in known.callbacks:
                known.callbacks.remove(callback)

        return undo

    def close(self) -> None:
        """See `PvClient.close`."""
        self._closed = True
        for known in self._pvs.values():
            known.callbacks.clear()
        if self._timers:
            self._timers.close()

    def _write(self, pv: str, known: _Pv, value: Value) -> None:
        if known.refuses:
            raise LinkRefused(f"{pv}: write access denied", hint="the test lets it refuse")
        taken = _taken(value, known.reading.value, known.labels)
        self.puts.append((pv, taken))
        known.publish(Reading(taken, timestamp=self._clock()))

    def _wait(
        self, known: _Pv, go_on: Callable[[], None], give_up: Callable[[], None], timeout: float
    ) -> None:
        if self._timers is None:
            give_up()
            return

        def late() -> None:
            if go_on in known.waiting:
                known.waiting.remove(go_on)
                give_up()

        known.waiting.append(go_on)
        self._timers.after(timeout, late)

    def _pv(self, pv: str) -> _Pv:
        if pv not in self._pvs:
            self._pvs[pv] = _Pv(
                Reading(
                    None,
                    Severity.INVALID,
                    Status.COMM,
                    self._clock(),
                    connected=False,
                    message="not connected",
                )
            )
        return self._pvs[pv]

    def _check_open(self) -> None:
        if self._closed:
            raise LinkError("the fake client is closed")


def _too_late(pv: str, timeout: float) -> LinkTimeout:
    return LinkTimeout(f"{pv} did not answer within {timeout:g} s", hint="the test does not serve it")


def _taken(value: Value, present: Value | None, labels: tuple[str, ...]) -> Value:
    if isinstance(value, str) and labels:
        if value not in labels:
            raise LinkValueError(f"{value!r} is none of the labels {', '.join(labels)}")
        return labels.index(value)
    if isinstance(present, (bool, int, float)):
        try:
            return type(present)(value)
        except (TypeError, ValueError) as error:
            raise LinkValueError(f"cannot put {value!r}: {error}") from None
    return str(value) if isinstance(present, str) else value
