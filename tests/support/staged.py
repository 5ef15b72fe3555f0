"""Generations made by hand, in milliseconds: wheels unpacked where an installer would put their files."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from iocmng.plugins.installing.generations import Generations, python_version
from iocmng.plugins.installing.model import Generation, Lock, Locked, Root
from iocmng.version import VERSION

SITE = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def lock_of(*wheels: Path, python: str = "", base: Mapping[str, str] | None = None) -> Lock:
    """What an installer would have locked for these wheels."""
    locked = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        locked.append(Locked(name=name.replace("_", "-"), version=version, wheel=wheel.name, sha256=digest))
    return Lock(
        python=python or python_version(),
        base=base or {"iocmng": VERSION},
        roots=tuple(Root(name=one.name, requirement=one.name) for one in locked),
        distributions=tuple(locked),
    )


def staged(state_dir: Path, number: int, *wheels: Path, lock: Lock | None = None) -> Generation:
    """A generation of a state directory, with its marker."""
    folder = state_dir.resolve() / "generations" / str(number)
    site = folder / SITE
    site.mkdir(parents=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    generation = Generation(
        number=number, folder=folder, site=site, created=1000.0 + number, lock=lock or lock_of(*wheels)
    )
    Generations(state_dir).write_marker(generation)
    return generation
