"""The linked outputs and actuators of one instance: written in order, without a wait, until taken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from iocmng.errors import LinkError, LinkValueError
from iocmng.runtime.ports import DEFAULT_TIMEOUT, Clock, PvClient, Undo
from iocmng.runtime.wiring.conversion import outgoing
from iocmng.runtime.wiring.target import Target
from iocmng.runtime.wiring.timers import Timers
from iocmng.spec import InstanceSpec
from iocmng.values import Reading, Value
from iocmng.wire import LinkView


class OutputLinks:
    """Made by `Wiring.outputs`; methods are for any thread, and never call out while they hold the lock.

    Of a port whose target is slow only the latest value waits. A value that was not taken is tried again after 0.5 s,
    doubling to 30 s, and when the target comes back; one that the target cannot take at all only then.

    Args:
        spec: The instance.
        client: Writes, and tells when a target comes or goes.
        clock: For waits.
        timers: For attempts.
        changed: Called when `connected` or `complaint` changed; it must only enqueue. Its first calls may come
            before the constructor returns.
        is_local: Whether an address is a PV of this host.

    Attributes:
        lingers: It has ended, but for fail-safe values of targets that are away.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        client: PvClient,
        clock: Clock,
        timers: Timers,
        changed: Callable[[], None],
        is_local: Callable[[str], bool],
    ) -> None:
        self._client = client
        self._clock = clock
        self._timers = timers
        self._changed = changed
        self._is_local = is_local
        self._timeout = spec.timeout
        self._targets = {port.name: Target(port) for port in spec.ports if port.link is not None}
        self._lock = threading.Lock()
        self._closed = False
        self._flushing = self.lingers = False
        self._idle = clock.wakeup()
        actuators = {name for rule in spec.logic.rules for name in rule.actuators}
        self._undo: dict[str, Undo] = {}
        for target in self._targets.values():
            if target.is_output or target.name in actuators:
                self._listen(target)

    @property
    def over(self) -> bool:
        """Whether it has ended, or only waits to hand over what is fail-safe."""
        return self._closed or self.lingers

    @property
    def connected(self) -> Mapping[str, bool]:
        """Whether the target of each linked output answers, in declaration order."""
        return {name: target.reading.connected for name, target in self._targets.items() if target.is_output}

    @property
    def complaint(self) -> str:
        """What is wrong, `port: PV not connected; …`, or ""."""
        with self._lock:
            told = ((target.name, target.complaint()) for target in self._targets.values() if target.heeded)
            return "; ".join(f"{name}: {complaint}" for name, complaint in told if complaint)

    def forward(self, port: str, value: Value) -> None:
        """A port has this value now: its target gets it, unless it has it already. Never blocks.

        Raises:
            KeyError: The port is not linked.
        """
        target = self._targets[port]
        with self._lock:
            wanted = target.forward(value)
        if wanted:
            self._pump(target)

    def command(self, port: str, value: Value) -> None:
        """Write a value to the PV that a port is linked to, and again when that reconnects, until `withdraw`.

        Raises:
            KeyError: The port is not linked.
        """
        target = self._targets[port]
        if not target.heeded:
            self._listen(target)
        with self._lock:
            wanted = target.command(value)
        if wanted:
            self._pump(target)

    def withdraw(self, port: str) -> None:
        """The command for a port's PV is over: nothing is written.

        Raises:
            KeyError: The port is not linked.
        """
        with self._lock:
            self._targets[port].withdraw()

    def put(self, port: str, value: Value, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Write the PV that a port is linked to, and wait until it has taken the value.

        Raises:
            KeyError: The port is not linked.
            LinkError: It did not, within `timeout` seconds.
            LinkValueError: It cannot take that value.
        """
        target = self._targets[port]
        with self._lock:
            target.forget()
            made = outgoing(target.record, value, target.reading)
        self._client.put(target.address, made, timeout=timeout)

    def recheck(self) -> None:
        """Try now what waits for another attempt."""
        for target in self._targets.values():
            with self._lock:
                target.try_again()
            self._pump(target)

    def view(self, port: str) -> LinkView:
        """What people see of a port's link.

        Raises:
            KeyError: The port is not linked.
        """
        target = self._targets[port]
        local = self._is_local(target.address)
        with self._lock:
            return target.view(local=local)

    def pause(self) -> None:
        """Nobody decides for a while: a command is not given again to a target that comes back."""
        with self._lock:
            for target in self._targets.values():
                target.paused = True

    def resume(self) -> None:
        """Rules have been evaluated again: targets that came back meanwhile get the commands that stand."""
        for target in self._targets.values():
            with self._lock:
                wanted = target.resume()
            if wanted:
                self._pump(target)

    def close(self, flush: float = 0.0) -> None:
        """End; values for targets that answer have up to `flush` seconds to get there, for which this waits.

        A target that is away then gets its fail-safe value when it comes back, unless `drop` is called before.
        """
        end = self._clock.monotonic() + flush
        with self._lock:
            self._flushing = True
        while self._on_their_way() and (left := end - self._clock.monotonic()) > 0:
            self._idle.wait(left)
        with self._lock:
            for target in self._targets.values():
                target.withdraw()
            late = {name for name, one in self._targets.items() if one.fails_safe and one.pending}
            over = [name for name in self._undo if name not in late]
        self._end(over)
        with self._lock:
            self.lingers = bool(late) and not self._closed
            self._closed = self._closed or not late

    def drop(self) -> None:
        """End at once; what has not got to its target does not get there."""
        with self._lock:
            self._closed = True
            over = list(self._undo)
        self._end(over)

    def _end(self, names: Iterable[str]) -> None:
        for name in names:
            with self._lock:
                undo = self._undo.pop(name, None)
            if undo is not None:
                undo()

    def _listen(self, target: Target) -> None:
        target.heeded = True
        self._undo[target.name] = self._client.listen(target.address, partial(self._heard, target))

    def _on_their_way(self) -> bool:
        with self._lock:
            return any(target.pending and target.reading.connected for target in self._targets.values())

    def _heard(self, target: Target, reading: Reading) -> None:
        with self._lock:
            if self._closed:
                return
            flipped = target.heard(reading)
        if flipped:
            self._pump(target)
            self._changed()

    def _pump(self, target: Target) -> None:
        with self._lock:
            ready = None if self._closed else target.next()
        if ready is None:
            return
        try:
            self._client.send(target.address, ready[0], partial(self._done, target), timeout=self._timeout)
        except LinkError as error:
            # The clients are closed: the host is going.
            self._done(target, error)

    def _done(self, target: Target, error: LinkError | LinkValueError | None) -> None:
        with self._lock:
            before = target.problem
            delay = target.sent(error)
            attempt, told = target.attempt, target.problem != before
            flushing = self._flushing
        if delay is not None:
            self._timers.after(delay, lambda: self._retry(target, attempt))
        self._pump(target)
        if flushing:
            self._idle.set()
        if self.lingers and error is None:
            self._end([target.name])
        if told and not self._closed:
            self._changed()

    def _retry(self, target: Target, attempt: int) -> None:
        with self._lock:
            if target.attempt != attempt:
                return
            target.blocked = False
        self._pump(target)
