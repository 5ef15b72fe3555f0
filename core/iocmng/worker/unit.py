"""Links and logic of a worker's task, which are in the host: what its code asks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from iocmng.runtime.isolation.channel import to_reading
from iocmng.spec import Direction, InstanceSpec
from iocmng.spec.wiring import LinkMode
from iocmng.values import Reading, Value
from iocmng.worker.link import HostLink


class FarUnit:
    """Stands for the host's Unit, for what a TaskRun and its context call.

    Args:
        spec: The instance.
        link: To the host.
        apart: Calls something on a thread of its own.
    """

    def __init__(
        self, spec: InstanceSpec, link: HostLink, apart: Callable[[Callable[[], None]], object]
    ) -> None:
        self._link = link
        self._apart = apart
        self._timeout = spec.timeout
        self._polls = any(
            port.link is not None and port.direction is Direction.INPUT and port.link.mode is LinkMode.POLL
            for port in spec.ports
        )

    @property
    def readings(self) -> Mapping[str, Reading]:
        """What linked inputs say."""
        return {name: to_reading(item) for name, item in self._link.ask("link readings").items()}

    @property
    def buffers(self) -> Mapping[str, list[Value]]:
        """All ring buffers by port, oldest value first."""
        found: dict[str, list[Value]] = self._link.ask("buffers")
        return found

    @property
    def connected(self) -> Mapping[str, bool]:
        """Whether the PV of each linked port answers."""
        found: dict[str, bool] = self._link.ask("connected")
        return found

    @property
    def latched(self) -> Mapping[str, Value]:
        """Outputs that hold a value until CLEAR."""
        found: dict[str, Value] = self._link.ask("latched")
        return found

    def hold(self) -> None:
        """The host holds its unit itself."""

    def go(self) -> None:
        """The host lets its unit go on itself."""

    def touch(self, port: str) -> None:
        """The host hears of what is written."""

    def ask(self, done: Callable[[], None] | None = None) -> None:
        """Have the logic evaluated once; `done` is called after that."""
        if done is None:
            self._link.send("evaluate", 0)
        else:
            self._apart(lambda: self._evaluate(done))

    def _evaluate(self, done: Callable[[], None]) -> None:
        self._link.call(self._timeout, "evaluate")
        done()

    def put(self, port: str, value: Value, timeout: float) -> None:
        """Write the PV that a port is linked to, and wait until it has taken the value."""
        self._link.call(timeout, "put", port, value, timeout)

    def poll_wait(self) -> None:
        """Read polled inputs that are due."""
        if self._polls:
            self._link.call(self._timeout, "poll")

    def close(self, then: Callable[[], None]) -> None:
        """The host closes its unit itself."""
        then()
