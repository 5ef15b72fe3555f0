"""TaskBase: what runs until it is stopped."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

from iocmng.base.author import Author
from iocmng.base.context import TaskContext


class TaskBase(Author[TaskContext]):
    """A task. Write the method of its mode: `execute` (continuous), `triggered` or `execute` (triggered).

    `initialize` runs before, `cleanup` after (only when `initialize` succeeded). Each may be `async def`.
    An inner class `Parameters(ParameterModel)` describes the parameters.
    """

    _iocmng_kind: ClassVar[str] = "task"

    def initialize(self) -> Any:
        """Prepare; the task is in INIT meanwhile and enters RUN when this returns."""

    def execute(self) -> Any:
        """Do one cycle. Returning False shows Task Fail in TASK_STATUS."""
        raise NotImplementedError(f"{type(self).__name__} has no execute()")

    def triggered(self) -> Any:
        """Do one run of a triggered task."""
        return self.execute()

    def cleanup(self) -> Any:
        """Let go of what `initialize` took."""

    def health(self) -> Any:
        """None when all is well, else a reason, which sets DEGRADED. Asked every 30 s between cycles."""
        return None

    def metrics(self) -> Any:
        """Numbers for /metrics by name."""
        return {}

    @property
    def mode(self) -> str:
        """`continuous`, `triggered` or `reactive`."""
        return self._bound.spec.mode.value

    @property
    def running(self) -> bool:
        """Whether the task runs. Setting it to False ends the task, as iocmng 2.x plugins did."""
        return self._bound.running

    @running.setter
    def running(self, wanted: object) -> None:
        if not wanted:
            self._bound.retire()

    @property
    def enabled(self) -> bool:
        """Whether the task is not paused."""
        return self._bound.enabled

    @property
    def cycle_count(self) -> int:
        """Cycles so far."""
        return self._bound.cycle_count

    def step_cycle(self) -> None:
        """Count a cycle inside a loop of one's own; it is progress too."""
        self._bound.step_cycle()

    def busy(self) -> AbstractContextManager[None]:
        """Show BUSY while the block runs."""
        return self._bound.busy()

    def set_status(self, word: str) -> None:
        """Say how the task is. STATUS belongs to the supervision: "ERROR" sets DEGRADED, any other word clears that."""
        self._bound.declare(str(word))


class DeclarativeTask(TaskBase):
    """A task whose config is all there is to it: declared ports, without code."""

    def execute(self) -> None:
        """Nothing to do."""
