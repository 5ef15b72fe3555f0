"""One linked input: its last reading, the proof that its source lives, and when it is too old."""

from __future__ import annotations

import math

from iocmng.errors import LinkError, LinkTimeout
from iocmng.logic import Samples
from iocmng.runtime.evaluation.ring import Ring
from iocmng.runtime.ports import Clock
from iocmng.runtime.wiring.conversion import alike, received
from iocmng.spec import AgeBy, LinkMode, PortSpec
from iocmng.values import PortType, Reading, Severity, Status
from iocmng.wire import LinkView

EARLY = 1e-3
"""Seconds by which something may be too early to count as too old: timers are not exact."""

UNKNOWN = Reading(None, Severity.INVALID, Status.COMM, 0.0, connected=False, message="not connected")


class Source:
    """State only: whoever calls holds the lock of the instance's inputs. Times in seconds, `now` monotonic.

    Args:
        port: The input.

    Attributes:
        reading: What the source said last, as the record shows it.
        asking: A read is under way.
        asked: When a read was last begun, None for never.
        known: Whether it was ever told how the source does.
        stale: Whether it was too old when last looked at.
        counted: Updates, failures and dropped readings.
    """

    def __init__(self, port: PortSpec) -> None:
        assert port.link is not None
        self.name = port.name
        self.link = port.link
        self.record = port.record
        self.address = str(port.link.address)
        self._floats = port.record.type is PortType.FLOAT
        self.polled = port.link.mode is LinkMode.POLL
        self.reading = UNKNOWN
        self.asking = self.known = self.stale = False
        self.asked: float | None = None
        self.updates = self.failures = self.dropped = 0
        self._ring = Ring(port.buffer_size) if port.buffer_size else None
        self._proof: float | None = None
        self._stamp = 0.0
        self._stamped = 0.0
        self._misfit = ""

    def take(self, reading: Reading, now: float, clock: Clock) -> tuple[bool, bool]:
        """Take in what the source says; return whether that differs, and whether it is news at all."""
        before, late = self.reading, self.stale
        if self._floats and type(reading.value) is float and reading.connected:
            self.reading, self._misfit = reading, ""
        else:
            self.reading, self._misfit = received(self.record, reading, before.value)
        self.known = True
        if reading.connected:
            self._proof = now
            if reading.timestamp != self._stamp:
                self._stamp, self._stamped = reading.timestamp, now
            self.updates += 1
            self.failures += bool(self._misfit)
            if self._ring is not None and self.reading.ok and self.reading.value is not None:
                self._ring.add(self.reading.value, now)
        if self.link.max_age is not None:
            self.stale = self.is_stale(now, clock)
        differs = self.stale is not late or not alike(before, self.reading)
        return differs, differs or before.timestamp != self.reading.timestamp

    def fail(self, error: LinkError, clock: Clock) -> bool:
        """A read failed; return whether that is news."""
        self.failures += 1
        first, self.known = not self.known, True
        late = isinstance(error, LinkTimeout)
        status = Status.TIMEOUT if late else Status.COMM
        message = "no answer in time" if late else "not connected"
        before = self.reading
        self.reading = Reading(before.value, Severity.INVALID, status, clock.time(), False, message)
        self.stale = False
        return first or not alike(before, self.reading)

    def prove(self, reading: Reading, now: float, clock: Clock) -> bool:
        """A read of a subscribed source was answered: it lives. Return whether that makes it valid again.

        The value is left alone: events that are older than the answer may still be on their way.
        """
        if not reading.connected or not self.reading.connected:
            return False
        late = self.stale
        self._proof = now
        if reading.timestamp > self._stamp:
            self._stamp, self._stamped = reading.timestamp, now
        self.stale = self.is_stale(now, clock)
        return self.stale is not late

    def age(self, now: float, clock: Clock) -> float:
        """Seconds since the last proof of life, or by the source's own time stamp; infinite before the first."""
        if self._proof is None:
            return math.inf
        if self.link.age_by is AgeBy.SOURCE:
            # A stamp of the future, by a wrong clock there or here, grows old from its arrival on.
            return max(now - self._stamped, clock.time() - self._stamp)
        return now - self._proof

    def is_stale(self, now: float, clock: Clock) -> bool:
        """Whether it is too old, and would be good otherwise."""
        oldest = self.link.max_age
        return oldest is not None and self.reading.ok and self.age(now, clock) >= oldest - EARLY

    def shown(self, now: float, clock: Clock) -> Reading:
        """What it says now, INVALID when that is too old."""
        if self.link.max_age is None or not self.is_stale(now, clock):
            return self.reading
        reading = self.reading
        why = f"older than {self.link.max_age:g} s"
        return Reading(
            reading.value, Severity.INVALID, Status.TIMEOUT, reading.timestamp, True, why, reading.label
        )

    def due(self, now: float, interval: float, tolerance: float) -> bool:
        """Whether it is to be read in this batch."""
        if self.asking:
            return False
        rate = self.link.poll_rate or interval
        return self.asked is None or self.link.poll_rate is None or now - self.asked >= rate - tolerance

    def samples(self) -> Samples:
        """Its ring buffer, empty without one."""
        return self._ring.samples() if self._ring is not None else Samples()

    def complaint(self, now: float, clock: Clock) -> str:
        """Why it is not well, or ""."""
        shown = self.shown(now, clock)
        if shown.ok:
            return ""
        pv = self.link.address.pv
        if not shown.connected:
            return f"{pv} {shown.message or 'not connected'}"
        if self._misfit:
            return f"{pv}: {self._misfit}"
        if shown is not self.reading:
            return f"{pv} {shown.message}"
        return f"{pv} is INVALID ({shown.message or shown.status.name})"

    def view(self, now: float, clock: Clock, *, local: bool) -> LinkView:
        """What people see of it."""
        age = self.age(now, clock)
        return LinkView(
            address=self.address,
            mode=self.link.mode.value,
            local=local,
            connected=self.reading.connected,
            age=age if math.isfinite(age) else None,
            complaint=self.complaint(now, clock),
            updates=self.updates,
            failures=self.failures,
            dropped=self.dropped,
        )
