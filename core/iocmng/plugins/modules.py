"""Taking the modules of a distribution out of the running interpreter, and putting them back."""

from __future__ import annotations

import _imp
import importlib
import linecache
import logging
import os
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iocmng.errors import InstallFailed
from iocmng.logic import functions
from iocmng.plugins.isolation import PACKAGE, finder
from iocmng.plugins.ownership import ChangedDistribution, Owned, Ownership, attributes
from iocmng.plugins.sitepath import added_by, append_site, import_folders, note_site, run_pth, sites

__all__ = ["ModuleSwap", "append_site", "sites"]

_log = logging.getLogger("iocmng.plugins")
_PAUSE = 0.002
_PATIENCE = 1.0
"""Seconds that going back waits for imports of new code; it has to be done even when one never ends."""


@dataclass(slots=True)
class _Before:
    """What there was before the exchange."""

    modules: list[tuple[str, Any]] = field(default_factory=list)
    attributes: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    bound: list[tuple[dict[str, Any], str, Any]] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    finders: list[Any] = field(default_factory=list)
    hooks: list[Any] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    functions: dict[str, functions.Function] = field(default_factory=dict)
    added: tuple[str, ...] = ()

    @property
    def homes(self) -> tuple[str, ...]:
        """Folders of packages among the modules, and the directories that plugins are copies of."""
        paths = (attributes(module).get("__path__") for _, module in self.modules)
        return (*(one for path in paths if isinstance(path, list) for one in path), *self.folders.values())


