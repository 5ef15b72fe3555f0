"""Ports and default PVs in a worker: the records are the host's, values are converted and refused here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from iocmng.runtime.isolation.channel import to_reading
from iocmng.runtime.outputs import Outputs
from iocmng.runtime.panel import Panel
from iocmng.runtime.ports import Clock, Endpoints, Put, Record, Trace, Undo
from iocmng.spec import InstanceSpec, RecordSpec
from iocmng.values import Reading, Severity, Status, Value
from iocmng.worker.link import HostLink


class FarRecord:
    """A record of the host: what is published goes there, what it shows comes from there."""

    def __init__(self, spec: RecordSpec, link: HostLink) -> None:
        self.spec = spec
        self._name = spec.port
        self._send = link.send
        self._ask = link.ask

    def publish(
        self,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Show a value of a default PV."""
        self._send("show", self._name, value)

    def assign(self, value: Value) -> None:
        """Show a value of a default PV that clients may write."""
        self._send("show", self._name, value)

    def read(self) -> Reading:
        """What the record shows now."""
        return to_reading(self._ask("read", self._name))


class FarRecords:
    """The records of one instance, as a RecordPort."""

    def __init__(self, spec: InstanceSpec, link: HostLink) -> None:
        self._records = {record.name: FarRecord(record, link) for record in spec.records}

    def record(self, name: str) -> Record:
        """The record of a full PV name."""
        return self._records[name]

    def load(self, specs: Iterable[RecordSpec], *, source: str) -> None:
        """They are the host's."""
        raise NotImplementedError("records are made by the host")

    def start(self) -> Endpoints:
        """They are the host's."""
        raise NotImplementedError("records are served by the host")

    def on_put(self, name: str, handler: Callable[[Put], None]) -> Undo:
        """They are the host's."""
        raise NotImplementedError("puts of clients are heard by the host")

    def on_trace(self, handler: Callable[[Trace], None]) -> Undo:
        """They are the host's."""
        raise NotImplementedError("puts of clients are heard by the host")

    def watch(self, name: str, handler: Callable[[Reading], None]) -> Undo:
        """They are the host's."""
        raise NotImplementedError("records are watched by the host")


class FarOutputs(Outputs):
    """The ports of the instance: writes go one way, reads are asked for."""

    def __init__(self, spec: InstanceSpec, records: FarRecords, clock: Clock, link: HostLink) -> None:
        super().__init__(spec, records, clock)
        self._send = link.send
        self._ask = link.ask
        self._time = clock.time

    def begin(self, token: object) -> None:
        """The host has begun the run."""

    def close(self, token: object) -> None:
        """The host ends the run."""

    def write(
        self,
        token: object,
        name: str,
        value: object,
        severity: Severity | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Convert a value and send it.

        Raises:
            KeyError: No such port.
            TypeError: A wrong type.
            ValueError: A value that does not fit, or a port that code may not write.
        """
        fitting = self.fitting(name, value)
        level = None if severity is None else int(Severity(severity))
        at = self._time() if timestamp is None else timestamp
        self._send("write", name, fitting, level, at)

    def readings(self) -> dict[str, Reading]:
        """What all ports show now."""
        return {name: to_reading(item) for name, item in self._ask("readings").items()}


class FarPanel(Panel):
    """The default PVs of the instance."""

    def __init__(self, spec: InstanceSpec, records: FarRecords, link: HostLink) -> None:
        super().__init__(spec, records)
        self._send: Callable[..., None] = link.send

    def show(self, name: str, value: Value) -> None:
        """Show a value, of which the host also takes its counters: it is told of PVs that the instance has not."""
        with self._lock:
            if self._shown.get(name) == value:
                return
            self._shown[name] = value
        self._send("show", name, value)

    def writer(self, name: str) -> Callable[[Value], None]:
        """The shortest way to a default PV that one thread writes and that changes each time."""
        return partial(self._send, "show", name)

    def say(self, text: str) -> None:
        """Show MESSAGE."""
        self.message = text
        self._send("say", text)

    def degraded(self, reason: str) -> None:
        """The host shows DEGRADED."""


def default_records(spec: InstanceSpec, records: FarRecords) -> Callable[[str], Record]:
    """The record of each default PV."""
    return partial(_default, spec, records)


def _default(spec: InstanceSpec, records: FarRecords, name: str) -> Any:
    return records.record(spec.defaults[name].name)
