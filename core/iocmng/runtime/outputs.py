"""The ports of one instance: what its code and its logic write, and the quality that clients see.

Outputs are valid only while the instance is in RUN. The last write is kept with its quality and time, so that a
pause or a stall that ends shows it again as it was; a new start forgets it. What a linked output shows goes on to the
PV that it is linked to.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

from iocmng.logic.decisions import OutputWrite
from iocmng.logic.resolving import same
from iocmng.names import did_you_mean
from iocmng.runtime.evaluation.ring import Ring
from iocmng.runtime.ports import Clock, Record, Records
from iocmng.spec import Direction, InstanceSpec, Mode, PortSpec, RecordSpec
from iocmng.spec.convert import convert
from iocmng.values import PortType, Reading, Severity, Status, Value

NOT_WRITTEN = "not written since the start"


Forward = Callable[[str, Value], None]
"""Hands the value of a linked output on to its PV."""


class InstanceGone(Exception):
    """A thread that was given up still writes; its writes are refused."""


def _keep_here(port: str, value: Value) -> None:
    """Nothing is linked."""


@dataclass(slots=True)
class _Written:
    value: Value
    severity: Severity
    status: Status
    reason: str
    timestamp: float


_ZERO: dict[PortType, Value] = {
    PortType.FLOAT: 0.0,
    PortType.INT: 0,
    PortType.BOOL: False,
    PortType.ENUM: 0,
    PortType.STRING: "",
}


class Outputs:
    """All ports of one instance over their records. Any thread; `token` says which run of the instance writes."""

    def __init__(self, spec: InstanceSpec, records: Records, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._lock = threading.Lock()
        self._ports: dict[str, tuple[PortSpec, Record]] = {
            port.name: (port, records.record(port.record.name)) for port in (*spec.ports, *_firsts(spec))
        }
        self._written: dict[str, _Written] = {}
        self._shown: dict[str, Value] = {
            port.name: port.value for port in spec.ports if port.value is not None
        }
        # A triggered task decides nothing before it is asked to: what it decided last stands.
        self._undecided = frozenset() if spec.mode is Mode.TRIGGERED else spec.logic.outputs
        self._valid = False
        self._all_invalid = self._paused = False
        self._reason = ""
        self._writer: object | None = None
        self._forward: Forward = _keep_here
        self.refused = 0
        self.rings: dict[str, Ring] = {
            port.name: Ring(port.buffer_size)
            for port in spec.ports
            if port.buffer_size and port.direction is Direction.OUTPUT
        }

    def known(self, name: str) -> bool:
        """Whether there is such a port."""
        return name in self._ports

    def port(self, name: str) -> tuple[PortSpec, Record]:
        """The port and its record.

        Raises:
            KeyError: No such port; the text names the known ones.
        """
        try:
            return self._ports[name]
        except KeyError:
            hint = did_you_mean(name, self._ports) or "it declares none"
            raise KeyError(f"{self._spec.name} has no port {name!r}; {hint}") from None

    def read(self, name: str) -> Reading:
        """What a port shows now."""
        return self.port(name)[1].read()

    def readings(self) -> dict[str, Reading]:
        """What all ports show now."""
        return {name: record.read() for name, (_, record) in self._ports.items()}

    def begin(self, token: object) -> None:
        """A new run starts: only its writes (`token`) count from now on, besides declared values.

        A declared value of an output that the logic writes shows nothing before the first evaluation.
        """
        owned = self._spec.logic.outputs
        with self._lock:
            self._writer = token
            self._forward = _keep_here
            now = self._clock.time()
            self._written = {
                port.name: _Written(port.value, Severity.NO_ALARM, Status.NO_ALARM, "", now)
                for port, _ in self._ports.values()
                if port.direction is Direction.OUTPUT and port.value is not None and port.name not in owned
            }

    def forward_to(self, token: object, forward: Forward) -> None:
        """Hand what linked outputs show on to their PVs from now on, until the next `begin`.

        Raises:
            InstanceGone: The run has been given up.
        """
        with self._lock:
            self._admit(token, "what it is linked to")
            self._forward = forward

    def fail(self, token: object, reason: str) -> None:
        """The run `token` has failed: every output is INVALID, unless another run writes them now."""
        if self.current(token):
            self.invalidate(reason)

    def current(self, token: object) -> bool:
        """Whether `token` is the run that writes."""
        return self._writer is token

    def close(self, token: object) -> None:
        """Writes of `token` are refused from now on."""
        with self._lock:
            if self._writer is token:
                self._writer = None

    def fitting(self, name: str, value: object) -> Value:
        """What code may write to a port, as its record takes it.

        Raises:
            KeyError: No such port.
            TypeError: A wrong type.
            ValueError: A value that does not fit, or a port that code may not write.
        """
        port, record = self.port(name)
        spec = record.spec
        if name in self._spec.logic.outputs:
            raise ValueError(f"{spec.name} is decided by rules and transforms: code cannot write it too")
        converted = convert(spec, value)
        if port.direction is Direction.INPUT and not spec.writable:
            raise ValueError(f"{spec.name} is read-only")
        return converted

    def write(
        self,
        token: object,
        name: str,
        value: object,
        severity: Severity | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Convert and publish one value for the run `token`.

        Raises:
            KeyError: No such port.
            TypeError: A wrong type.
            ValueError: A value that does not fit.
            InstanceGone: The run has been given up.
        """
        port, record = self.port(name)
        fitting = self.fitting(name, value)
        if port.direction is Direction.INPUT:
            record.assign(fitting)
            return
        level, status, reason = severity or Severity.NO_ALARM, Status.NO_ALARM, ""
        if level is not Severity.NO_ALARM:
            level, status = Severity(level), Status.SOFT
        if isinstance(fitting, float) and not math.isfinite(fitting):
            level, status, reason = Severity.INVALID, Status.UDF, f"value is {fitting}"
        with self._lock:
            self._admit(token, name)
            at = self._clock.time() if timestamp is None else timestamp
            self._all_invalid = False
            self._put(port, record, _Written(fitting, level, status, reason, at))

    def _admit(self, token: object, what: str) -> None:
        if token is not self._writer:
            self.refused += 1
            raise InstanceGone(f"{self._spec.name}: this run is over, {what} was not written")

    def _put(self, port: PortSpec, record: Record, written: _Written) -> None:
        name, value = port.name, written.value
        self._written[name] = written
        ring = self.rings.get(name)
        if ring is not None and written.severity is not Severity.INVALID:
            ring.add(value, written.timestamp)
        if not self._valid:
            if port.fail_safe is None or (self._paused and port.hold_on_pause):
                self._shown[name] = value
                record.publish(value, Severity.INVALID, Status.COMM, self._reason, written.timestamp)
            return
        self._shown[name] = value
        record.publish(value, written.severity, written.status, written.reason, written.timestamp)
        if port.link is not None and written.severity is not Severity.INVALID:
            self._forward(name, value)

    def decide(self, token: object, writes: Iterable[OutputWrite], news: Container[str] = ()) -> None:
        """Publish what the logic decided, in order; values fit their records already.

        An INVALID value goes on to the PV of a linked output when it is among the `news`, the names of outputs whose
        value has just been decided, or fail-safe: what was decided before a pause may not come back on a doubt.

        Raises:
            InstanceGone: The run has been given up.
        """
        with self._lock:
            self._admit(token, "what its logic decided")
            now = self._clock.time()
            self._all_invalid = False
            for write in writes:
                name = write.port
                port, record = self._ports[name]
                value = self._shown_value(name, record) if write.value is None else write.value
                self._put(port, record, _Written(value, write.severity, write.status, write.reason, now))
                doubtful = write.severity is Severity.INVALID and self._valid and port.link is not None
                if doubtful and write.value is not None and (name in news or same(value, port.fail_safe)):
                    self._forward(name, value)

    def refresh(self, token: object, names: Iterable[str]) -> None:
        """Process outputs again with what was written last, so that their time is fresh.

        Raises:
            InstanceGone: The run has been given up.
        """
        with self._lock:
            self._admit(token, "a fresh time")
            if not self._valid:
                return
            now = self._clock.time()
            for name in names:
                written = self._written.get(name)
                if written is None or written.timestamp == now:
                    continue
                written.timestamp = now
                ring = self.rings.get(name)
                if ring is not None and written.severity is not Severity.INVALID:
                    ring.add(written.value, now)
                self._ports[name][1].publish(
                    written.value, written.severity, written.status, written.reason, now
                )

    def written(self, name: str) -> Reading:
        """What was written last to an output in this run, with its quality; not connected when nothing was."""
        written = self._written.get(name)
        if written is None:
            return Reading(None, Severity.INVALID, Status.UDF, 0.0, connected=False, message=NOT_WRITTEN)
        return Reading(written.value, written.severity, written.status, written.timestamp)

    def show_input(self, name: str, reading: Reading) -> None:
        """Show on the record of a linked input what its source says."""
        record = self._ports[name][1]
        value = reading.value
        if value is None:
            value = self._shown_value(name, record)
        self._shown[name] = value
        severity = reading.severity if reading.ok else Severity.INVALID
        status = reading.status if reading.status or not severity else Status.LINK
        record.publish(value, severity, status, reading.message, reading.timestamp or None)

    def lose_inputs(self, reason: str) -> None:
        """Linked inputs are not read any more: what they show is of the past."""
        now = self._clock.time()
        for name, (port, record) in self._ports.items():
            if port.direction is Direction.INPUT and port.link is not None:
                record.publish(self._shown_value(name, record), Severity.INVALID, Status.COMM, reason, now)

    def validate(self) -> None:
        """The instance entered RUN: show what has been written with its quality; the rest stays INVALID.

        What its logic decided before is of the past: that shows its outputs when it has decided anew.
        """
        with self._lock:
            self._valid, self._all_invalid = True, False
            for name, (port, record) in self._ports.items():
                if port.direction is not Direction.OUTPUT or name in self._undecided:
                    continue
                written = self._written.get(name)
                if written is None:
                    self._show_unwritten(name, record)
                    continue
                record.publish(
                    written.value, written.severity, written.status, written.reason, written.timestamp
                )
                self._shown[name] = written.value
                if port.link is not None and written.severity is not Severity.INVALID:
                    self._forward(name, written.value)

    def _show_unwritten(self, name: str, record: Record) -> None:
        record.publish(self._shown_value(name, record), Severity.INVALID, Status.UDF, NOT_WRITTEN)

    def _shown_value(self, name: str, record: Record) -> Value:
        value = self._shown.get(name)
        return empty(record.spec) if value is None else value

    def hold(self, reason: str) -> None:
        """What is written from now on is INVALID until `validate`; what is shown stays as it is."""
        with self._lock:
            self._valid = False
            self._reason = reason

    def invalidate(self, reason: str, *, paused: bool = False) -> None:
        """The instance left RUN: every output is INVALID with its last or its fail-safe value.

        A fail-safe value goes on to the PV of a linked output.
        """
        with self._lock:
            if self._all_invalid and not self._valid:
                self._reason = reason
                return
            self._valid, self._all_invalid, self._paused = False, not paused, paused
            self._reason = reason
            now = self._clock.time()
            for name, (port, record) in self._ports.items():
                if port.direction is not Direction.OUTPUT:
                    continue
                value = self._shown_value(name, record)
                if port.fail_safe is not None and not (paused and port.hold_on_pause):
                    value = port.fail_safe
                    self._written.pop(name, None)
                    if port.link is not None:
                        self._forward(name, value)
                self._shown[name] = value
                record.publish(value, Severity.INVALID, Status.COMM, reason, now)


def _firsts(spec: InstanceSpec) -> Iterator[PortSpec]:
    """The default PVs that name the first rule of a group: the logic writes them as it does outputs."""
    for group in spec.logic.groups:
        name = f"{group}_FIRST"
        if name in spec.defaults:
            yield PortSpec(name=name, direction=Direction.OUTPUT, record=spec.defaults[name])


def empty(record: RecordSpec) -> Value:
    """What a record shows before anything was written: 0, "" or an empty array of its element type."""
    return convert(record, []) if record.type is PortType.ARRAY else _ZERO[record.type]
