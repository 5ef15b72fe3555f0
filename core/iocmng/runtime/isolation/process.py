"""One worker process: started, spoken to without ever waiting for it, heard, ended with everything it started."""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iocmng.runtime.isolation.channel import Frames, Message, encode
from iocmng.runtime.policy import Cause
from iocmng.runtime.ports import Clock
from iocmng.runtime.traces import describe
from iocmng.settings.childenv import child_environment
from iocmng.spec import PluginRef

LEAVE_TIME = 2.0
"""Seconds that a process has to end after its code has, or after it has hung up."""

KILL_TIME = 2.0
"""Seconds in which what was killed has to be gone; longer only hangs in the system."""

MAX_BACKLOG = 64 << 20
"""Bytes that may wait for a worker that does not read."""

MAX_LINE = 8192
LAST_LINES = 60
_PIECE = 1 << 16
_log = logging.getLogger("iocmng.worker")
_STEP = 0.005
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended.

    Attributes:
        code: The exit code, minus the signal's number when one ended it; None when it cannot be ended.
        where: The line of code in which it stood, when it could still tell.
        last_words: What it wrote last to its output.
        late: Whether it was killed because it did not end when its code had.
    """

    code: int | None
    where: str = ""
    last_words: str = ""
    late: bool = False

    @property
    def cause(self) -> Cause:
        """The kind of it."""
        return Cause.SIGNAL if self.code is not None and self.code < 0 else Cause.EXIT

    @property
    def words(self) -> str:
        """What it died of."""
        place = f" at {self.where}" if self.where else ""
        if self.code is None:
            return "worker hung up, and cannot be killed"
        if self.late:
            return f"worker was killed, it had not ended {LEAVE_TIME:g} s after its code"
        if self.code >= 0:
            return f"worker died: exit code {self.code}{place}"
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = f"signal {-self.code}"
        if name == "SIGKILL":
            place = ", which is what the system does when memory runs out"
        return f"worker died: {name}{place}"


class WorkerProcess:
    """The process of one run. `start` on the thread that starts processes, the rest on any.

    Args:
        plugin: Whose code it runs.
        clock: Makes its thread.
        greet: The first message, asked for on the worker's own thread when the process is there.
        heard: Called with each message on that thread.
        printed: Called there with each line that came over the process's output.
        drained: Called there when what waited for the worker has gone out.
        over: Called there when the process has ended; the last call.
    """

    def __init__(
        self,
        plugin: PluginRef,
        clock: Clock,
        *,
        greet: Callable[[], Message],
        heard: Callable[[Message], None],
        printed: Callable[[str], None],
        drained: Callable[[], None],
        over: Callable[[Death], None],
    ) -> None:
        self.pid = 0
        self.fault = ""
        self._plugin = plugin
        self._clock = clock
        self._greet = greet
        self._heard = heard
        self._printed = printed
        self._drained = drained
        self._over = over
        self._lock = threading.RLock()
        self._backlog = bytearray()
        self._deadline: float | None = None
        self._frames = Frames()
        self._line = b""
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    def start(self, name: str) -> threading.Thread:
        """Start the process and the thread that hears it.

        Must be called on a thread that lives as long as the host: the system ends a worker when the thread that
        started it ends, so that none outlives a host that was killed.

        Raises:
            OSError: It cannot be started.
        """
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            # Never with preexec_fn: that hangs now and then in a process that runs EPICS.
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "iocmng.worker", str(theirs.fileno()), str(os.getpid())],
                    env={**child_environment(os.environ), "PYTHONUNBUFFERED": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    bufsize=0,
                    start_new_session=True,
                    pass_fds=(theirs.fileno(),),
                )
            except OSError:
                self._socket.close()
                os.close(self._wake)
                raise
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._socket.setblocking(False)
        self.pid = self._process.pid
        return self._clock.spawn(self._follow, name)

    def post(self, *message: object) -> bool:
        """Send a message without ever waiting; return whether more should be held back for now.

        Raises:
            TypeError: It holds something that cannot cross.
        """
        frame = encode(message)
        with self._lock:
            if not self._backlog:
                try:
                    frame = frame[self._socket.send(frame) :]
                except BlockingIOError:
                    pass
                except OSError:
                    # It is gone, of which its thread tells.
                    return False
            if not frame:
                return False
            self._backlog += frame
            if len(self._backlog) > MAX_BACKLOG:
                self.fault = "worker does not read what it is told"
                self.kill()
            os.eventfd_write(self._wake, 1)
        return True

    def dismiss(self) -> None:
        """Its code is over: it has `LEAVE_TIME` seconds to end."""
        self._deadline = time.monotonic() + LEAVE_TIME
        self.post("bye")

    def kill(self) -> None:
        """End it and everything in its group, at once."""
        with self._lock, suppress(ProcessLookupError, PermissionError):
            # Before its end has been taken note of nobody else can have its number.
            if self.pid and self._process.returncode is None:
                os.killpg(self.pid, signal.SIGKILL)

    def private_memory(self) -> float:
        """MiB that are its own and no other process's, 0 when the system does not tell."""
        try:
            lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            return 0.0
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024

    def _follow(self) -> None:
        """The thread: hears the worker until it is gone."""
        try:
            self.post(*self._greet())
            self._hear()
        except Exception as error:  # noqa: BLE001 - a border: foreign code may have written to the socket
            _log.exception("%s: what its worker says cannot be followed", self._plugin.name)
            self.fault = f"worker is not understood: {describe(error)}"
            self.kill()
        finally:
            death = self._end()
            self._over(death)

    def _hear(self) -> None:
        link, output, wake = self._socket.fileno(), self._output.fileno(), self._wake
        poll = select.poll()
        poll.register(link, select.POLLIN)
        poll.register(output, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            rest = None if self._deadline is None else max(0.0, self._deadline - time.monotonic()) * 1000
            ready = poll.poll(rest)
            if not ready and self._deadline is not None:
                return
            for descriptor, event in ready:
                if descriptor == output:
                    if not self._read_output():
                        poll.unregister(output)
                    continue
                if descriptor == wake:
                    with suppress(BlockingIOError):
                        os.eventfd_read(wake)
                    poll.modify(link, select.POLLIN | select.POLLOUT)
                    continue
                if event & select.POLLOUT and self._flush():
                    poll.modify(link, select.POLLIN)
                    self._drained()
                if event & ~select.POLLOUT and not self._read_messages():
                    return

    def _flush(self) -> bool:
        with self._lock:
            with suppress(BlockingIOError, ConnectionError):
                del self._backlog[: self._socket.send(self._backlog[:_PIECE])]
            return not self._backlog

    def _read_messages(self) -> bool:
        try:
            data = self._socket.recv(_PIECE)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        for message in self._frames.feed(data):
            self._heard(message)
        return bool(data)

    def _read_output(self) -> bool:
        try:
            data = self._output.read(_PIECE)
        except OSError:
            return False
        if data is None:
            return True
        *lines, self._line = (self._line + data).split(b"\n")
        if not data or len(self._line) > MAX_LINE:
            lines, self._line = [*lines, self._line], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            self._last.append(text)
            if text:
                self._printed(text)
        return bool(data)

    def _end(self) -> Death:
        """Wait for the end of the process, and end what is left of its group."""
        end = self._deadline or time.monotonic() + LEAVE_TIME
        while not (dead := self._dead()) and time.monotonic() < end:
            time.sleep(_STEP)
        late = not dead
        # Reaped only after that: until then the group's number is no other's.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if not dead:
            end = time.monotonic() + KILL_TIME
            while not (dead := self._dead()) and time.monotonic() < end:
                time.sleep(_STEP)
        with self._lock:
            code = self._process.wait() if dead else None
        for _ in range(LAST_LINES):
            if not self._read_output():
                break
        with self._lock:
            self._socket.close()
            os.close(self._wake)
            self._wake = -1
        self._output.close()
        return Death(code, self._stood_at(), "\n".join(self._last), late)

    def _dead(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _stood_at(self) -> str:
        """The innermost line of the plugin in the stack that the process wrote when it died."""
        found = ""
        for line in self._last:
            if "most recent call first" in line:
                found = ""
            elif frame := _FRAME.match(line):
                if self._plugin.owns(frame[1]):
                    return f"{frame[1]}:{frame[2]} in {frame[3]}"
                found = found or f"{frame[1]}:{frame[2]} in {frame[3]}"
        return found
