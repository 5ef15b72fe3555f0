"""What a bridge task writes to the records of the other IOC, in the order in which clients may rely on it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from iocmng.bridge.interface import BasePVInterface
from iocmng.bridge.pvio import BridgeIO
from iocmng.lifecycle import TaskStatus

WITHIN = 2.0
"""Seconds that a write of the handshake may take."""
ATTEMPTS = 3
BETWEEN = 0.5
RAW = "Raw Soft Channel"


class Handshake:
    """Writes Busy, TaskStatus, TaskDuration and Trigger.

    Args:
        interface: Names the records.
        pvs: Writes them.
        rest: Waits so many seconds between two attempts.
        logger: The task's log.
    """

    def __init__(
        self,
        interface: BasePVInterface,
        pvs: BridgeIO,
        rest: Callable[[float], object],
        logger: logging.Logger,
    ) -> None:
        self._interface, self._pvs, self._rest, self._logger = interface, pvs, rest, logger
        self._status_pv = ""

    def forget(self) -> None:
        """The other IOC has gone: it may come back with another database."""
        self._status_pv = ""

    def triggered(self) -> bool:
        """Whether Trigger is set now; False when it cannot be read."""
        return bool(self._pvs.pvget(self._interface.trigger, WITHIN))

    def begin(self) -> bool:
        """Set Busy; return whether the record has taken it."""
        return self._pvs.pvput({self._interface.busy: 1}, WITHIN)

    def report(self, status: TaskStatus, duration: float | None) -> bool:
        """Write TaskStatus and, unless skipped, TaskDuration (seconds); return whether both were taken."""
        values: dict[str, int | float] = {self._status(): int(status)}
        if duration is not None and status is not TaskStatus.SKIPPED:
            values[self._interface.task_duration] = duration
        return self._pvs.pvput(values, WITHIN)

    def clear(self, attempts: int = ATTEMPTS, within: float = WITHIN) -> bool:
        """Clear Busy, then Trigger; return whether both records have taken it."""
        for attempt in range(attempts):
            if attempt:
                self._rest(BETWEEN)
            if all(
                self._pvs.pvput({pv: 0}, within) for pv in (self._interface.busy, self._interface.trigger)
            ):
                return True
        return False

    def _status(self) -> str:
        """TaskStatus, or its raw value where the record would compute its value from that again."""
        if not self._status_pv:
            name = self._interface.task_status
            kind = self._pvs.reading(f"{name}.DTYP", WITHIN, level=logging.DEBUG)
            raw = kind is not None and RAW in (kind.label, kind.value)
            self._status_pv = f"{name}.RVAL" if raw else name
        return self._status_pv
