"""Modules and files of a wheel that the base or Python itself has too: import would find only one of them."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from iocmng.errors import InstallRefused
from iocmng.plugins.installing.base import Base
from iocmng.plugins.installing.layout import SITE, Layout, Module, clashes


def refuse_clashes(layouts: dict[str, Layout], base: Base) -> None:
    """Look at everything that is to lie in one generation.

    Raises:
        InstallRefused: Two distributions, or one and the base, bring the same file or module; names both.
    """
    found = [
        f"{layouts[one].title} and {layouts[other].title} both bring {what}"
        for one, other, what in clashes(layouts)
    ]
    for layout in layouts.values():
        found += [f"{owner} and {layout.title} both bring {what}" for owner, what in shadowed(layout, base)]
    if found:
        raise InstallRefused(
            "; ".join(dict.fromkeys(found[:5])),
            hint="import would find only one of them; install the other one into a host of its own",
            code="clash",
        )


def shadowed(layout: Layout, base: Base) -> Iterator[tuple[str, str]]:
    """What of a wheel the base has too: (its owner, the module or file)."""
    for module in layout.modules:
        if module[0] in sys.stdlib_module_names:
            yield f"Python {sys.version_info.major}.{sys.version_info.minor}", module[0]
            continue
        for folder in base.folders:
            if place := _module_in(Path(folder), module):
                yield _owner_of(base, folder, place), ".".join(module)
                break
            if owner := _hidden_in(base, folder, module):
                yield owner, ".".join(module)
                break
    inside = {module[0] for module in layout.modules}
    for file in layout.files:
        name = file.removeprefix(f"{SITE}/")
        if file.startswith(f"{SITE}/") and name.partition("/")[0].split(".")[0] not in inside:
            for folder in base.folders:
                if os.path.lexists(os.path.join(folder, name)):
                    yield _owner_of(base, folder, name), name
                    break


def _module_in(folder: Path, module: Module) -> str:
    """The file in a folder that hides a module or is hidden by it, "" for none."""
    place = folder
    for part in module:
        place = place / part
        for suffix in importlib.machinery.all_suffixes():
            if place.with_name(part + suffix).is_file():
                return place.with_name(part + suffix).relative_to(folder).as_posix()
            if (place / f"__init__{suffix}").is_file():
                return (place / f"__init__{suffix}").relative_to(folder).as_posix()
        if not place.is_dir():
            return ""
    return ""


def _hidden_in(base: Base, folder: str, module: Module) -> str:
    """The distribution of the base whose part of a namespace a package of that name would hide, "" for none.

    A folder that no distribution put there has nothing to lose: its name alone brings no module.
    """
    below = "/".join(module) + "/"
    if not Path(folder, below).is_dir():
        return ""
    return _owner(base, folder, lambda file: file.startswith(below) and file.endswith(".py"))


def _owner_of(base: Base, folder: str, place: str) -> str:
    return _owner(base, folder, lambda file: file == place) or f"{folder} of the base"


def _owner(base: Base, folder: str, wanted: Callable[[str], bool]) -> str:
    """The distribution of the base with such a file in a folder, "" for none."""
    for name, one in base.environment.installed.items():
        if not one.folder or os.path.realpath(one.folder) != folder:
            continue
        if any(wanted(line.partition(",")[0]) for line in one.record.splitlines()):
            return f"{name} {one.version} of the base"
    return ""