class ModuleSwap:
    """Exchanges the code of a generation for that of the next, undone as long as it is not kept.

    Args:
        site_before: The site folder of the generation in force, None for none.
        site_after: That of the next, None for none.
        changes: What differs between them; see `iocmng.plugins.hot.with_dependents`.
    """

    def __init__(
        self, site_before: Path | None, site_after: Path | None, changes: Sequence[ChangedDistribution]
    ) -> None:
        self._site_before = site_before
        self._site_after = site_after
        self._changes = tuple(changes)
        self._old = Ownership(change.before for change in changes if change.before)
        self._new = Ownership(change.after for change in changes if change.after)
        self._before: _Before | None = None

    def take(self, *, timeout: float = 5.0) -> None:
        """Drop the old modules and import from the new generation from now on.

        Blocks while a module concerned is being imported in another thread, so it is no call for the host's loop.

        Raises:
            InstallFailed: Such an import has not ended after `timeout` seconds; nothing has changed.
        """
        folders = import_folders(self._site_after)
        before = _Before(added=added_by(self._site_before), functions=functions.get_registry())
        # Looked up here, file names are known in the time in which nobody else can import.
        self._old.loaded()
        with self._no_import(timeout) as under_way:
            if under_way:
                text = f"{', '.join(sorted(under_way))} is being imported by another thread for {timeout:g} s"
                raise InstallFailed(text, code="import-busy", hint="try again when that import has ended")
            self._drop(self._old.loaded(), before)
            before.path = list(sys.path)
            before.finders, before.hooks = list(sys.meta_path), list(sys.path_hooks)
            self._serve(before)
            sys.path[:] = _exchanged(sys.path, before.added, folders)
            self._forget_finders(before.added, folders, before.homes)
            self._before = before
        self._note(self._site_before, None)
        self._note(self._site_after, tuple(one for one in folders if one not in before.path))
        self._forget_files(before.added, folders, before.homes)
        if self._site_after is not None:
            run_pth(self._site_after, unlike=self._site_before)

    def put_back(self) -> None:
        """Bring exactly the old module objects, attributes and import path back; modules of the new one go."""
        before, self._before = self._before, None
        if before is None:
            return
        folders = import_folders(self._site_after)
        with self._no_import(_PATIENCE):
            self._drop([*self._new.loaded(), *self._old.loaded()], None)
            _restore(before)
            sys.path[:] = before.path
            _without_new(sys.meta_path, before.finders, self._new)
            _without_new(sys.path_hooks, before.hooks, self._new)
            for package in self._packages:
                finder.roots.pop(package, None)
                finder.folders.pop(package, None)
            finder.roots.update(before.roots)
            finder.folders.update(before.folders)
            functions.restore(before.functions)
            self._forget_finders(before.added, folders)
            if self._site_before is not None and self._site_after is not None:
                _move_home(self._site_after, self._site_before)
        self._note(self._site_after, None)
        self._note(self._site_before, before.added)
        self._forget_files(before.added, folders, before.homes)

    def keep(self) -> None:
        """Forget the old modules; no way back."""
        self._before = None

    @property
    def _packages(self) -> list[str]:
        """The packages of plugin directories among what changes."""
        return [name for name in self._old.packages | self._new.packages if name.startswith(PACKAGE)]

    @contextmanager
    def _no_import(self, timeout: float) -> Iterator[Collection[str]]:
        """Keep every import from beginning or searching, once none of a module concerned is under way.

        Yields:
            Modules whose import has not ended in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            _imp.acquire_lock()
            under_way = [name for name in _being_imported() if self._concerns(name)]
            if not under_way or time.monotonic() >= deadline:
                break
            _imp.release_lock()
            time.sleep(_PAUSE)
        try:
            yield under_way
        finally:
            _imp.release_lock()

    def _concerns(self, module: str) -> bool:
        names = self._old.modules | self._new.modules
        parts = module.split(".")
        if any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1)):
            return True
        return any(name.startswith(f"{module}.") for name in names)

    def _drop(self, owned: Sequence[Owned], into: _Before | None) -> None:
        """Take modules out of `sys.modules` and off the packages that stay."""
        keys = {one.key for one in owned}
        for one in owned:
            if sys.modules.pop(one.key, None) is None:
                continue
            parent, _, name = one.key.rpartition(".")
            holder = sys.modules.get(parent) if parent not in keys else None
            there: Any = attributes(holder)
            if name in there and there[name] is one.module:
                del there[name]
                if into is not None:
                    into.bound.append((there, name, one.module))
            if into is not None:
                into.modules.append((one.key, one.module))
                own: Any = attributes(one.module)
                into.attributes.append((own, dict(own)))
            else:
                _disown(one.module)

    def _serve(self, before: _Before) -> None:
        """Let plugin directories be found in the new generation."""
        for package in self._packages:
            if package in finder.roots:
                before.roots[package] = finder.roots.pop(package)
            if package in finder.folders:
                before.folders[package] = finder.folders.pop(package)
        for change in self._changes:
            if change.after:
                for package in Ownership([change.after]).packages:
                    if package.startswith(PACKAGE):
                        finder.serve(package, change.after.folder)

    def _note(self, site: Path | None, added: tuple[str, ...] | None) -> None:
        if site is not None:
            note_site(site, added)

    @staticmethod
    def _forget_finders(*folders: Sequence[str]) -> None:
        """Drop what the path finder remembers of folders."""
        for entry in [one for one in list(sys.path_importer_cache) if _below(one, *folders)]:
            sys.path_importer_cache.pop(entry, None)

    @staticmethod
    def _forget_files(*folders: Sequence[str]) -> None:
        """Drop what else is remembered of files and folders; foreign finders are asked, so no lock is held."""
        for file in [one for one in list(linecache.cache) if _below(one, *folders)]:
            linecache.cache.pop(file, None)
        try:
            importlib.invalidate_caches()
        except Exception:  # noqa: BLE001 - a border: finders on sys.meta_path are foreign code
            _log.warning("a finder on sys.meta_path cannot forget what it knows", exc_info=True)


def _being_imported() -> list[str]:
    """Modules whose import is under way in some thread, from its search on; the import lock is held."""
    bootstrap: Any = importlib._bootstrap
    # A lock lives as long as a thread imports its module or waits for that.
    return [name for name, reference in list(bootstrap._module_locks.items()) if reference() is not None]


def _disown(module: object) -> None:
    """Let an import that has not ended end without touching the module that is back in its place."""
    spec: Any = attributes(module).get("__spec__")
    if getattr(spec, "_initializing", False):
        spec.name = f"{spec.name} (dropped)"


def _exchanged(path: Sequence[str], old: Sequence[str], new: Sequence[str]) -> list[str]:
    """An import path with the new folders where the first of the old ones was, at the end without old ones."""
    kept = [entry for entry in path if entry not in old]
    place = next((number for number, entry in enumerate(path) if entry in old), len(path))
    return [*kept[:place], *(entry for entry in new if entry not in kept), *kept[place:]]


def _restore(before: _Before) -> None:
    """Put the old modules into their places, with the attributes that they had."""
    sys.modules.update(before.modules)
    for present, kept in before.attributes:
        for name in [name for name in present if name not in kept]:
            del present[name]
        present.update(kept)
    for parent, name, module in before.bound:
        parent[name] = module
    # Others may have been imported meanwhile below a namespace package that was made anew.
    back = dict(before.modules)
    for key, module in list(sys.modules.items()):
        holder, _, name = key.rpartition(".")
        if holder in back and key not in back:
            there: Any = attributes(back[holder])
            there.setdefault(name, module)


def _move_home(there: Path, home: Path) -> None:
    """Let packages that stay, and were loaded from a folder that may go, look for theirs in one with the same files."""
    prefix = str(there) + os.sep
    for module in list(sys.modules.values()):
        path: Any = attributes(module).get("__path__")
        for number, entry in enumerate(path if isinstance(path, list) else ()):
            if isinstance(entry, str) and entry.startswith(prefix):
                path[number] = os.path.join(home, entry.removeprefix(prefix))


def _without_new(present: list[Any], before: Sequence[Any], new: Ownership) -> None:
    """Remove finders or hooks that new code has put there."""
    for one in [one for one in present if not any(one is old for old in before)]:
        made = one if isinstance(one, type) else type(one)
        file = getattr(getattr(one, "__code__", None), "co_filename", "")
        if made.__module__ in new.modules or new.of_file(file):
            present.remove(one)


def _below(file: str, *folders: Sequence[str]) -> bool:
    return any(file == one or file.startswith(one + os.sep) for some in folders for one in some)
