"""Bundles: one file with a lock and every wheel of it, for hosts that reach no index."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from pathlib import Path

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.installing.lock import lock_object, lock_of
from iocmng.plugins.installing.model import Lock
from iocmng.plugins.installing.store import WheelStore, sha256_of
from iocmng.statefiles import parse_object

SUFFIX = ".zip"
FORMAT = 1
_LOCK = "bundle.json"
_WHEELS = "wheels/"
_MOST_LOCK = 16 << 20
_CHUNK = 1 << 20


def is_bundle(text: str) -> bool:
    """Whether a requirement is the absolute path of a bundle."""
    return text.startswith("/") and text.endswith(SUFFIX)


def create_bundle(lock: Lock, store: WheelStore, file: Path) -> None:
    """Write a bundle of a lock; the file appears when it is whole.

    Raises:
        InstallRefused: A wheel of the store is not what was locked.
        InstallFailed: A wheel is not there, or the file cannot be written.
    """
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            content = {"format": FORMAT, "lock": lock_object(lock)}
            archive.writestr(_LOCK, json.dumps(content, indent=1, sort_keys=True))
            for one in lock.distributions:
                path = store.checked(one)
                archive.write(path, _WHEELS + path.name)
        os.replace(temporary, file)
    except OSError as problem:
        raise InstallFailed(f"{file} could not be written: {problem.strerror or problem}") from problem
    finally:
        temporary.unlink(missing_ok=True)


def read_bundle(file: Path) -> Lock:
    """The lock of a bundle, after every wheel of it was compared with its hash.

    Raises:
        NotFound: There is no such file.
        InstallRefused: It is no bundle, a wheel lacks, or one has changed.
        InstallFailed: It cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        return unpack_bundle(file, Path(folder))


def unpack_bundle(file: Path, into: Path) -> Lock:
    """Put the wheels of a bundle side by side into a folder, each compared with its hash.

    Raises:
        NotFound, InstallRefused, InstallFailed: As `read_bundle`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _unpacked(file, archive, into)
    except FileNotFoundError:
        raise NotFound(f"there is no bundle {file} on this machine") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as problem:
        raise _refused(file, f"is damaged or no bundle: {problem}") from None
    except OSError as problem:
        raise InstallFailed(f"{file} could not be unpacked: {problem.strerror or problem}") from problem


def _unpacked(file: Path, archive: zipfile.ZipFile, into: Path) -> Lock:
    names = archive.namelist()
    if _LOCK not in names or archive.getinfo(_LOCK).file_size > _MOST_LOCK:
        raise _refused(file, f"holds no {_LOCK}")
    found = parse_object(archive.read(_LOCK))
    if found.get("format") != FORMAT:
        raise _refused(file, f"is of format {found.get('format')!r}, this version reads {FORMAT}")
    lock = lock_of(found.get("lock"))
    wheels = {_WHEELS + Path(one.wheel).name: one for one in lock.distributions}
    if unknown := sorted(set(names) - wheels.keys() - {_LOCK, _WHEELS}):
        raise _refused(file, f"holds {unknown[0]!r}, which its lock does not name")
    for name, one in wheels.items():
        if names.count(name) != 1:
            raise _refused(file, f"holds {Path(name).name} {names.count(name)} times, its lock names it once")
        target = into / Path(name).name
        with archive.open(name) as stream, target.open("wb") as copy:
            while chunk := stream.read(_CHUNK):
                copy.write(chunk)
        if (sha256 := sha256_of(target)) != one.sha256:
            raise _refused(
                file, f"holds a changed {target.name}: its sha256 is {sha256}, locked is {one.sha256}"
            )
    return lock


def _refused(file: Path, problem: str) -> InstallRefused:
    return InstallRefused(
        f"{file.name} {problem}", hint="create it again: iocmng bundle create", code="bundle"
    )
