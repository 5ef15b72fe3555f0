"""What systemd hears of the host: that it is ready, how it is, that it lives, that it stops."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from iocmng.lifecycle import HostState
from iocmng.names import HOST_SEGMENT, pv_name
from iocmng.runtime.ports import RecordPort
from iocmng.values import Reading

_log = logging.getLogger("iocmng.host")

PERIOD = 1.0
STALE = 6.0
"""Seconds in which each part has to advance: three periods of the slowest, the scan of HOST:ALIVE."""
LATE = 2.0
"""Seconds between two beats beyond which the beat itself was held up, and all parts with it."""

PATIENCE = 1.0
"""Seconds in which systemd has to take what is said once only."""

START = 600.0
"""Seconds in which systemd waits for a new process of the host before it takes it for dead."""

Sign = Callable[[], object]
"""Gives something that differs from one look to the next as long as a part of the host advances; any thread."""


class Turns:
    """The sign of what works calls off: how often it has come to ours.

    Args:
        post: Queues a call; any thread.
    """

    def __init__(self, post: Callable[[Callable[[], None]], object]) -> None:
        self._post = post
        self._taken = 0
        self._waiting = False

    def __call__(self) -> int:
        """How many; asks for the next one unless one still waits."""
        if not self._waiting:
            self._waiting = True
            self._post(self._turn)
        return self._taken

    def _turn(self) -> None:
        self._taken += 1
        self._waiting = False


@dataclass(eq=False, slots=True)
class _Part:
    name: str
    sign: Sign
    since: float
    last: object = None


class Notifier:
    """Sends datagrams to the socket that systemd names; without one it does nothing. Used on one thread at a time.

    Args:
        address: A path, or `@name` for an abstract socket; "" for none.
        watchdog: Whether systemd waits for WATCHDOG.
        usec: How long it waits, microseconds, as it said itself.
    """

    def __init__(self, address: str = "", *, watchdog: bool = False, usec: str = "") -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._usec = usec if watchdog else ""
        self._parts: list[_Part] = []
        self._beaten: float | None = None
        self._status = ""
        self._troubled = False
        self._unheard = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say."""
        mine = environ.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        usec = environ.get("WATCHDOG_USEC", "")
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog=bool(usec) and mine, usec=usec)

    @property
    def listens(self) -> bool:
        """Whether anybody does."""
        return bool(self._address)

    def watch(self, name: str, sign: Sign) -> None:
        """Let WATCHDOG depend on one more part."""
        self._parts.append(_Part(name, sign, 0.0))

    def ready(self, status: str) -> None:
        """The host serves."""
        # What a process before this one asked for while it was replaced is over.
        self._tell("READY=1", status, *([f"WATCHDOG_USEC={self._usec}"] if self._usec else []))

    def stopping(self, status: str) -> None:
        """The host stops."""
        self._tell("STOPPING=1", status)

    def restarting(self, status: str) -> None:
        """The process is about to be replaced by a new one, which will say that it is ready; nobody is to end it."""
        more = [f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"]
        if self._usec:
            more.append(f"WATCHDOG_USEC={int(START * 1e6)}")
        self._tell("RELOADING=1", status, *more)

    def _tell(self, what: str, status: str, *more: str) -> None:
        if self._send(what, f"STATUS={_line(status)}", *more, patience=PATIENCE):
            self._status = status

    def beat(self, now: float, status: str) -> None:
        """Once a second: WATCHDOG when every part has advanced lately, and STATUS when it is another than before.

        Args:
            now: Monotonic time, seconds.
            status: How the host is, in one line.
        """
        if not self._address:
            return
        held_up = 0.0 if self._beaten is None or now - self._beaten < LATE else now - self._beaten
        first, self._beaten = self._beaten is None, now
        stuck = [told for part in self._parts if (told := _look(part, now, held_up, first))]
        self._complain(stuck)
        lines = []
        said = f"{'; '.join(stuck)}: WATCHDOG is withheld" if stuck and self._watchdog else status
        if said != self._status:
            lines.append(f"STATUS={_line(said)}")
        if self._watchdog and not stuck:
            lines.append("WATCHDOG=1")
        # systemd reads late when the machine is busy; a beat does not wait for it.
        if lines and self._send(*lines, patience=0.0):
            self._status = said

    def _complain(self, stuck: list[str]) -> None:
        if bool(stuck) is self._troubled:
            return
        self._troubled = bool(stuck)
        if stuck and self._watchdog:
            _log.error("%s: systemd hears no WATCHDOG, and will end the host", "; ".join(stuck))
        elif self._watchdog:
            _log.info("all parts advance again: systemd hears WATCHDOG")

    def _send(self, *lines: str, patience: float) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(patience)
                sending.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._unheard:
                _log.error("systemd cannot be told (%s): %s", lines[0], error)
            self._unheard = True
            return False
        self._unheard = False
        return True


def _look(part: _Part, now: float, held_up: float, first: bool) -> str:
    """What to say of a part that has not advanced lately, or ""."""
    value = part.sign()
    if first or value != part.last:
        part.last, part.since = value, now
    part.since += held_up if part.since != now else 0.0
    idle = now - part.since
    return f"{part.name} has not advanced for {idle:.0f} s" if idle > STALE else ""


def _line(text: str) -> str:
    return " ".join(text.split())


class ToldToSystemd:
    """Keeps systemd up to date while the block lasts, from a thread of its own; without systemd there is none.

    WATCHDOG depends on the event loop, on HOST:BEAT, which the watchdog moves as long as the supervision answers, and
    on the scan of HOST:ALIVE, which is EPICS' own. A block of Python's lock stops the thread, and so the datagrams.

    Args:
        environ: Where systemd says whom to tell.
        records: Those of the host, served.
        prefix: The host's.
        period: Seconds between two beats.

    Attributes:
        reason: Why the host stops, told at the end.
        again: Whether a new process follows in its place.
    """

    def __init__(
        self, environ: Mapping[str, str], records: RecordPort, prefix: str, *, period: float = PERIOD
    ) -> None:
        self._notifier = Notifier.of(environ)
        self._records = records
        self._prefix = prefix
        self._period = period
        self.reason = "stopping"
        self.again = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="iocmng-systemd", daemon=True)

    def __enter__(self) -> Self:
        if self._notifier.listens:
            loop = asyncio.get_running_loop()
            self._notifier.watch("the event loop", Turns(loop.call_soon_threadsafe))
            self._notifier.watch("the supervision", lambda: self._read("BEAT").value)
            self._notifier.watch("the scan of EPICS", lambda: self._read("ALIVE").timestamp)
            self._notifier.ready(self._status())
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.again:
            self._notifier.restarting("restarting")
        else:
            self._notifier.stopping(self.reason)

    def _beat(self) -> None:
        while not self._over.wait(self._period):
            self._notifier.beat(time.monotonic(), self._status())

    def _status(self) -> str:
        counts = {
            name: int(self._read(name).value or 0) for name in ("INSTANCES", "RUNNING", "FAILED", "DEGRADED")
        }
        told = [f"{counts['INSTANCES']} instances", f"{counts['RUNNING']} running"]
        told += [f"{counts[name]} {name.lower()}" for name in ("FAILED", "DEGRADED") if counts[name]]
        return f"{HostState(int(self._read('STATE').value or 0)).name}: {', '.join(told)}"

    def _read(self, name: str) -> Reading:
        return self._records.record(pv_name(self._prefix, HOST_SEGMENT, name)).read()
