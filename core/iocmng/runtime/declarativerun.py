"""One life of a task without code: its links and its logic, evaluated in the run queue, without a thread of its own."""

from __future__ import annotations

from collections.abc import Callable

from iocmng.base import DeclarativeTask
from iocmng.runtime.coderun import CodeRun, Work
from iocmng.runtime.counters import Counters, Progress
from iocmng.runtime.evaluation.unit import Unit
from iocmng.runtime.policy import Cause
from iocmng.runtime.taskowner import TaskOwner
from iocmng.runtime.traces import describe


class DeclarativeRun(CodeRun):
    """What a TaskRun is for tasks that are only a config. Methods are for the supervising thread."""

    in_cycle = False
    retired = False

    def __init__(self, work: Work, *, counters: Counters, owner: TaskOwner) -> None:
        super().__init__(work)
        self.counters = counters
        self.paused = True
        self.unit: Unit | None = None
        self._owner = owner
        self._over = False

    def start(self) -> None:
        """Begin."""
        self.outputs.begin(self)
        self.cls = DeclarativeTask
        if self.spec.linked:
            # The first link of a host imports a client library, for half a second.
            self._clock.spawn(self._open, f"links-{self.name}")
        else:
            self._open()

    def _open(self) -> None:
        unit: Unit | None = None
        try:
            unit = Unit(self.work, self, self, self.counters, alone=True)
            unit.open()
        except Exception as error:  # noqa: BLE001 - one instance's fault must not end the supervision of the others
            if unit is not None:
                unit.drop()
            self.broke(error)
            self._ended()
            return
        self.unit = unit
        if self.leaving:
            unit.close(self._ended)
        else:
            self._owner.initialized(self)

    @property
    def progress(self) -> Progress:
        """When the evaluation got anywhere."""
        return self.unit.progress if self.unit is not None else Progress()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._over

    def where(self) -> str:
        """Where its evaluation stands."""
        return self.unit.where() if self.unit is not None else "ended"

    def rescue(self) -> None:
        """Let other instances go on when this one's evaluation hangs."""
        if self.unit is not None:
            self.unit.rescue()

    def pause(self) -> None:
        """Decide nothing until `resume`."""
        self.paused = True
        if self.unit is not None:
            self.unit.hold()

    def resume(self) -> None:
        """Evaluate from now on."""
        self.paused = False
        if self.unit is not None:
            self.unit.go()

    def leave(self) -> None:
        """End."""
        if self.leaving:
            return
        super().leave()
        if self.unit is not None:
            self.unit.close(self._ended)

    def linked(self, complaint: str) -> None:
        """See `UnitOwner.linked`."""
        self._owner.linked(self, complaint)

    def broke(self, error: Exception) -> None:
        """See `UnitOwner.broke`."""
        self._logger.error("%s", describe(error), exc_info=error)
        self._owner.failed(self, Cause.EXCEPTION, describe(error), "")
        self.leave()

    def request(self, begin: Callable[[], None], done: Callable[[], None], room: int) -> bool:
        """Evaluate once; False when `room` others wait already."""
        if self.leaving or self.unit is None or self.paused:
            return False
        return self.unit.run(begin, done, room)

    def _ended(self) -> None:
        self._over = True
        self.outputs.close(self)
        self._owner.ended(self)
