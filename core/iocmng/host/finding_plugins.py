"""Boot's look for plugins: hooks, discovery, validation, and how a class is loaded later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from iocmng.host.generations import LostPlugins
from iocmng.host.probe import Probe
from iocmng.plugins.arrivals import environment_over, import_path, judge_arrivals
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.catalog import Catalog, build_catalog
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.installing.model import Generation
from iocmng.plugins.journal import Journal
from iocmng.plugins.load import FileState, changed_files, file_state, load_class, prepare, reload
from iocmng.plugins.sitefunctions import register_functions
from iocmng.plugins.sources import register_sources
from iocmng.plugins.verdict import VerdictStore
from iocmng.settings import Settings
from iocmng.settings.instances import InstanceSettings
from iocmng.spec import InstanceSpec, PluginRef


class FoundPlugins:
    """The plugins of a host: its instances, a way to import their classes, registered hooks.

    Args:
        settings: The settings in force.
        catalog: What the boot found.
        hooks: Registered hooks.
        journal: Knows who ended the host the last time.
        safe: No plugin is looked for.
        generation: What is installed through the host, None when nothing is.

    Attributes:
        hooks: As given.
        generation: That whose folder is on the import path.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        hooks: Hooks,
        journal: Journal,
        *,
        safe: bool,
        generation: Generation | None = None,
    ) -> None:
        self.hooks = hooks
        self.generation = generation
        self._settings = settings
        self._findings = catalog.findings
        self._journal = journal
        self._safe = safe
        self._candidates: dict[str, Candidate] = {}
        self._renewed: dict[str, str] = {}
        self._replaced: dict[str, Candidate] = {}
        self._configs: dict[str, FileState] = {}
        self.take_in(catalog.candidates)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Instances, valid and not; none in safe mode."""
        return tuple(self._candidates.values())

    @property
    def invalid_directories(self) -> list[str]:
        """Plugins of plugin directories that validation refuses."""
        plugins = (one.spec.plugin for one in self.candidates if not one.valid)
        return [plugin.name for plugin in plugins if plugin.origin == "directory"]

    @property
    def problems(self) -> tuple[str, ...]:
        """What concerns no single instance."""
        # Those of hooks may change: the host asks for them itself.
        return tuple(str(finding) for finding in self._findings if not finding.code.startswith("hook-"))

    def take_in(self, candidates: Iterable[Candidate]) -> None:
        """These instances are in the host from now on; their folders are importable."""
        importable = set()
        for one in candidates:
            self._candidates[one.spec.name] = one
            found = one.discovered
            if found is None:
                continue
            if one.valid:
                importable.add((tuple(found.roots), found.plugin.target))
            if found.project:
                # Looked at at once: later they may be others than those that were read.
                self._configs[found.plugin.config] = file_state(found.plugin.config)
        for roots, target in sorted(importable):
            prepare(roots, target)

    def let_go(self, instances: Iterable[str]) -> None:
        """These instances are gone."""
        for name in instances:
            self._candidates.pop(name, None)
            self._renewed.pop(name, None)

    def candidate(self, instance: str) -> Candidate:
        """What the instance of that name was made from.

        Raises:
            KeyError: There is none.
        """
        return self._candidates[instance]

    def replaced(self, instance: str) -> Candidate:
        """What an instance was made from before it was validated again."""
        return self._replaced.get(instance) or self._candidates[instance]

    def provenance(self, plugin: PluginRef) -> tuple[int | None, str]:
        """Generation and origin of a plugin's distribution, as `InstanceView` has them."""
        here = self.generation
        locked = here.lock.locked(canonical(plugin.distribution)) if here else None
        if here is None or locked is None or not _inside(plugin, here):
            return None, "base" if plugin.distribution else ""
        return here.number, str(locked.origin)

    def load(self, plugin: PluginRef, instance: str) -> type:
        """Import a class, anew when the files of its editable project have changed and were found valid."""
        if project := self._renewed.pop(instance, ""):
            return reload(plugin, project).cls
        return load_class(plugin)

    def changed(self, instance: str) -> bool:
        """Whether files of an editable installation differ from those that are loaded."""
        discovered = self._discovered(instance)
        if discovered is None or not discovered.project:
            return False
        config = discovered.plugin.config
        return self._configs.get(config) != file_state(config) or bool(changed_files(discovered.project))

    def look_at(self, instance: str) -> Candidate | None:
        """Validate one instance again, whatever it did to the host; None when it is gone. Blocks."""
        self._journal.forgive(instance)
        catalog = self._catalog(focus=instance)
        candidate = catalog.find(instance)
        if candidate is None or candidate.discovered is None or not candidate.valid:
            return candidate
        if (before := self._candidates.get(instance)) is not None:
            self._replaced[instance] = before
        self.take_in([candidate])
        if candidate.discovered.project:
            self._renewed[instance] = candidate.discovered.project
        return candidate

    def _discovered(self, instance: str) -> Discovered | None:
        one = self._candidates.get(instance)
        return one.discovered if one is not None else None

    def note(self, instance: str, what: str) -> None:
        """Keep the journal; see `Environment.note`."""
        if what:
            found = self._discovered(instance)
            self._journal.begin(what, instance, fingerprint=(found.fingerprint or "") if found else "")
        else:
            self._journal.over(instance)

    def look_again(self) -> tuple[dict[str, list[str]], tuple[Candidate, ...]]:
        """Look for plugins again. Blocks.

        Returns:
            Names of instances that are `added`, `removed` and `changed`, and the added ones.
        """
        if self._safe:
            return {"added": [], "removed": [], "changed": []}, ()
        now = {one.spec.name: one for one in self._catalog().candidates}
        before = self._candidates
        added = sorted(now.keys() - before.keys())
        changed = sorted(
            name for name in now.keys() & before.keys() if _looks(now[name]) != _looks(before[name])
        )
        different = {"added": added, "removed": sorted(before.keys() - now.keys()), "changed": changed}
        return different, tuple(now[name] for name in added)

    def environment(self, generation: Generation | None) -> Environment:
        """The distributions of the base and a generation. Blocks."""
        return environment_over(generation.site if generation else None)

    def judge(
        self,
        generation: Generation | None,
        changed: Collection[str],
        running: Sequence[InstanceSpec],
        *,
        added: InstanceSettings | None = None,
    ) -> Catalog:
        """Judge the instances of distributions that a generation adds or changes; `added` beside the configured ones.

        Blocks. Never raises because of a plugin.
        """
        settings = self._settings
        if added is not None:
            settings = replace(settings, instances=(*settings.instances, added))
        site = generation.site if generation else None
        with Probe(path=import_path(site), sites=[site] if site else []) as probe:
            return judge_arrivals(
                settings,
                self.hooks,
                environment=self.environment(generation),
                lock=generation.lock if generation else None,
                prober=probe,
                changed=changed,
                running=running,
                store=VerdictStore(settings.state_dir),
            )

    def _catalog(self, focus: str | None = None) -> Catalog:
        return _catalog(self._settings, self.hooks, self._journal, focus)


