"""TaskBase: what runs until it is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from iocmng.base.author import Author
from iocmng.base.context import TaskContext
from iocmng.values import Value


class TaskBase(Author[TaskContext]):
    """A task; its author writes the method of its mode.

    That is `execute` (continuous), `triggered` or `execute` (triggered), `on_input_changed` (reactive).
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

    def on_input_changed(self, key: str, value: Any, old_value: Any) -> Any:
        """A trigger input has another value; called in the task's thread, one change after another.

        In reactive mode inputs without a link call it too.

        Args:
            key: The input.
            value: Its value now.
            old_value: The one that it was told before, None at first.
        """

    def cleanup(self) -> Any:
        """Let go of what `initialize` took."""

    def _iocmng_open(self) -> None:
        """Begin what a kind of task does beside the author's code; called after `initialize`."""

    def _iocmng_close(self) -> None:
        """End it; called before `cleanup`."""

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

    @property
    def link_values(self) -> Mapping[str, Value | None]:
        """What the PVs of linked inputs say, by port; `readings` has the quality too."""
        return self._bound.link_values()

    @property
    def buffers(self) -> Mapping[str, list[Value]]:
        """Ring buffers of ports with a `buffer_size`, oldest value first."""
        return self._bound.buffers()

    @property
    def connected(self) -> Mapping[str, bool]:
        """Whether the PV of each linked port answers."""
        return self._bound.connected()

    @property
    def latched(self) -> frozenset[str]:
        """Outputs that hold a value that a rule set, until CLEAR or RESET."""
        return self._bound.latched()

    def link_put(self, key: str, value: object, timeout: float = 5.0) -> None:
        """Write the PV that a port is linked to, and wait until it has taken the value.

        Args:
            key: The port.
            value: What to write; an enum takes a label as well as an index.
            timeout: Seconds.

        Raises:
            KeyError: The port is not linked.
            TimeoutError: The PV did not answer in time.
            LinkError: It refused.
            ValueError: It cannot take that value.
        """
        self._bound.link_put(key, value, timeout)

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
