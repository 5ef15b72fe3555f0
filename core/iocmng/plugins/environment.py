"""The installed distributions: read one at a time, a broken one costs the others nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse

from importlib_metadata import Distribution, EntryPoint, distributions

# Setuptools puts its own copies of libraries on the path of a process that imports it, which EPICS' packages do.
_PRIVATE = "_vendor"
_REQUIRED = re.compile(r"^Requires-Dist:\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
_NAME = re.compile(r"^Name:\s*(\S+)", re.MULTILINE)
_VERSION = re.compile(r"^Version:\s*(\S+)", re.MULTILINE)


def canonical(name: str) -> str:
    """The one spelling of a distribution's name: lower case, words joined by single dashes."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, eq=False)
class Installed:
    """One installed distribution as its metadata on disk describe it; nothing of it is imported.

    Attributes:
        source: The distribution as importlib_metadata found it.
        folder: The folder of the import path that it was found in.
        head: The text of METADATA before the description.
    """

    source: Distribution
    folder: str
    head: str

    @cached_property
    def name(self) -> str:
        """Its name as written, "" when the metadata do not say."""
        found = _NAME.search(self.head)
        return found[1] if found else ""

    @cached_property
    def version(self) -> str:
        """Its version, "" when the metadata do not say."""
        found = _VERSION.search(self.head)
        return found[1] if found else ""

    @cached_property
    def requires(self) -> tuple[str, ...]:
        """Canonical names of the distributions it asks for, extras included."""
        return tuple(sorted({canonical(name) for name in _REQUIRED.findall(self.head)}))

    @cached_property
    def project(self) -> str:
        """The folder an editable installation points at, "" for any other."""
        try:
            origin = json.loads(self.source.read_text("direct_url.json") or "{}")
            if origin.get("dir_info", {}).get("editable"):
                return unquote(urlparse(origin["url"]).path)
        except (ValueError, AttributeError, KeyError, OSError):
            return ""
        return self.folder if self._develop else ""

    @property
    def _develop(self) -> bool:
        return not self.record and self.source.read_text("PKG-INFO") is not None

    @cached_property
    def record(self) -> str:
        """The text of RECORD, "" when there is none."""
        return self.source.read_text("RECORD") or ""

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The files of its records as they stand there, relative to its folder."""
        return tuple(row[0] for row in csv.reader(self.record.splitlines()) if row and row[0])

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """Folders its modules are imported from: its own, and those its .pth files name."""
        roots = [self.folder]
        for line in self.record.splitlines():
            name = line.partition(",")[0]
            if name.endswith(".pth") and "/" not in name:
                roots.extend(_pth_folders(Path(self.folder) / name))
        return tuple(dict.fromkeys(root for root in roots if root))

    def points(self, group: str) -> Iterator[tuple[str, EntryPoint | str]]:
        """Yield the entry points of a group as (name, point), or (name, complaint) for an unreadable one."""
        try:
            text = self.source.read_text("entry_points.txt") or ""
        except (OSError, ValueError) as problem:
            yield "", f"entry_points.txt of {self.name} cannot be read: {problem}"
            return
        section = ""
        for raw in text.splitlines():
            line = raw.strip()
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1].strip()
            elif section == group and line and line[0] not in "#;":
                name, separator, value = (part.strip() for part in line.partition("="))
                if not separator or not value:
                    yield name, f"entry_points.txt of {self.name}: {line!r} is not 'name = module:attribute'"
                    continue
                try:
                    point = EntryPoint(name, value, group)
                    _ = point.module
                except (ValueError, AttributeError) as problem:
                    yield name, f"entry point {line!r} of {self.name} is no 'module:attribute': {problem}"
                else:
                    yield name, point


def _pth_folders(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    said = (line.strip() for line in lines if line.strip() and not line.startswith(("import ", "#")))
    return [os.path.abspath(path.parent / line) for line in said]


@dataclass(frozen=True, eq=False)
class Environment:
    """The distributions on an import path; of equal names the first one counts, as it does for import.

    Attributes:
        installed: The distributions by canonical name.
        complaints: What could not be read.
        only: The distributions whose plugins are asked for, None for all.
    """

    installed: Mapping[str, Installed]
    complaints: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    _hashes: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Sequence[str] | None = None) -> Environment:
        """Read an import path (default: this interpreter's); never raises."""
        installed: dict[str, Installed] = {}
        complaints: list[str] = []
        for entry in dict.fromkeys(sys.path if path is None else path):
            if os.path.basename(entry) == _PRIVATE:
                continue
            for found in _found_in(entry, complaints):
                installed.setdefault(canonical(found.name), found)
        return cls(installed, tuple(complaints))

    def plus(self, path: Sequence[str]) -> Environment:
        """This environment with the distributions of further folders, which come first."""
        more = Environment.read(path)
        return Environment({**self.installed, **more.installed}, self.complaints + more.complaints)

    def fingerprint(self, distribution: Installed) -> str | None:
        """A hash of all that a verdict on this distribution hangs on, None when files may change unnoticed.

        That is its file records, name and version of all it requires, Python, and this package's own files.
        """
        if distribution.project or not distribution.record:
            return None
        key = canonical(distribution.name)
        if key not in self._hashes:
            digest = hashlib.sha256(f"{platform.python_version()} {_host_files()}\n".encode())
            digest.update(distribution.record.encode())
            for name in sorted(self.needed(distribution)):
                needed = self.installed.get(name)
                digest.update(f"{name} {needed.version if needed else None}\n".encode())
            self._hashes[key] = digest.hexdigest()
        return self._hashes[key]

    def needed(self, distribution: Installed) -> set[str]:
        """Canonical names of all that a distribution stands on, extras included."""
        needed: set[str] = set()
        queue = list(distribution.requires)
        while queue:
            name = queue.pop()
            if name not in needed:
                needed.add(name)
                if found := self.installed.get(name):
                    queue.extend(found.requires)
        return needed


@cache
def _host_files() -> str:
    """The state of this package's own files: after an upgrade or edit old verdicts count no more."""
    home = Path(__file__).parents[1]
    stats = [(str(file.relative_to(home)), file.stat()) for file in sorted(home.rglob("*.py"))]
    state = "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in stats)
    return hashlib.sha256(state.encode()).hexdigest()


def _found_in(entry: str, complaints: list[str]) -> Iterator[Installed]:
    try:
        # Folders are listed in any order: of two versions in one folder always the same has to be first.
        sources = sorted(distributions(path=[entry]), key=lambda source: str(getattr(source, "_path", "")))
    except Exception as problem:  # noqa: BLE001 - a border: finders on sys.meta_path are foreign code
        complaints.append(f"{entry or '.'}: {type(problem).__name__}: {problem}")
        return
    for source in sources:
        try:
            found = _installed(source, entry)
        except Exception as problem:  # noqa: BLE001 - a border: any kind of broken metadata must not stop the listing
            complaints.append(f"{getattr(source, '_path', source)}: {type(problem).__name__}: {problem}")
            continue
        if found.name:
            yield found
        else:
            complaints.append(f"{getattr(source, '_path', source)}: the metadata do not say a name")


def _installed(source: object, entry: str) -> Installed:
    if not isinstance(source, Distribution):
        raise TypeError(f"{source!r} is no importlib_metadata.Distribution")
    text = source.read_text("METADATA") or source.read_text("PKG-INFO") or ""
    return Installed(source, entry, text.replace("\r\n", "\n").partition("\n\n")[0] + "\n")
