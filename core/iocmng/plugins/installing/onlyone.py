"""One installation at a time in a state directory, also between processes."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from iocmng.errors import InstallFailed, InstallRefused

FILE = "install.lock"
_held: ContextVar[tuple[int, ...]] = ContextVar("held", default=())


def shared_with_children() -> tuple[int, ...]:
    """Descriptors that programs of this operation inherit: its right ends with the last of them.

    So nobody installs, and nothing is removed at boot, while a program goes on whose host was killed.
    """
    return _held.get()


@contextmanager
def only_one(state_dir: Path, what: str) -> Iterator[None]:
    """Hold the right to install in a state directory; it ends with the process at the latest.

    Args:
        state_dir: The state directory; it is made when it is not there.
        what: What is being done, for those who are refused meanwhile.

    Raises:
        InstallRefused: Somebody else holds it.
        InstallFailed: The directory cannot be written.
    """
    descriptor = -1
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _holder(os.pread(descriptor, 200, 0).decode(errors="replace").strip())
        os.close(descriptor)
        raise InstallRefused(
            f"{what} has to wait: {holder} is at work in {state_dir}",
            hint="one installation at a time; try again when it has ended",
            code="install-busy",
        ) from error
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise InstallFailed(
            f"{state_dir} cannot be used for installing: {error.strerror or error}",
            hint="make room, or give the state directory back its permissions",
        ) from error
    token = _held.set((*_held.get(), descriptor))
    try:
        _say(descriptor, f"{what} of process {os.getpid()}")
        yield
    finally:
        _held.reset(token)
        _say(descriptor, "")
        # Not only closed: what a program has left running in the background keeps nobody waiting.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _holder(said: str) -> str:
    process = re.search(r" of process (\d+)$", said)
    if process and not Path("/proc", process[1]).exists():
        return f"a program that {said} has left behind"
    return said or "another process"


def _say(descriptor: int, text: str) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
    except OSError:
        # On a full disk the lock still holds, it only does not say whose it is.
        return
