"""Where a module's file lies, found by path: no package on the way is executed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

SUFFIXES = (".py", *EXTENSION_SUFFIXES, ".pyc")
CONFIG_NAMES = ("config.yaml", "config.yml", "config.json")


@dataclass(frozen=True, slots=True)
class Location:
    """A module on disk: its `file` ("" for a folder without `__init__`) and the `folder` of its config."""

    file: str
    folder: str


def locate(module: str, roots: Iterable[str], *, importable: bool = True) -> Location | None:
    """Find a module without importing it or its parents.

    Args:
        module: Dotted name.
        roots: Folders to look in.
        importable: Ask this interpreter's import machinery for the first part before looking in `roots`.
    """
    first, *rest = module.split(".")
    bases = _importable(first) if importable else []
    location: Location | None = None
    for base in [*bases, *(_in_folder(first, root) for root in roots)]:
        location = base
        for part in rest:
            location = _in_folder(part, location.folder) if location and _is_package(location) else None
        if location:
            return location
    return None


def _is_package(location: Location) -> bool:
    return not location.file or Path(location.file).name.startswith("__init__.")


def _in_folder(part: str, folder: str) -> Location | None:
    package = Path(folder) / part
    for suffix in SUFFIXES:
        if (file := package / f"__init__{suffix}").is_file():
            return Location(str(file), str(package))
    for suffix in SUFFIXES:
        if (file := Path(folder) / f"{part}{suffix}").is_file():
            return Location(str(file), folder)
    return Location("", str(package)) if package.is_dir() else None


def _importable(name: str) -> list[Location | None]:
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, None)
        except Exception:  # noqa: BLE001, S112 - a border: a foreign finder that fails found nothing
            continue
        if spec is None:
            continue
        folders = list(spec.submodule_search_locations or ())
        if spec.origin and spec.has_location:
            return [Location(spec.origin, str(Path(spec.origin).parent))]
        return [Location("", folder) for folder in folders]
    return []


def config_beside(location: Location, module: str, plugin: str) -> str:
    """The first of `<module>.config.yaml`, `<plugin>.yaml`, `config.yaml`, `.yml`, `.json`; or ""."""
    names = (f"{module.rpartition('.')[2]}.config.yaml", f"{plugin}.yaml", *CONFIG_NAMES)
    folder = Path(location.folder)
    return next((str(folder / name) for name in names if (folder / name).is_file()), "")
