"""Waits for everything of a process at once: output, reports, its end, the wish to end it."""

from __future__ import annotations

import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Protocol

from iocmng.runtime.ports import Undo
from iocmng.runtime.script.process import ProcessGroup
from iocmng.runtime.script.reports import MAX_BYTES, split_lines

CHUNK = 65536
DRAIN = 1.0
"""Seconds that pipes may stay open after the script has ended: something else holds them then."""

KILL_WAIT = 5.0
"""Seconds after KILL in which a process has to be gone."""

POLL = 0.05
"""Seconds between looks at a script where the system has no handle that tells of its end."""


class Followed(Protocol):
    """Who hears of a process; called on the thread that follows it."""

    @property
    def leaving(self) -> bool:
        """Whether it is to end."""

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""

    def on_leaving(self, call: Callable[[], None]) -> Undo:
        """Have something called, on any thread, when it is to end."""

    def take(self, stream: str, chunk: bytes, *, last: bool = False) -> None:
        """Output on `stdout` or `stderr`."""

    def report(self, raw: bytes) -> None:
        """A line of the progress pipe."""

    def datagram(self, raw: bytes, identity: str) -> None:
        """A datagram of a publisher."""

    def note(self, text: str) -> None:
        """Something worth a line in the log."""

    def tell_skipped(self) -> None:
        """No more output will come."""


class Follower:
    """Follows one process to its end.

    Attributes:
        exit_code: How it ended, minus the signal's number when one ended it; None when it did not.
    """

    def __init__(
        self,
        script: Followed,
        group: ProcessGroup,
        reports: int,
        receiver: socket.socket | None,
        identity: str,
        stack: ExitStack,
    ) -> None:
        self.exit_code: int | None = None
        self._script = script
        self._group = group
        self._identity = identity
        self._receiver = receiver
        self._rest = b""
        self._open: set[int] = set()
        self._deadline = math.inf
        self._killed = False
        self._gave_up = False
        self._selector = stack.enter_context(selectors.DefaultSelector())
        for name, stream in (("stdout", group.stdout), ("stderr", group.stderr)):
            self._read(stream.fileno(), partial(script.take, name), pipe=True)
        self._reports = reports
        self._read(reports, self._report, pipe=False)
        if receiver is not None:
            self._selector.register(receiver, selectors.EVENT_READ, self._receive)
        self._handle = _end_handle(group.pid)
        if self._handle >= 0:
            stack.callback(os.close, self._handle)
            self._selector.register(self._handle, selectors.EVENT_READ, lambda: None)
        self._wake, wake = socket.socketpair()
        for one in (self._wake, wake):
            one.setblocking(False)
            stack.callback(one.close)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
        stack.callback(script.on_leaving(lambda: _poke(wake)))

    def follow(self) -> None:
        """Return when it is over: the process gone and its pipes at their end, or the grace after that."""
        drained_by = math.inf
        asked = False
        while not self._gave_up:
            now = time.monotonic()
            if self._script.leaving and not asked:
                asked = True
                self._group.signal(signal.SIGTERM)
                self._deadline = now + self._script.grace
            if self.exit_code is None:
                self.exit_code = self._group.exit_code()
                if self.exit_code is not None:
                    self._forget(self._handle)
                    drained_by = now + DRAIN
            if self.exit_code is not None and (not self._open or now >= drained_by):
                break
            if self.exit_code is None and now >= self._deadline:
                self._kill(now)
            due = min(drained_by, self._deadline if self.exit_code is None else math.inf)
            self._wait(due - now)
        self._finish(asked)

    def _kill(self, now: float) -> None:
        if self._killed:
            self._gave_up = True
            return
        self._killed = True
        self._script.note(f"did not end within {self._script.grace:g} s: KILL")
        self._group.signal(signal.SIGKILL)
        self._deadline = now + KILL_WAIT

    def _wait(self, timeout: float) -> None:
        if self._handle < 0 and self.exit_code is None:
            timeout = min(timeout, POLL)
        for key, _ in self._selector.select(None if timeout == math.inf else max(timeout, 0.0)):
            key.data()

    def _finish(self, asked: bool) -> None:
        if self.exit_code is not None:
            held = bool(self._open)
            grace = self._script.grace if asked else min(self._script.grace, DRAIN)
            if self._group.sweep(grace):
                self._script.note("it had left processes behind in its group, they were ended")
            elif held:
                self._script.note("something that it started outside of its group holds its output open")
        for fd in tuple(self._open):
            self._drain(fd)
        self._drain(self._reports)
        if self._receiver is not None:
            self._receive()
        for name in ("stdout", "stderr"):
            self._script.take(name, b"", last=True)
        if self._rest.strip():
            self._script.report(self._rest)
        self._script.tell_skipped()

    def _drain(self, fd: int) -> None:
        """Read what is there already."""
        key = self._selector.get_map().get(fd)
        end = time.monotonic() + DRAIN
        while key is not None and time.monotonic() < end and key.data():
            key = self._selector.get_map().get(fd)

    def _read(self, fd: int, take: Callable[[bytes], None], *, pipe: bool) -> None:
        os.set_blocking(fd, False)
        if pipe:
            self._open.add(fd)

        def ready() -> bool:
            try:
                chunk = os.read(fd, CHUNK)
            except BlockingIOError:
                return False
            if not chunk:
                self._open.discard(fd)
                self._forget(fd)
                return False
            take(chunk)
            return True

        self._selector.register(fd, selectors.EVENT_READ, ready)

    def _forget(self, fd: int) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(fd)

    def _report(self, chunk: bytes) -> None:
        lines, self._rest = split_lines(self._rest, chunk)
        for line in lines:
            self._script.report(line)

    def _receive(self) -> None:
        assert self._receiver is not None
        for _ in range(1000):
            try:
                raw = self._receiver.recv(MAX_BYTES + 1)
            except OSError:
                return
            self._script.datagram(raw, self._identity)

    def _woken(self) -> None:
        with suppress(OSError):
            self._wake.recv(64)


def _end_handle(pid: int) -> int:
    """A descriptor that becomes readable when the process ends, -1 where there is no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _poke(wake: socket.socket) -> None:
    with suppress(OSError):
        wake.send(b"x")
