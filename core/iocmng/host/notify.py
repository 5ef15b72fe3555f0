"""What systemd hears of the host: that it is ready, how it is, that it lives, that it stops."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

_log = logging.getLogger("iocmng.host")

STALE = 6.0
"""Seconds in which each part has to advance: three periods of the slowest, the scan of HOST:ALIVE."""
LATE = 2.0
"""Seconds between two beats beyond which the beat itself was held up, and all parts with it."""

PATIENCE = 1.0
"""Seconds in which systemd has to take what is said once only."""

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
    """

    def __init__(self, address: str = "", *, watchdog: bool = False) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._parts: list[_Part] = []
        self._beaten: float | None = None
        self._status = ""
        self._troubled = False
        self._unheard = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say."""
        mine = environ.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog=bool(environ.get("WATCHDOG_USEC")) and mine)

    def watch(self, name: str, sign: Sign) -> None:
        """Let WATCHDOG depend on one more part."""
        self._parts.append(_Part(name, sign, 0.0))

    def ready(self, status: str) -> None:
        """The host serves."""
        self._tell("READY=1", status)

    def stopping(self, status: str) -> None:
        """The host stops."""
        self._tell("STOPPING=1", status)

    def _tell(self, what: str, status: str) -> None:
        if self._send(what, f"STATUS={_line(status)}", patience=PATIENCE):
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
