"""Locks as JSON: read strictly, written atomically, with the last good one used for a damaged one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.version import InvalidVersion, Version

from iocmng.errors import InstallFailed
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.model import Lock, Locked, Origin, Root
from iocmng.statefiles import Found, parse_object, read_state, write_atomic
from iocmng.wire import from_plain, to_plain

FILE = "plugins.lock"
FORMAT = 1
_KEPT = 3
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PYTHON = re.compile(r"\d+\.\d+")


def read_lock(state_dir: Path) -> Found[Lock]:
    """What should be installed; a damaged file is set aside and the last good one taken. Never raises."""
    try:
        return read_state(state_dir / FILE, parse_lock)
    except OSError as error:
        return Found(None, f"{state_dir / FILE} cannot be read: {error.strerror or error}")


def write_lock(state_dir: Path, lock: Lock) -> None:
    """Write what should be installed; on disk on return.

    Raises:
        InstallFailed: It could not be written; the file is as it was.
    """
    try:
        write_atomic(state_dir / FILE, format_lock(lock), keep=_KEPT)
    except OSError as error:
        raise InstallFailed(
            f"{state_dir / FILE} could not be written: {error.strerror or error}",
            hint="make room or give the state directory back its permissions",
        ) from error


def format_lock(lock: Lock) -> bytes:
    """A lock as readable JSON."""
    return (json.dumps({"format": FORMAT, **lock_object(lock)}, indent=1, sort_keys=True) + "\n").encode()


def lock_object(lock: Lock) -> dict[str, Any]:
    """A lock as an object for JSON."""
    plain: dict[str, Any] = to_plain(lock)
    return plain


def parse_lock(content: bytes) -> Lock:
    """Read a lock.

    Raises:
        ValueError: It is no lock, or not one of this version.
    """
    found = parse_object(content)
    if found.get("format") != FORMAT:
        raise ValueError(f"format {found.get('format')!r}, this version reads {FORMAT}")
    return lock_of(found)


def lock_of(found: Any) -> Lock:
    """Build a lock from its JSON object, looking at every word of it.

    Raises:
        ValueError: Something is missing, of a wrong type, or points outside of the wheel store.
    """
    try:
        return _checked(from_plain(Lock, found))
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"is no lock: {error}") from error


def _checked(lock: Lock) -> Lock:
    _text(lock.python, "python")
    if not _PYTHON.fullmatch(lock.python):
        raise ValueError(f"python {lock.python!r} is no version such as 3.11")
    if not isinstance(lock.base, Mapping):
        raise ValueError("base is no mapping")
    for name, version in lock.base.items():
        _text(version, f"base version of {name}")
    for root in lock.roots:
        _root(root)
    for one in lock.distributions:
        _locked(one)
    names = [one.name for one in lock.distributions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"distributions stand twice: {', '.join(twice)}")
    return lock


def safe_wheel(name: str) -> bool:
    """Whether this is `FOLDER/FILE.whl` or `FILE.whl` inside of the wheel store and nothing else."""
    path = PurePosixPath(name)
    plain = not path.is_absolute() and ".." not in path.parts and str(path) == name
    return plain and 1 <= len(path.parts) <= 2 and "\\" not in name and name.endswith(".whl")


def _root(root: Root) -> None:
    _name(root.name)
    for word, value in (("requirement", root.requirement), ("plugin", root.plugin)):
        _text(value, f"{word} of {root.name}")
    if not isinstance(root.instance, Mapping):
        raise ValueError(f"instance of {root.name} is no mapping")
    _origin(root.origin, root.name)


def _locked(one: Locked) -> None:
    _name(one.name)
    for word, value in (("version", one.version), ("wheel", one.wheel), ("sha256", one.sha256)):
        _text(value, f"{word} of {one.name}")
    try:
        Version(one.version)
    except InvalidVersion as error:
        raise ValueError(f"version {one.version!r} of {one.name} is none") from error
    if not safe_wheel(one.wheel):
        raise ValueError(f"wheel {one.wheel!r} of {one.name} is no place in the wheel store")
    if not _SHA256.fullmatch(one.sha256):
        raise ValueError(f"sha256 of {one.name} is no hash: {one.sha256!r}")
    _origin(one.origin, one.name)


def _origin(origin: Origin, name: str) -> None:
    for word in ("address", "path", "branch", "content"):
        _text(getattr(origin, word), f"{word} in the origin of {name}")


def _name(name: object) -> None:
    _text(name, "name")
    if name != canonical(str(name)) or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", str(name)):
        raise ValueError(f"{name!r} is no canonical name of a distribution")


def _text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r}, expected text")
