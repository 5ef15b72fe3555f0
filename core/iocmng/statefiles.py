"""State files that survive crashes: written atomically, with backups for when the newest copy is broken."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")
MODE = 0o600


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What reading a state file gave.

    Attributes:
        value: The content, None when there is no file or no copy of it is usable.
        problem: What was wrong and what was done about it, or "".
    """

    value: T | None = None
    problem: str = ""


def write_atomic(path: Path, content: bytes, *, keep: int = 1) -> None:
    """Replace a file in one step, mode 0600, on disk on return; the `keep` files before it stay as backups.

    One writer per path at a time. Takes two fsyncs: call it where blocking is allowed.

    Raises:
        OSError: It could not be written; the file is as it was and no temporary is left.
    """
    temporary = _temporary(path)
    try:
        _write_synced(temporary, content)
        if keep:
            _rotate(path, keep)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def read_state(path: Path, parse: Callable[[bytes], T], *, now: float | None = None) -> Found[T]:
    """Read a state file, or its last good backup when it is broken.

    A broken copy is set aside as `<name>.corrupt-<time>`, and the backup that was used takes its place.
    A missing file is no problem and has no value, also beside backups: somebody removed it to begin anew.

    Args:
        path: The file.
        parse: Makes the value of the content; raises ValueError when it is broken.
        now: Seconds since 1970-01-01 UTC for the name of what is set aside, None for the present.
    """
    problems: list[str] = []
    for copy in _copies(path):
        try:
            content = copy.read_bytes()
        except FileNotFoundError:
            return Found()
        except OSError as error:
            problems.append(f"{copy} cannot be read: {error.strerror or error}")
            continue
        try:
            value = parse(content)
        except ValueError as error:
            problems.append(f"{copy} is corrupt ({error}), {_set_aside(copy, now)}")
            continue
        if copy != path:
            problems.append(f"{copy.name} from {_stamp(copy.stat().st_mtime)} is used instead")
            if not path.exists():
                _reinstate(path, content, problems)
        return Found(value, "; ".join(problems))
    problems.append("no good backup, beginning empty")
    return Found(None, "; ".join(problems))


def parse_object(content: bytes) -> dict[str, Any]:
    """Parse one JSON object.

    Raises:
        ValueError: It is none.
    """
    try:
        found = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"holds a JSON {type(found).__name__}, expected an object")
    return found


def backups(path: Path) -> tuple[Path, ...]:
    """The backups of a file that exist, newest first."""
    numbered = re.compile(re.escape(path.name) + r"\.bak(\d+)\Z")
    found = sorted(
        (int(match[1]), entry) for entry in path.parent.iterdir() if (match := numbered.match(entry.name))
    )
    return tuple(entry for _, entry in found)


def _copies(path: Path) -> Iterator[Path]:
    yield path
    # Listed only when the file itself is broken: there may be thousands of others beside it.
    yield from backups(path)


def _backup(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.bak{number}")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    try:
        os.fchmod(descriptor, MODE)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rotate(path: Path, keep: int) -> None:
    """Make the present file the newest backup without ever leaving its name empty."""
    spare = path.with_name(f".{path.name}.bak.tmp")
    spare.unlink(missing_ok=True)
    try:
        try:
            os.link(path, spare)
        except FileNotFoundError:
            return
        except OSError:
            # File systems without hard links.
            _write_synced(spare, path.read_bytes())
        for number in range(keep - 1, 0, -1):
            if (older := _backup(path, number)).exists():
                os.replace(older, _backup(path, number + 1))
        os.replace(spare, _backup(path, 1))
    finally:
        # Renaming onto another link of the same file does nothing and leaves both names.
        spare.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(path: Path, now: float | None) -> str:
    name = f"{path.name}.corrupt-{_stamp(time.time() if now is None else now)}"
    target = path.with_name(name)
    number = 2
    while target.exists():
        target = path.with_name(f"{name}-{number}")
        number += 1
    try:
        os.rename(path, target)
    except OSError as error:
        return f"and cannot be set aside: {error.strerror or error}"
    return f"set aside as {target.name}"


def _reinstate(path: Path, content: bytes, problems: list[str]) -> None:
    try:
        write_atomic(path, content, keep=0)
    except OSError as error:
        problems.append(f"it cannot be written back: {error.strerror or error}")


def _stamp(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