def _looks(candidate: Candidate) -> tuple[object, ...]:
    """What of an instance would be another after a start of the host; where its files lie is of no matter."""
    return candidate.valid, replace(candidate.spec.plugin, config=""), candidate.spec.ports


def _inside(plugin: PluginRef, generation: Generation) -> bool:
    """Whether a plugin came with a generation: the base wins where both have a distribution.

    Its config, which each has, may lie in an earlier one: what a hot change leaves alone stays where it is until
    the next start.
    """
    return not plugin.config or Path(plugin.config).is_relative_to(generation.folder.parent)


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


def find_plugins(
    settings: Settings,
    journal: Journal,
    *,
    safe: bool,
    generation: Generation | None = None,
    lost: Sequence[Discovered] = (),
    broken: Sequence[Discovered] = (),
) -> FoundPlugins:
    """Find and validate all plugins; in safe mode none is looked for.

    Args:
        settings: The settings in force.
        journal: Knows who ended the host the last time.
        safe: Look for none.
        generation: Whose folder is on the import path.
        lost: Plugins that were installed through the host and cannot be used.
        broken: Entries of plugins.yaml that could not be installed.
    """
    hooks = Hooks()
    if safe:
        return FoundPlugins(settings, Catalog(()), hooks, journal, safe=True, generation=generation)
    register_sources(hooks, broken)
    if lost:
        hooks.register(LostPlugins(lost), "lost", builtin=True)
    with Probe() as probe:
        hooks.load(judge=probe.judge_hooks)
    register_functions(hooks)
    catalog = _catalog(settings, hooks, journal)
    found = FoundPlugins(settings, catalog, hooks, journal, safe=False, generation=generation)
    journal.watch()
    return found
