"""Generations of distributions unpacked from generated wheels, and an interpreter that is as before afterwards."""

from __future__ import annotations

import importlib
import logging
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from support.wheels import wheel

from iocmng.logic import functions
from iocmng.plugins import sitepath
from iocmng.plugins.environment import Environment
from iocmng.plugins.hot import User
from iocmng.plugins.isolation import finder
from iocmng.plugins.modules import ModuleSwap, append_site
from iocmng.plugins.ownership import ChangedDistribution
from iocmng.wire import NotHot


class Machine:
    """Generations on disk; the interpreter imports from the one that was begun with, and from what is swapped in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.site: Path | None = None

    def generation(self, *distributions: Mapping[str, Any]) -> Path:
        """Unpack wheels into a new site folder; arguments of each as for `wheels.wheel`."""
        number = len(list(self._folder.glob("generation*"))) + 1
        site = self._folder / f"generation{number}"
        site.mkdir(parents=True)
        for one in distributions:
            with zipfile.ZipFile(wheel(self._folder / f"wheels{number}", **one)) as archive:
                archive.extractall(site)
        return site

    def begin(self, site: Path) -> None:
        """Boot with a generation."""
        append_site(site)
        self.site = site

    def changes(self, after: Path | None) -> tuple[ChangedDistribution, ...]:
        """What differs between the generation in force and another."""
        old, new = (Environment.read([str(site)] if site else []).installed for site in (self.site, after))
        return tuple(
            ChangedDistribution(name=name, before=old.get(name), after=new.get(name))
            for name in sorted(old.keys() | new.keys())
            if name not in old or name not in new or old[name].record != new[name].record
        )

    def swap(self, after: Path | None) -> ModuleSwap:
        """The exchange of the generation in force for another, not yet done."""
        return ModuleSwap(self.site, after, self.changes(after))

    def upgrade(self, after: Path | None) -> None:
        """Exchange for good."""
        swap = self.swap(after)
        swap.take()
        swap.keep()
        self.site = after


def imported(name: str) -> ModuleType:
    """Import by name; modules of tests have names that no import statement may hold."""
    return importlib.import_module(name)


def user(distribution: str, *needs: str, name: str = "", **more: Any) -> User:
    """An instance that is stopped in the operation unless `more` says otherwise."""
    given: dict[str, Any] = {"stopped": True, "live": False, **more}
    return User(
        name=name or distribution, distribution=distribution, needs=frozenset({distribution, *needs}), **given
    )


@contextmanager
def as_before() -> Iterator[None]:
    """Undo what imports and exchanges do to this interpreter."""
    modules, path, finders = dict(sys.modules), list(sys.path), list(sys.meta_path)
    roots, folders = dict(finder.roots), dict(finder.folders)
    appended, registry = dict(sitepath._appended), functions.get_registry()
    used = set(sitepath._used)
    loggers = set(logging.root.manager.loggerDict)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name not in modules]:
            del sys.modules[name]
        sys.modules.update(modules)
        sys.path[:], sys.meta_path[:] = path, finders
        for present, before in (
            (finder.roots, roots),
            (finder.folders, folders),
            (sitepath._appended, appended),
        ):
            present.clear()
            present.update(before)
        sitepath._used.clear()
        sitepath._used.update(used)
        functions.restore(registry)
        for name in logging.root.manager.loggerDict.keys() - loggers:
            del logging.root.manager.loggerDict[name]
        sys.path_importer_cache.clear()
        importlib.invalidate_caches()


def beam(version: str, code: str = "", **more: Any) -> dict[str, Any]:
    """Arguments of the distribution acme-beam, whose module acme_beam.plugin is `code`."""
    files = {"acme_beam/plugin.py": code or "class Beam:\n    pass\n", **more.pop("files", {})}
    return {"name": "acme-beam", "version": version, "files": files, **more}


USER = user("acme-beam")


def few_modules() -> Callable[[], list[tuple[str, object]]]:
    """What `holders.loaded_modules` is to be where walking through all of pytest takes too long."""
    apart = set(sys.modules) - {"logging", "threading", "iocmng.logic.functions", "pydantic.main"}
    return lambda: [item for item in sys.modules.items() if item[0] not in apart]


def running(machine: Machine, code: str, version: str = "1.0", **more: Any) -> ModuleType:
    """Boot with acme-beam and import its plugin module."""
    machine.begin(machine.generation(beam(version, code, **more)))
    return imported("acme_beam.plugin")


def reasons(found: Iterable[NotHot]) -> str:
    """Everything that speaks against a change, in one text."""
    return "; ".join(f"{one.package}: {one.reason}" for one in found)
