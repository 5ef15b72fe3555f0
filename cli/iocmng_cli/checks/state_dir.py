"""Whether the state directory can be used, and who holds it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from iocmng.wire import Finding, Level

LOW_SPACE = 200 * 2**20


def check_state_dir(path: Path) -> Iterator[Finding]:
    """Look at the state directory of the host that would be started from here."""
    if not path.exists():
        parent = next(folder for folder in path.parents if folder.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding(Level.NOTE, "state-dir", f"{path} will be made at the first start")
        else:
            yield _unusable(path, f"cannot be made: {parent} is not writable for this user")
        return
    if not path.is_dir():
        yield _unusable(path, "is no directory")
        return
    status = path.stat()
    if status.st_uid != os.geteuid():
        yield _unusable(path, f"belongs to user {status.st_uid}, this is user {os.geteuid()}")
    elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield _unusable(path, "cannot be read and written by this user")
    elif stat.S_IMODE(status.st_mode) & 0o077:
        mode = oct(stat.S_IMODE(status.st_mode))[2:]
        yield Finding(
            Level.WARNING,
            "state-dir",
            f"{path} has mode {mode}: others may enter it, and it holds the access token",
            hint=f"chmod 700 {path}; the next start of the host does it too",
        )
    else:
        yield Finding(Level.NOTE, "state-dir", f"{path} is private and writable")
    yield from _space(path)
    yield from _holder(path)
    yield from _leftovers(path)


def _unusable(path: Path, why: str) -> Finding:
    return Finding(
        Level.ERROR,
        "state-dir",
        f"{path} {why}",
        hint="name another one with --state-dir or IOCMNG_STATE_DIR",
    )


def _space(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    if free < LOW_SPACE:
        yield Finding(
            Level.WARNING,
            "state-dir",
            f"{path}: {free // 2**20} MiB are free; without any, logs and run records are lost",
            hint="make room there",
        )


def _holder(path: Path) -> Iterator[Finding]:
    from iocmng.runtime.lock import read_holder

    holder = read_holder(path)
    if holder is None:
        return
    if holder.hostname != socket.gethostname():
        yield Finding(
            Level.WARNING,
            "lock",
            f"{path} was last locked by {holder}; locks do not reach across machines",
            hint="give each machine its own state directory",
        )
    elif _alive(holder.pid):
        yield Finding(Level.NOTE, "lock", f"{path} is held by {holder}")
    else:
        yield Finding(
            Level.WARNING,
            "lock",
            f"{path}: {holder} ended without releasing its lock, it crashed or was killed",
            hint="nothing to remove, the next start takes it over; the host's log may name the cause",
        )


def _leftovers(path: Path) -> Iterator[Finding]:
    aside = sorted(entry.name for entry in path.rglob("*.corrupt-*"))
    if aside:
        yield Finding(
            Level.WARNING,
            "state-dir",
            f"{path}: {len(aside)} corrupt state files were set aside, the last is {aside[-1]}",
            hint="compare with the file in use, then remove them",
        )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
