"""The site folders of generations on the import path, and the .pth files of what is installed in them."""

from __future__ import annotations

import os
import site as python_site
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from iocmng.plugins.environment import Environment


@dataclass(frozen=True, slots=True)
class Pth:
    """A .pth file: the folders it names, and whether it also runs code."""

    file: Path
    folders: tuple[str, ...]
    runs: bool


_appended: dict[str, tuple[str, ...]] = {}
_used: set[str] = set()


def pth_files(site: Path) -> Iterator[Pth]:
    """Yield the .pth files that belong to distributions of a site folder, in the order of their names.

    Those that an environment has for itself (layers, Python's own) are not for the host.
    """
    there = sorted(name for name in os.listdir(site) if name.endswith(".pth")) if site.is_dir() else []
    if not there:
        return
    installed = Environment.read([str(site)]).installed.values()
    owned = {file for one in installed for file in one.files}
    for name in there:
        if name in owned:
            yield read_pth(site / name)


def read_pth(file: Path) -> Pth:
    """Read a .pth file as `site` does; one that cannot be read says nothing."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        lines = []
    said = [line.rstrip() for line in lines if line.strip() and not line.startswith("#")]
    code = [line for line in said if line.startswith(("import ", "import\t"))]
    places = (os.path.abspath(file.parent / line) for line in said if line not in code)
    return Pth(file, tuple(place for place in places if os.path.exists(place)), bool(code))


def import_folders(site: Path | None) -> tuple[str, ...]:
    """What a site folder puts on the import path: itself first, then what its .pth files name."""
    if site is None:
        return ()
    more = (folder for pth in pth_files(site) for folder in pth.folders)
    return tuple(dict.fromkeys([str(site), *more]))


def run_pth(site: Path, *, unlike: Path | None = None) -> None:
    """Run the code of .pth files, as `site` does at the start of Python.

    Args:
        site: The site folder.
        unlike: Not of those that are the same in this folder, whose code has run already.
    """
    for pth in pth_files(site):
        twin = unlike / pth.file.name if unlike else None
        if pth.runs and not (twin and twin.is_file() and twin.read_bytes() == pth.file.read_bytes()):
            python_site.addpackage(str(site), pth.file.name, {os.path.normcase(one) for one in sys.path})


def append_site(site: Path) -> None:
    """Put a generation's site folder on `sys.path`, after all that is there, with what its .pth files say."""
    added = [folder for folder in import_folders(site) if folder not in sys.path]
    sys.path.extend(added)
    note_site(site, tuple(added))
    run_pth(site)


def note_site(site: Path, added: tuple[str, ...] | None) -> None:
    """Remember what is on `sys.path` because of a site folder; None: nothing any more."""
    _appended.pop(str(site), None)
    if added is not None:
        _used.add(os.path.realpath(site))
        _appended[str(site)] = added


def added_by(site: Path | None) -> tuple[str, ...]:
    """What is on `sys.path` because of a site folder."""
    return () if site is None else _appended.get(str(site)) or import_folders(site)


def sites() -> tuple[Path, ...]:
    """The site folders of generations that are on `sys.path` now."""
    return tuple(Path(site) for site in _appended)


def used_sites() -> Collection[str]:
    """The site folders that this process has imported from so far, as real paths.

    What did not change since is still loaded from an earlier one.
    """
    return _used


def base_path() -> list[str]:
    """The import path without what generations put there."""
    theirs = {folder for added in _appended.values() for folder in added}
    return [entry for entry in sys.path if entry not in theirs]
