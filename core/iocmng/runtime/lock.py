"""One host per state directory: a private directory, and a lock file that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from iocmng.errors import BootFailed

NAME = "lock"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a state directory; `url` is the admin endpoint, `started` seconds since 1970-01-01 UTC."""

    pid: int
    hostname: str
    prefix: str
    url: str = ""
    started: float = 0.0

    def __str__(self) -> str:
        where = f", admin endpoint {self.url}" if self.url else ""
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.started))
        return f"process {self.pid} on {self.hostname} (prefix {self.prefix}{where}, since {since})"


def private_directory(path: Path) -> None:
    """Make a directory that only this user can enter, or make an existing one so.

    Raises:
        BootFailed: It cannot be made, belongs to somebody else, or is no directory.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o777 != 0o700:
            path.chmod(0o700)
    except OSError as error:
        raise BootFailed(
            f"state directory {path} cannot be used: {error.strerror or error}",
            hint="name another one with --state-dir or IOCMNG_STATE_DIR",
            code="state-dir",
        ) from error


def read_holder(directory: Path) -> Holder | None:
    """Read who wrote itself into the lock file last, None when nobody readable did; it may be gone since."""
    try:
        found = json.loads((directory / NAME).read_bytes())
        return Holder(
            pid=int(found["pid"]),
            hostname=str(found["hostname"]),
            prefix=str(found["prefix"]),
            url=str(found["url"]),
            started=float(found["started"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


class StateLock:
    """The lock of one state directory; it ends with the process at the latest, however that ends."""

    def __init__(self, directory: Path, holder: Holder) -> None:
        self._path = directory / NAME
        self._holder = holder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Make the directory private and take its lock.

        Raises:
            BootFailed: Somebody holds it (the error says who), or the directory cannot be used.
        """
        private_directory(self._path.parent)
        descriptor = -1
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # The kernel forgets a lock with its process: what a dead host left in the file is no obstacle.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            who = read_holder(self._path.parent) or "a process that has not said yet who it is"
            raise BootFailed(
                f"state directory {self._path.parent} is held by {who}",
                hint="stop that host, or give this one another prefix or --state-dir",
                code="state-dir-locked",
            ) from error
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            raise BootFailed(
                f"state directory {self._path.parent} cannot be locked: {error.strerror or error}",
                hint="put it on a local file system that has flock",
                code="state-dir",
            ) from error
        self._descriptor = descriptor
        self._write(self._holder)

    def announce(self, url: str) -> None:
        """Say where the admin endpoint answers, once it is known."""
        self._holder = replace(self._holder, url=url)
        if self._descriptor is not None:
            self._write(self._holder)

    def release(self) -> None:
        """Give the lock back; again does nothing. The file stays, its content cleared."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __enter__(self) -> StateLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _write(self, holder: Holder) -> None:
        assert self._descriptor is not None
        content = json.dumps(asdict(holder)).encode()
        try:
            # In place: a renamed file would be another one than the one that is locked.
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))
        except OSError as error:
            raise BootFailed(
                f"lock file {self._path} cannot be written: {error.strerror or error}", code="state-dir"
            ) from error
