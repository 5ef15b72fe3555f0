"""Boot's look for plugins: hooks, discovery, validation, and how a class is loaded later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from iocmng.host.plan import Load
from iocmng.host.probe import Probe
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.catalog import Catalog, build_catalog
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.journal import Journal
from iocmng.plugins.load import load_class, prepare
from iocmng.plugins.sources import register_sources
from iocmng.plugins.verdict import VerdictStore
from iocmng.settings import Settings


@dataclass(frozen=True)
class FoundPlugins:
    """What boot found: instances, a way to import their classes, and registered hooks."""

    settings: Settings
    catalog: Catalog
    hooks: Hooks
    journal: Journal
    safe: bool

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Instances, valid and not; none in safe mode."""
        return self.catalog.candidates

    @property
    def problems(self) -> tuple[str, ...]:
        """What concerns no single instance."""
        return tuple(str(finding) for finding in self.catalog.findings)

    @property
    def load(self) -> Load:
        """Imports a class."""
        return lambda plugin, instance: load_class(plugin)

    @cached_property
    def _fingerprints(self) -> Mapping[str, str]:
        return {
            one.spec.name: (one.discovered.fingerprint or "") if one.discovered else ""
            for one in self.candidates
        }

    def note(self, instance: str, what: str) -> None:
        """Keep the journal; see `Environment.note`."""
        if what:
            self.journal.begin(what, instance, fingerprint=self._fingerprints.get(instance, ""))
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


def _catalog(settings: Settings, hooks: Hooks, journal: Journal) -> Catalog:
    with Probe() as probe:
        return build_catalog(
            settings,
            hooks,
            prober=probe,
            store=VerdictStore(settings.state_dir),
            journal=journal,
        )


def find_plugins(settings: Settings, journal: Journal, *, safe: bool) -> FoundPlugins:
    """Find and validate all plugins; in safe mode none is looked for."""
    hooks = Hooks()
    if safe:
        return FoundPlugins(settings, Catalog(()), hooks, journal, True)
    register_sources(hooks)
    with Probe() as probe:
        hooks.load(judge=probe.judge_hooks)
    catalog = _catalog(settings, hooks, journal)
    for candidate in catalog.candidates:
        if candidate.valid and candidate.discovered is not None:
            prepare(candidate.discovered.roots, candidate.spec.plugin.target)
    journal.watch()
    return FoundPlugins(settings, catalog, hooks, journal, False)
