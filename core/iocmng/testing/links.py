"""An in-memory PvClient: PVs that a test serves, changes, cuts off and refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from iocmng.errors import LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.runtime.ports import DEFAULT_TIMEOUT, Undo
from iocmng.values import Reading, Severity, Status, Value


@dataclass(eq=False)
class _Pv:
    reading: Reading
    labels: tuple[str, ...] = ()
    refuses: bool = False
    callbacks: list[Callable[[Reading], None]] = field(default_factory=list)

    def publish(self, reading: Reading) -> None:
        self.reading = reading
        for callback in tuple(self.callbacks):
            callback(reading)


class FakeLinks:
    """PVs in memory; nothing waits, and callbacks run at once in the thread that caused them.

    Args:
        clock: Gives the time stamps, seconds since 1970-01-01 UTC.

    Attributes:
        puts: What was written by put and post, in order.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.puts: list[tuple[str, Value]] = []
        self._clock = clock
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

    def refuse(self, pv: str, refuses: bool = True) -> None:
        """Let `pv` refuse all writes, or take them again."""
        self._pv(pv).refuses = refuses

    def get(self, pv: str, *, timeout: float = DEFAULT_TIMEOUT) -> Reading:
        """See `PvClient.get`."""
        self._check_open()
        reading = self._pv(pv).reading
        if not reading.connected:
            raise LinkTimeout(f"{pv} did not answer within {timeout:g} s", hint="the test does not serve it")
        return reading

    def get_many(self, pvs: Sequence[str], *, timeout: float = DEFAULT_TIMEOUT) -> list[Reading | LinkError]:
        """See `PvClient.get_many`."""
        outcomes: list[Reading | LinkError] = []
        for pv in pvs:
            try:
                outcomes.append(self.get(pv, timeout=timeout))
            except LinkTimeout as error:
                outcomes.append(error)
        return outcomes

    def put(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT, wait: bool = False) -> None:
        """See `PvClient.put`."""
        reading = self.get(pv, timeout=timeout)
        known = self._pv(pv)
        if known.refuses:
            raise LinkRefused(f"{pv}: write access denied", hint="the test lets it refuse")
        taken = _taken(value, reading.value, known.labels)
        self.puts.append((pv, taken))
        known.publish(Reading(taken, timestamp=self._clock()))

    def post(self, pv: str, value: Value, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        """See `PvClient.post`."""
        self._check_open()
        try:
            self.put(pv, value, timeout=timeout)
        except (LinkTimeout, LinkRefused, LinkValueError):
            # A posted value that cannot be written is dropped.
            return

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
