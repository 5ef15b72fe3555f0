"""Boot's look for plugins: hooks, discovery, validation, and how a class is loaded later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from iocmng.host.plan import Load
from iocmng.host.probe import Probe
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.catalog import Catalog, build_catalog
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.journal import Journal
from iocmng.plugins.load import FileState, changed_files, file_state, load_class, prepare, reload
from iocmng.plugins.sitefunctions import register_functions
from iocmng.plugins.sources import register_sources
from iocmng.plugins.verdict import VerdictStore
from iocmng.settings import Settings
from iocmng.spec import PluginRef


@dataclass(frozen=True)
class FoundPlugins:
    """What boot found: instances, a way to import their classes, and registered hooks."""

    settings: Settings
    catalog: Catalog
    hooks: Hooks
    journal: Journal
    safe: bool
    _renewed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look at the config files at once: later they may be others than those that were read."""
        _ = self._configs

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Instances, valid and not; none in safe mode."""
        return self.catalog.candidates

    @property
    def problems(self) -> tuple[str, ...]:
        """What concerns no single instance."""
        # Those of hooks may change: the host asks for them itself.
        found = (one for one in self.catalog.findings if not one.code.startswith("hook-"))
        return tuple(str(finding) for finding in found)

    @property
    def load(self) -> Load:
        """Imports a class, anew when the files of its editable project have changed and were found valid."""

        def load(plugin: PluginRef, instance: str) -> type:
            if project := self._renewed.pop(instance, ""):
                return reload(plugin, project).cls
            return load_class(plugin)

        return load

    def changed(self, instance: str) -> bool:
        """Whether files of an editable installation differ from those that are loaded."""
        discovered = self._discovered.get(instance)
        if discovered is None or not discovered.project:
            return False
        config = discovered.plugin.config
        return self._configs.get(config) != file_state(config) or bool(changed_files(discovered.project))

    def look_at(self, instance: str) -> Candidate | None:
        """Validate one instance again, whatever it did to the host; None when it is gone. Blocks."""
        self.journal.forgive(instance)
        catalog = _catalog(self.settings, self.hooks, self.journal, focus=instance)
        candidate = catalog.find(instance)
        if candidate is None or candidate.discovered is None or not candidate.valid:
            return candidate
        found = candidate.discovered
        self._discovered[instance] = found
        self._configs[found.plugin.config] = file_state(found.plugin.config)
        prepare(found.roots, found.plugin.target)
        if found.project:
            self._renewed[instance] = found.project
        return candidate

    @cached_property
    def _discovered(self) -> dict[str, Discovered]:
        return {one.spec.name: one.discovered for one in self.candidates if one.discovered is not None}

    @cached_property
    def _configs(self) -> dict[str, FileState]:
        """What the config files of editable installations looked like when they were read."""
        files = (one.plugin.config for one in self._discovered.values() if one.project)
        return {file: file_state(file) for file in files}

    def note(self, instance: str, what: str) -> None:
        """Keep the journal; see `Environment.note`."""
        if what:
            found = self._discovered.get(instance)
            self.journal.begin(what, instance, fingerprint=(found.fingerprint or "") if found else "")
        else:
            self.journal.over(instance)

    def look_again(self) -> Mapping[str, Any]:
        """Look for plugins again and say what differs from this boot; a start of the host takes it over."""
        if self.safe:
            return {"added": [], "removed": [], "changed": [], "restart_required": False}
        now = {one.spec.name: one for one in _catalog(self.settings, self.hooks, self.journal).candidates}
        before = {one.spec.name: one for one in self.candidates}
        added = sorted(now.keys() - before.keys())
        removed = sorted(before.keys() - now.keys())
        changed = sorted(
            name
            for name in now.keys() & before.keys()
            if (now[name].valid, now[name].spec.plugin, now[name].spec.ports)
            != (before[name].valid, before[name].spec.plugin, before[name].spec.ports)
        )
        different = bool(added or removed or changed)
        return {"added": added, "removed": removed, "changed": changed, "restart_required": different}


def _catalog(settings: Settings, hooks: Hooks, journal: Journal, focus: str | None = None) -> Catalog:
    with Probe() as probe:
        return build_catalog(
            settings,
            hooks,
            prober=probe,
            store=VerdictStore(settings.state_dir),
            journal=journal,
            focus=focus,
        )


def find_plugins(settings: Settings, journal: Journal, *, safe: bool) -> FoundPlugins:
    """Find and validate all plugins; in safe mode none is looked for."""
    hooks = Hooks()
    if safe:
        return FoundPlugins(settings, Catalog(()), hooks, journal, True)
    register_sources(hooks)
    with Probe() as probe:
        hooks.load(judge=probe.judge_hooks)
    register_functions(hooks)
    catalog = _catalog(settings, hooks, journal)
    importable = {
        (tuple(candidate.discovered.roots), candidate.spec.plugin.target)
        for candidate in catalog.candidates
        if candidate.valid and candidate.discovered is not None
    }
    for roots, target in sorted(importable):
        prepare(roots, target)
    journal.watch()
    return FoundPlugins(settings, catalog, hooks, journal, False)
