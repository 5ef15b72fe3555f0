"""What an instance reads: its linked inputs and the set-points that clients write, for logic and code."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from iocmng.logic import Samples
from iocmng.logic.decisions import Snapshot
from iocmng.logic.engine import Program
from iocmng.logic.resolving import same
from iocmng.runtime.evaluation.ring import Ring
from iocmng.runtime.outputs import Outputs
from iocmng.spec import Direction, InstanceSpec, Mode
from iocmng.values import Reading, Value

if TYPE_CHECKING:
    from iocmng.runtime.wiring import InputLinks

Heard = Callable[[str, Value, Value | None], None]
"""Told of a trigger input's new value: its name, the value, and the one before."""


def _unheard(port: str, value: Value, old: Value | None) -> None:
    """No code wants to know."""


class Intake:
    """Inputs of one run; `touch`, `take` and `show` are for any thread, the rest for the one that evaluates.

    Args:
        spec: The instance.
        outputs: Its ports.
        links: Its linked inputs, None without any.

    Attributes:
        readings: What each input says now.
        heard: Told of changes of trigger inputs, in reactive mode of set-points too; must only enqueue.
        flipped: Whether connection or validity of an input has changed since this was set to False.
    """

    def __init__(self, spec: InstanceSpec, outputs: Outputs, links: InputLinks | None) -> None:
        self._outputs = outputs
        self._links = links
        inputs = [port for port in spec.ports if port.direction is Direction.INPUT]
        self._set_points = frozenset(port.name for port in inputs if port.link is None)
        triggers = {port.name for port in inputs if port.link is not None and port.link.trigger}
        self.triggers = frozenset(triggers)
        self._telling = self.triggers | (self._set_points if spec.mode is Mode.REACTIVE else frozenset())
        self._rings = {
            port.name: Ring(port.buffer_size) for port in inputs if port.buffer_size and port.link is None
        }
        self._touched: deque[str] = deque()
        self._unshown: dict[str, Reading] = {}
        self._taking = threading.Lock()
        self._told: dict[str, Value] = {}
        self.readings: dict[str, Reading] = {}
        self.heard: Heard = _unheard
        self.flipped = True

    def open(self) -> None:
        """Read everything once."""
        for name in self._set_points:
            self._set_point(name)
        self.take()
        self.show()

    def touch(self, port: str) -> None:
        """A client or the code itself has written a set-point."""
        if port in self._set_points:
            self._touched.append(port)

    def take(self) -> bool:
        """Take in what has changed; return whether any of it calls for an evaluation in reactive mode."""
        with self._taking:
            return self._take()

    def _take(self) -> bool:
        calls = False
        while self._touched:
            self._set_point(self._touched.popleft())
            calls = True
        if self._links is None:
            return calls
        for name, reading in self._links.take_changed():
            calls |= self._linked(name, reading)
            self._unshown[name] = reading
        return calls

    def show(self) -> None:
        """Show on the records of linked inputs what was taken in; any thread."""
        with self._taking:
            unshown, self._unshown = self._unshown, {}
            for name, reading in unshown.items():
                self._outputs.show_input(name, reading)

    def _set_point(self, name: str) -> None:
        reading = self._outputs.read(name)
        self.readings[name] = reading
        if reading.value is None:
            return
        if (ring := self._rings.get(name)) is not None:
            ring.add(reading.value, reading.timestamp)
        if name in self._telling:
            self._tell(name, reading.value)

    def _linked(self, name: str, reading: Reading) -> bool:
        before = self.readings.get(name)
        self.readings[name] = reading
        flipped = before is None or before.ok is not reading.ok or before.connected is not reading.connected
        self.flipped |= flipped
        if name in self._telling and reading.ok and reading.value is not None:
            self._tell(name, reading.value)
        return flipped or name in self.triggers

    def _tell(self, name: str, value: Value) -> None:
        old = self._told.get(name)
        if old is None or not same(old, value):
            self._told[name] = value
            self.heard(name, value, old)

    def snapshot(self, program: Program, parameters: Mapping[str, Any], wall: float) -> Snapshot:
        """All that the expressions of `program` may read; `wall` is seconds since 1970-01-01 UTC."""
        readings = self.readings
        written = {
            name: self._outputs.written(name)
            for name in program.reads
            if name not in readings and self._outputs.known(name)
        }
        ages = {}
        if self._links is not None and program.ages:
            ages = {name: self._links.age(name) for name in program.ages}
        return Snapshot(
            {**readings, **written} if written else readings,
            {name: self.samples(name) for name in program.buffers},
            ages,
            parameters,
            wall,
        )

    def samples(self, name: str) -> Samples:
        """The ring buffer of a port."""
        if (ring := self._outputs.rings.get(name)) is not None:
            return ring.samples()
        if name in self._rings:
            return self._rings[name].samples()
        if self._links is not None and name not in self._set_points:
            return self._links.samples(name)
        return Samples()

    @property
    def connected(self) -> Mapping[str, bool]:
        """Whether each linked input's source answers, in declaration order."""
        return self._links.connected if self._links is not None else {}
