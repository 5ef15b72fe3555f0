"""BridgeDaemon: one bridge task in the foreground of a process of its own, without a host."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from iocmng.bridge.interface import BasePVInterface
from iocmng.bridge.task import BridgeTask
from iocmng.errors import ExitCode
from iocmng.links import Links, Provider
from iocmng.runtime.clock import RealClock
from iocmng.runtime.counters import Progress
from iocmng.spec import HandshakeSpec, InstanceSpec, Kind, Mode, OnStall, PluginRef, Supervision
from iocmng.values import Reading, Severity, Value

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class BridgeDaemon(BridgeTask):
    """A bridge task that a script starts by itself: `MyDaemon(interface=MyInterface(prefixes=…)).start()`.

    In a host it is a bridge task as any other.

    Args:
        interface: The records.
        provider: Provider of PVs without a scheme.
    """

    def __init__(
        self,
        interface: BasePVInterface | None = None,
        provider: str | Provider = Provider.PVA,
        **earlier: Any,
    ) -> None:
        super().__init__()
        if interface is not None:
            self.interface = interface
        self._provider = Provider(provider)

    def start(self) -> int:
        """Run until SIGTERM or SIGINT, in the main thread; the handshake is cleared at the end.

        When the task gets nowhere the process ends with code 75 and the reason as its last line.

        Returns:
            0, the exit code of a process that was asked to end.
        """
        if not logging.getLogger().handlers:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        foreground = Foreground(type(self).__name__, self._provider)
        self._context = foreground
        self._iocmng_io = self._iocmng_handshake = None
        return foreground.run(self)


class Foreground:
    """What a bridge task sees instead of a host; see `BridgeContext`."""

    parameters: Mapping[str, Any] = {}

    def __init__(self, name: str, provider: Provider) -> None:
        self.spec = InstanceSpec(
            name=name,
            kind=Kind.TASK,
            plugin=PluginRef(name=name, target=name),
            prefix="",
            pv_prefix="",
            mode=Mode.TRIGGERED,
            supervision=Supervision(on_stall=OnStall.EXIT),
            handshake=HandshakeSpec(provider=provider),
        )
        self.logger = logging.getLogger(name)
        self.links = Links(provider)
        self.clock = RealClock()
        self.stopping = False
        self.cycle_count = 0
        self.enabled = True
        self._progress = Progress()
        self._wakeup = self.clock.wakeup()
        self._requests: deque[Callable[[], None]] = deque()

    @property
    def running(self) -> bool:
        """Whether it is not yet to end."""
        return not self.stopping

    def run(self, task: BridgeTask) -> int:
        """Run cycles when they are asked for, until a signal."""
        kept = {number: signal.signal(number, self._stop) for number in _SIGNALS}
        try:
            task.initialize()
            try:
                task._iocmng_open()
                while not self.stopping:
                    self._serve(task)
            finally:
                task._iocmng_close()
                task.cleanup()
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
            self.links.close()
        return ExitCode.DONE

    def _serve(self, task: BridgeTask) -> None:
        if not self._requests:
            self._wakeup.wait(None)
            return
        self.keepalive()
        self._progress.expected = True
        self._requests.popleft()()
        task.triggered()
        self._progress.expected = False
        self.cycle_count += 1

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        self._wakeup.set()

    def idle(self) -> float:
        """Seconds for which the code got nowhere although it should."""
        return self._progress.idle(self.clock.monotonic())

    def request(self, begin: Callable[[], None]) -> bool:
        """Ask for one cycle."""
        self._requests.append(begin)
        self._wakeup.set()
        return True

    def stuck(self, reason: str) -> None:
        """End the process when its task gets nowhere: the main thread can do nothing any more."""
        if reason:
            self._exit(reason)

    def _exit(self, reason: str) -> NoReturn:
        sys.stderr.write(f"{self.spec.name} gives up: {reason}\n")
        sys.stderr.flush()
        os._exit(ExitCode.FAILED if self.stopping else ExitCode.RESTART)

    def retire(self) -> None:
        """End in order on the code's own wish."""
        self.stopping = True
        self._wakeup.set()

    def sleep(self, seconds: float) -> bool:
        """Wait; False as soon as it is time to leave."""
        end = self.clock.monotonic() + seconds
        while not self.stopping and (rest := end - self.clock.monotonic()) > 0:
            self._progress.at = self.clock.monotonic() + rest
            self._wakeup.wait(rest)
        self.keepalive()
        return not self.stopping

    async def asleep(self, seconds: float) -> bool:
        """The same for async code."""
        return self.sleep(seconds)

    def message(self, text: str) -> None:
        """A message goes to the log: there is no MESSAGE."""
        self.logger.info("%s", text)

    def keepalive(self) -> None:
        """There is progress."""
        self._progress.at = self.clock.monotonic()

    step_cycle = keepalive

    @contextmanager
    def busy(self) -> Iterator[None]:
        """There is no BUSY besides the record of the handshake."""
        yield

    def declare(self, word: str) -> None:
        """The task's own word on its health goes to the log."""
        self.logger.warning("%s", word)

    def known(self, name: str) -> bool:
        """A daemon without a host has no PVs of its own."""
        return False

    def read(self, name: str) -> Reading:
        """A daemon without a host has no PVs of its own."""
        raise self._no_port(name)

    def readings(self) -> Mapping[str, Reading]:
        """A daemon without a host has no PVs of its own."""
        return {}

    def write(self, name: str, value: object, severity: Severity | None, timestamp: float | None) -> None:
        """A daemon without a host has no PVs of its own."""
        raise self._no_port(name)

    def link_values(self) -> Mapping[str, Value | None]:
        """No links."""
        return {}

    def buffers(self) -> Mapping[str, list[Value]]:
        """No buffers."""
        return {}

    def connected(self) -> Mapping[str, bool]:
        """No links."""
        return {}

    def latched(self) -> frozenset[str]:
        """No latches."""
        return frozenset()

    def link_put(self, key: str, value: object, timeout: float) -> None:
        """A daemon without a host has no links."""
        raise self._no_port(key)

    def _no_port(self, name: str) -> KeyError:
        return KeyError(
            f"{self.spec.name} runs without a host and has no port {name!r}; use self.io, or a host"
        )
