"""One record in memory: what of it stays when a name is taken away and given back, and the handle of who writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from iocmng.errors import RecordError
from iocmng.ioc.dbtext import record_text
from iocmng.ioc.spares import empty_value
from iocmng.runtime.ports import Clock, Undo
from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.testing.alarms import AlarmLimits, clamped
from iocmng.values import Reading, Severity, Status, Value

Monitor = Callable[[Reading], None]

DEPARTED = "its plugin was removed"
"""Why a record is INVALID that serves nobody."""


class FakeMemory:
    """A record as EPICS would hold it; clients that are connected stay so whoever it is dressed for."""

    def __init__(self, clock: Clock, lock: threading.RLock) -> None:
        self._clock = clock
        self._lock = lock
        self._limits: AlarmLimits | None = None
        self._monitors: tuple[Monitor, ...] = ()
        self._posted: Value | None = None
        self.spec: RecordSpec | None = None
        self.reading = Reading(None, Severity.INVALID, Status.UDF, 0.0)

    @property
    def is_used(self) -> bool:
        """Whether it has ever served."""
        return self.reading.value is not None

    def dress(self, spec: RecordSpec | None) -> None:
        """Take the fields of a spec, None for those of a free record.

        Raises:
            RecordError: A field is refused; nothing has changed.
        """
        if spec is not None:
            record_text(spec)
        self._limits = AlarmLimits(spec) if spec is not None else None
        self.spec = spec

    def begin(self, spec: RecordSpec) -> None:
        """Show what a record shows that was loaded with this spec."""
        first = spec.value if spec.value is not None else empty_value(spec)
        valid = spec.writable and spec.value is not None
        self._posted = first
        self.reading = Reading(
            first,
            Severity.NO_ALARM if valid else Severity.INVALID,
            Status.NO_ALARM if valid else Status.UDF,
            self._clock.time() if valid else 0.0,
        )

    def begin_again(self, spec: RecordSpec) -> None:
        """Show what a record shows that served before, or takes up a spec while clients are served."""
        if spec.value is None:
            if self.is_used:
                kept = self.reading.value if self._still_fits(spec) else empty_value(spec)
                self.process(kept, Severity.INVALID, Status.UDF)
            else:
                self.begin(spec)
        elif spec.writable:
            self.process(clamped(spec, spec.value))
        else:
            self.process(spec.value, Severity.INVALID, Status.UDF)

    def _still_fits(self, spec: RecordSpec) -> bool:
        try:
            convert(spec, self.reading.value)
        except (TypeError, ValueError):
            return False
        return True

    def monitor(self, handler: Monitor, first: Reading) -> Undo:
        """Call `handler` with `first`, and after every change that clients are told of."""
        with self._lock:
            self._monitors = (*self._monitors, handler)
            handler(first)

        return partial(self.forget, handler)

    def forget(self, handler: Monitor) -> None:
        """Call `handler` no more."""
        with self._lock:
            self._monitors = tuple(known for known in self._monitors if known is not handler)

    def process(
        self,
        value: Value | None,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Take a value over as a processed record does: limits raise the severity, changes are posted."""
        assert self._limits is not None
        assert value is not None
        with self._lock:
            found = self._limits.judge(value, severity, status, reason)
            before = self.reading
            time = self._clock.time() if timestamp is None else timestamp
            self.reading = Reading(value, found.severity, found.status, time, True, found.message)
            alarm_changed = (before.severity, before.status, before.message) != (
                found.severity,
                found.status,
                found.message,
            )
            if alarm_changed or self._limits.beyond_deadband(value, self._posted):
                self._posted = value
                for monitor in self._monitors:
                    monitor(self.reading)


class FakeRecord:
    """The handle of one record; values as clients see them."""

    def __init__(self, spec: RecordSpec, memory: FakeMemory, is_served: Callable[[], bool]) -> None:
        self._spec = spec
        self._memory = memory
        self._is_served = is_served
        self._departed = False

    @property
    def spec(self) -> RecordSpec:
        """What the record was made from."""
        return self._spec

    @property
    def memory(self) -> FakeMemory:
        """The record itself."""
        return self._memory

    def leave(self) -> None:
        """Write no more: the record has gone, or is another's now."""
        self._departed = True

    def publish(
        self,
        value: Value,
        severity: Severity = Severity.NO_ALARM,
        status: Status = Status.NO_ALARM,
        reason: str = "",
        timestamp: float | None = None,
    ) -> None:
        """Write value, quality and time (see `iocmng.runtime.ports.Record.publish`).

        Raises:
            RecordError: Clients may write it, or it is not served now.
        """
        if self._spec.writable:
            raise RecordError(
                f"{self._spec.name}: clients may write it, so it is not published", hint="use assign()"
            )
        self._need_served()
        self._memory.process(value, severity, status, reason, timestamp)

    def assign(self, value: Value) -> None:
        """Set a writable record from inside.

        Raises:
            RecordError: Clients may not write it, or it is not served now.
        """
        if not self._spec.writable:
            raise RecordError(
                f"{self._spec.name}: clients may not write it, so it is not assigned", hint="use publish()"
            )
        self._need_served()
        self._memory.process(clamped(self._spec, value))

    def read(self) -> Reading:
        """What the record shows now."""
        if self._departed or not self._is_served():
            return replace(
                self._memory.reading, severity=Severity.INVALID, status=Status.UDF, connected=False
            )
        return self._memory.reading

    def monitor(self, handler: Monitor) -> Undo:
        """Be a client: `handler` gets what the record shows now, and every change that clients are told of."""
        return self._memory.monitor(handler, self.read())

    def _need_served(self) -> None:
        if self._departed:
            raise RecordError(f"{self._spec.name}: the record is served no more, or for another",
                              hint="ask for the record of this name again")  # fmt: skip
        if not self._is_served():
            raise RecordError(f"{self._spec.name}: records are not served yet", hint="start the port first")
