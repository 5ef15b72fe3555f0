"""A host replaces its process by a new one of itself: same pid, command, environment and folder, nothing else kept."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from iocmng.runtime.script.process import DEAD, process_ids, stat_of

HANDED_OVER = "IOCMNG_HANDED_OVER"
"""Variable that names the listening socket's descriptor to the new process, which takes it out of its environment."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Those that end a host: one that comes while nobody can take it waits for the new process."""

GRACE = 1.0
"""Seconds that what this process has started has to end, before it is killed."""

_STEP = 0.01
_FIRST = 3
_log = logging.getLogger("iocmng.host")

_File = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Start:
    """How this process was started; to be taken before any library can change it.

    Attributes:
        program: The interpreter.
        arguments: Its words, without the program itself.
        environ: The environment, secrets too.
        folder: The working directory, "" when it is gone.
        inherited: Open files that came from whoever started the process.
        listening: The socket that the process before this one handed over, None for none.
    """

    program: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    folder: str
    inherited: Mapping[int, _File]
    listening: socket.socket | None = None

    @classmethod
    def here(cls) -> Self:
        """Of this process; call it first, and once."""
        listening = _handed_over(os.environ.pop(HANDED_OVER, ""))
        try:
            folder = os.getcwd()
        except OSError:
            folder = ""
        inherited = {number: file for number, file in _open_files() if _inheritable(number)}
        words = tuple(sys.orig_argv[1:])
        return cls(sys.executable, words, dict(os.environ), folder, inherited, listening)


def exec_again(start: Start, listening: socket.socket | None = None) -> None:
    """Replace this process by a new one as this one was at its start. Returns only when that cannot be done.

    To be called on the main thread when everything is saved and closed. All other threads end here.

    Args:
        start: How this process was started.
        listening: A socket that goes on listening: who connects meanwhile waits for the new process.
    """
    end_children()
    environ = dict(start.environ)
    if listening is not None:
        listening.set_inheritable(True)
        environ[HANDED_OVER] = str(listening.fileno())
    _keep_to_ourselves(start, listening)
    if start.folder:
        with suppress(OSError):
            os.chdir(start.folder)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        os.execve(start.program, [start.program, *start.arguments], environ)
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        print(f"iocmng run: {start.program} cannot be started again: {error.strerror}", file=sys.stderr)


def end_children(grace: float = GRACE) -> None:
    """End processes that this one has started and that still run: after exec nobody would know them.

    Args:
        grace: Seconds between TERM and KILL.
    """
    left = set(_children())
    if not left:
        return
    _log.warning("processes %s still run and are ended", ", ".join(map(str, sorted(left))))
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        for pid in left:
            # Only its parent, which is this process, can free a child's number.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        end = time.monotonic() + patience
        while left and time.monotonic() < end:
            left = {pid for pid in left if not _ended(pid)}
            if left:
                time.sleep(_STEP)
        if not left:
            return


def _children() -> Iterator[int]:
    """Children that run; those that have ended are reaped."""
    own = os.getpid()
    for pid in process_ids():
        stat = stat_of(pid)
        if stat is None or stat.parent != own:
            continue
        if stat.state in DEAD:
            _ended(pid)
        else:
            yield pid


def _ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _handed_over(told: str) -> socket.socket | None:
    """The socket of that descriptor, when it is one that listens."""
    if not told.isdigit():
        return None
    try:
        os.set_inheritable(int(told), False)
        found = socket.socket(fileno=int(told))
    except OSError:
        return None
    if found.type != socket.SOCK_STREAM or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        found.detach()
        return None
    found.setblocking(False)
    return found


def _open_files() -> Iterator[tuple[int, _File]]:
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):
            stat = os.fstat(int(name))
            yield int(name), (stat.st_dev, stat.st_ino)


def _inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


def _keep_to_ourselves(start: Start, listening: socket.socket | None) -> None:
    """Let no file cross but those that this process was given and the one that is handed over.

    Python's own never do; what libraries in C open may.
    """
    handed = -1 if listening is None else listening.fileno()
    for number, file in list(_open_files()):
        if number >= _FIRST and number != handed and start.inherited.get(number) != file:
            with suppress(OSError):
                os.set_inheritable(number, False)
