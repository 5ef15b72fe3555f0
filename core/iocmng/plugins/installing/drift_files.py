"""Files of an environment against the records of its distributions and against its lock."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

from iocmng.plugins.environment import Environment, Installed
from iocmng.plugins.installing.model import Lock

_CACHE = "__pycache__"
_OURS = frozenset({"zz_iocmng_base.pth"})


def altered(site: Path, lock: Lock) -> Iterator[str]:
    """Say what in an environment is not as its lock and its records have it, one line for each.

    Args:
        site: The folder for packages.
        lock: What should be in it.
    """
    environment = Environment.read([str(site)])
    yield from environment.complaints
    known: set[str] = set()
    for one in lock.distributions:
        found = environment.installed.get(one.name)
        if found is None:
            yield f"{one.name} {one.version} is not there"
        elif found.version != one.version:
            yield f"{one.name} is {found.version}, locked is {one.version}"
        if found is not None:
            yield from _changed(found, site, known)
    for name, extra in environment.installed.items():
        if lock.locked(name) is None:
            yield f"{name} {extra.version} is there, and is not locked"
            known.update(_recorded(extra, site))
    for file in _extra(site, known):
        yield f"{file} belongs to no distribution"


def _changed(found: Installed, site: Path, known: set[str]) -> Iterator[str]:
    title = f"{found.name} {found.version}"
    if not found.record:
        yield f"{title} has no RECORD"
    for file, stated in _recorded(found, site).items():
        known.add(file)
        kind, _, digest = stated.partition("=")
        try:
            content = Path(file).read_bytes()
        except OSError as problem:
            yield f"{os.path.relpath(file, site)} of {title}: {problem.strerror or problem}"
            continue
        found_digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        if kind == "sha256" and digest != found_digest:
            yield f"{os.path.relpath(file, site)} of {title} has changed"


def _recorded(found: Installed, site: Path) -> dict[str, str]:
    rows = csv.reader(io.StringIO(found.record))
    return {os.path.normpath(site / row[0]): row[1] for row in rows if len(row) >= 2}


def _extra(site: Path, known: set[str]) -> Iterator[str]:
    for folder, folders, files in os.walk(site):
        folders[:] = sorted(name for name in folders if name != _CACHE)
        for name in sorted(files):
            path = os.path.join(folder, name)
            if path not in known and not (folder == str(site) and name in _OURS):
                yield os.path.relpath(path, site)
