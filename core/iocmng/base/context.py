"""What an author's object sees of the runtime: one Protocol for tasks, one for jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from iocmng.spec import InstanceSpec
from iocmng.values import Reading, Severity, Value

if TYPE_CHECKING:
    from iocmng.base.job import JobResult


class Context(Protocol):
    """What tasks and jobs have in common. Port methods raise KeyError for an unknown name, naming the known ones."""

    @property
    def spec(self) -> InstanceSpec:
        """The frozen description of the instance."""

    @property
    def logger(self) -> logging.Logger:
        """The instance's log."""

    @property
    def parameters(self) -> Any:
        """The parameters in force: a dict, or the author's ParameterModel."""

    @property
    def stopping(self) -> bool:
        """Whether it is time to leave."""

    def read(self, name: str) -> Reading:
        """What a port or default PV shows now."""

    def readings(self) -> Mapping[str, Reading]:
        """All declared ports with their quality."""

    def write(self, name: str, value: object, severity: Severity | None, timestamp: float | None) -> None:
        """Convert and publish a value.

        Raises:
            TypeError: The value is of another type.
            ValueError: It does not fit, or is NaN where that is no value.
        """

    def known(self, name: str) -> bool:
        """Whether there is such a port."""

    def sleep(self, seconds: float) -> bool:
        """Wait; False as soon as it is time to leave."""

    async def asleep(self, seconds: float) -> bool:
        """The same for async code."""

    def message(self, text: str) -> None:
        """Show a text in MESSAGE."""

    def keepalive(self) -> None:
        """Tell the supervision that there is progress."""


class TaskContext(Context, Protocol):
    """What a task sees."""

    @property
    def running(self) -> bool:
        """Whether the task is in RUN or on its way there."""

    @property
    def enabled(self) -> bool:
        """Whether the task is not paused."""

    @property
    def cycle_count(self) -> int:
        """Cycles since the last reset of the counters."""

    def step_cycle(self) -> None:
        """Count a cycle and progress."""

    def busy(self) -> AbstractContextManager[None]:
        """Show BUSY while the block runs."""

    def retire(self) -> None:
        """End the task in order, as its stop does."""

    def link_values(self) -> Mapping[str, Value | None]:
        """What the PVs of linked inputs say, by port; None for one that was never read."""

    def buffers(self) -> Mapping[str, list[Value]]:
        """Ring buffers by port, oldest value first."""

    def connected(self) -> Mapping[str, bool]:
        """Whether the PV of each linked port answers."""

    def latched(self) -> frozenset[str]:
        """Outputs that hold a value until CLEAR."""

    def link_put(self, key: str, value: object, timeout: float) -> None:
        """Write the PV that a port is linked to, and wait until it has taken the value."""

    def declare(self, word: str) -> None:
        """Take the task's own word on its health: "ERROR" degrades it, any other word clears that."""


class JobContext(Context, Protocol):
    """What a job sees during one run."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of this run by name."""

    def progress(self, fraction: float, message: str) -> None:
        """Show progress, 0 to 1."""

    def gather(self, data: Mapping[str, Any]) -> None:
        """Add to the data of the run while it lasts.

        Raises:
            ValueError: A number is not finite, or it is too much.
            TypeError: It has no JSON form.
        """

    def run_script(self) -> JobResult:
        """Run the script of the config to its end; success is exit code 0."""
