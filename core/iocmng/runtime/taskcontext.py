"""What a task sees while it runs: the TaskContext of one run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from iocmng.names import did_you_mean
from iocmng.runtime.ports import Clock, PvClient, Record
from iocmng.spec import InstanceSpec
from iocmng.values import Reading, Severity, Value

if TYPE_CHECKING:
    from iocmng.runtime.taskrun import TaskRun


class PortAccess:
    """Reading and writing ports for one run of an instance's code; `run` is the token of its writes."""

    def __init__(self, run: Any, spec: InstanceSpec, logger: logging.Logger) -> None:
        self._run = run
        self._spec = spec
        self._logger = logger
        self._ignored: set[str] = set()

    @property
    def spec(self) -> InstanceSpec:
        """The frozen description of the instance."""
        return self._spec

    @property
    def logger(self) -> logging.Logger:
        """The instance's log."""
        return self._logger

    @property
    def parameters(self) -> Any:
        """The parameters in force."""
        return self._run.parameters

    @property
    def stopping(self) -> bool:
        """Whether it is time to leave."""
        return bool(self._run.leaving)

    def known(self, name: str) -> bool:
        """Whether there is such a port or default PV."""
        return self._run.outputs.known(name) or name in self._spec.defaults

    def read(self, name: str) -> Reading:
        """What a port or default PV shows now."""
        if name in self._spec.defaults and not self._run.outputs.known(name):
            record: Record = self._run.default_record(name)
            return record.read()
        reading: Reading = self._run.outputs.read(name)
        return reading

    def readings(self) -> Mapping[str, Reading]:
        """All declared ports with their quality."""
        readings: Mapping[str, Reading] = self._run.outputs.readings()
        return readings

    def write(self, name: str, value: object, severity: Severity | None, timestamp: float | None) -> None:
        """Convert and publish a value."""
        if self._run.outputs.known(name):
            self._run.outputs.write(self._run, name, value, severity, timestamp)
        elif name == "MESSAGE":
            self.message(str(value))
        elif self._spec.plugin.origin == "directory":
            if name not in self._ignored:
                self._ignored.add(name)
                self._logger.warning("write to %s ignored: %s", name, self._refusal(name))
        elif name in self._spec.defaults:
            raise KeyError(self._refusal(name))
        else:
            self._run.outputs.port(name)

    def _refusal(self, name: str) -> str:
        if name in self._spec.defaults:
            return (
                f"{name} of {self._spec.name} belongs to the supervision; set_message and set_status tell it"
            )
        hint = did_you_mean(name, [port.name for port in self._spec.ports]) or "it declares none"
        return f"{self._spec.name} has no port {name!r}; {hint}"

    def message(self, text: str) -> None:
        """Show a text in MESSAGE."""
        self._run.say(text)

    def sleep(self, seconds: float) -> bool:
        """Wait; False as soon as it is time to leave."""
        if self._run.authors.owns_this_thread():
            raise RuntimeError(
                "self.sleep() in async code would hold up every async task: await self.asleep() instead"
            )
        stays: bool = self._run.sleep(seconds)
        return stays

    async def asleep(self, seconds: float) -> bool:
        """The same for async code."""
        stays: bool = await self._run.authors.sleep(seconds, self._run.leaving)
        return stays


class TaskRunContext(PortAccess):
    """The TaskContext of one run."""

    _run: TaskRun

    @property
    def running(self) -> bool:
        """Whether the task is in RUN or on its way there."""
        return not self._run.leaving

    @property
    def enabled(self) -> bool:
        """Whether the task is not paused."""
        return not self._run.paused

    @property
    def cycle_count(self) -> int:
        """Cycles since the last reset of the counters."""
        return self._run.counters.cycles

    async def asleep(self, seconds: float) -> bool:
        """The same for async code; each return counts as a cycle."""
        stays = await super().asleep(seconds)
        self._run.step()
        return stays

    def keepalive(self) -> None:
        """There is progress."""
        self._run.progressed()

    def step_cycle(self) -> None:
        """Count a cycle and progress."""
        self._run.step()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Show BUSY while the block runs."""
        panel = self._run.panel
        panel.show("BUSY", True)
        try:
            yield
        finally:
            panel.show("BUSY", self._run.in_cycle and self._run.is_here)

    @property
    def links(self) -> PvClient:
        """The host's client of PVs: addresses with a scheme."""
        return self._run.work.wiring.client

    @property
    def clock(self) -> Clock:
        """The clock of the host."""
        return self._run.work.clock

    def idle(self) -> float:
        """Seconds for which the code got nowhere although it should, 0 while it waits for work."""
        return self._run.progress.idle(self._run.work.clock.monotonic())

    def request(self, begin: Callable[[], None]) -> bool:
        """Ask for one run of this triggered task; `begin` is called before it. False when one waits already."""
        return self._run.request(begin, lambda: None, 1)

    def stuck(self, reason: str) -> None:
        """Say why the task gets nowhere, which is a stall until it is taken back with ""."""
        self._run.progress.stuck = reason

    def retire(self) -> None:
        """End the task in order."""
        self._run.retire()

    def write(self, name: str, value: object, severity: Severity | None, timestamp: float | None) -> None:
        """Convert and publish a value; one of a set-point is news to the logic."""
        super().write(name, value, severity, timestamp)
        if self._run.unit is not None:
            self._run.unit.touch(name)

    def link_values(self) -> Mapping[str, Value | None]:
        """What the PVs of linked inputs say, by port."""
        unit = self._run.unit
        return {name: reading.value for name, reading in unit.readings.items()} if unit is not None else {}

    def buffers(self) -> Mapping[str, list[Value]]:
        """Ring buffers by port, oldest value first."""
        return self._run.unit.buffers if self._run.unit is not None else {}

    def connected(self) -> Mapping[str, bool]:
        """Whether the PV of each linked port answers."""
        return self._run.unit.connected if self._run.unit is not None else {}

    def latched(self) -> frozenset[str]:
        """Outputs that hold a value until CLEAR."""
        return frozenset(self._run.unit.latched) if self._run.unit is not None else frozenset()

    def link_put(self, key: str, value: object, timeout: float) -> None:
        """Write the PV that a port is linked to."""
        linked = [port.name for port in self._spec.ports if port.link is not None]
        if key not in linked or self._run.unit is None:
            hint = did_you_mean(key, linked) or "none is"
            raise KeyError(f"{self._spec.name}: port {key!r} is not linked; {hint}")
        put = partial(self._run.unit.put, key, cast(Value, value), timeout)
        self._run.aside(put)

    def declare(self, word: str) -> None:
        """Take the task's own word on its health."""
        self._run.declare(word)
