"""Instances while they are being judged: which there are, and what each would be."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from iocmng.config import LoadedConfig
from iocmng.logic.check import check_logic
from iocmng.logic.functions import get_registry
from iocmng.names import did_you_mean
from iocmng.plugins.candidate import Candidate, has_error, shown, worst_first
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.journal import CRASHED
from iocmng.plugins.validate import Checked
from iocmng.plugins.verdict import Verdict, VerdictStore, parameters_key
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.settings import Settings
from iocmng.spec import InstanceSpec, Kind, PluginRef
from iocmng.spec.build import describe, describe_invalid, value_findings
from iocmng.wire import Finding, Level, Where


@dataclass(slots=True, eq=False)
class Draft:
    """One instance while it is being judged.

    Attributes:
        name: Its name, unlike all others.
        site: What the site says about it.
        checked: Its plugin after the first step.
        findings: What was found so far, apart from what `describe` finds.
        loaded: Its config: the plugin's, or that as site policy changed it.
        changed: The text of the changed config, "" for the plugin's own.
        verdict: What the second step found, None before it.
        spec: The description, None when it cannot be made.
        described: What `describe` found.
        key: Names its set of parameters.
    """

    name: str
    site: InstanceSettings
    checked: Checked
    findings: list[Finding]
    loaded: LoadedConfig | None
    changed: str = ""
    verdict: Verdict | None = None
    spec: InstanceSpec | None = None
    described: Sequence[Finding] = ()
    key: str = ""

    @property
    def kind(self) -> Kind:
        """Task or job: as the class says, before that as the config lets one think."""
        known = self.verdict.kind if self.verdict else None
        return known or self.checked.probable

    @property
    def broken(self) -> bool:
        """Whether it cannot run."""
        return self.spec is None or has_error(self.findings) or has_error(self.described)

    @property
    def _only_blamed(self) -> bool:
        """Whether nothing is wrong with it but that it ended the host: then a reset may start it with its PVs."""
        errors = [one for one in (*self.findings, *self.described) if one.level is Level.ERROR]
        return self.kind is Kind.TASK and all(one.code == CRASHED for one in errors)

    @property
    def verdict_key(self) -> str | None:
        """The name under which its verdict is kept, None when it is not to be kept."""
        discovered = self.checked.discovered
        if not self.changed or discovered.fingerprint is None:
            return self.checked.key
        return VerdictStore.key(discovered.fingerprint, discovered.plugin, self.changed.encode())

    @property
    def values(self) -> dict[str, Any]:
        """Its parameters without their origins."""
        return (
            {name: parameter.value for name, parameter in self.spec.parameters.items()} if self.spec else {}
        )

    def describe(self, settings: Settings) -> None:
        """Make the description from what is known now."""
        if self.loaded is None:
            return
        if self.loaded.config is None or has_error(self.findings):
            config = self.loaded.partial if self.loaded.exact else None
            values = value_findings(config, self.loaded.locate) if config is not None else ()
            self.described = (*values, *self._logic(self.loaded))
            return
        verdict = self.verdict
        self.spec, findings = describe(
            self.loaded.config,
            self.checked.discovered.plugin,
            kind=self.kind,
            name=self.name,
            host_prefix=settings.prefix,
            site=self.site,
            environ=settings.environ,
            declared=verdict.schema.get("properties", {}) if verdict else None,
            class_name=verdict.class_name if verdict else "",
            beamline=settings.beamline,
            devices=not settings.disable_ophyd,
            pva=settings.pva,
            locate=self.loaded.locate,
        )
        self.described = (*findings, *self._logic(self.loaded))
        self.key = parameters_key(self.values) if self.spec else ""

    def _logic(self, loaded: LoadedConfig) -> tuple[Finding, ...]:
        """What is wrong with expressions; of those that code may add names to only after its import."""
        verdict, discovered = self.verdict, self.checked.discovered
        return check_logic(
            loaded,
            self.spec,
            declared=verdict.schema.get("properties", {}) if verdict else (),
            functions={*get_registry(), *verdict.functions} if verdict else None,
            certain=verdict is not None or ":" not in discovered.plugin.target,
            lenient=discovered.lenient,
        )

    def candidate(self, settings: Settings) -> Candidate:
        """The instance as the host lists it."""
        everything = (*self.findings, *self.described)
        findings = worst_first(shown(everything, self.checked.discovered.shown))
        config = self.loaded.config if self.loaded else None
        spec = self.spec
        if spec is None or (self.broken and not self._only_blamed):
            readable = self.checked.readable
            spec = describe_invalid(
                self.checked.discovered.plugin,
                name=self.name,
                host_prefix=settings.prefix,
                kind=self.kind,
                prefix=self.site.prefix or (readable.prefix if readable else None),
                description=readable.description if readable else "",
                enabled=self.site.enabled,
            )
        imports = self.verdict.imports if self.verdict else {}
        return Candidate(spec, not self.broken, findings, config, self.checked.discovered, imports)


def make_drafts(
    settings: Settings, checked: Sequence[Checked], *, taken: Collection[str] | None = None
) -> tuple[list[Draft], list[Finding]]:
    """The instances of the site file and the default ones, and what is odd about the site file.

    Args:
        settings: The settings in force.
        checked: The plugins after the first step.
        taken: Names of instances that are there already, where the plugins are not all there are: then the site
            file's instances of other plugins are left out. None: they are all.
    """
    notes: list[Finding] = []
    plugins: dict[str, list[Checked]] = {}
    for one in checked:
        plugins.setdefault(one.discovered.plugin.name, []).append(one)
    for name in settings.exclude if taken is None else ():
        if name not in plugins:
            text = f"exclude names {name!r}, and there is no such plugin"
            notes.append(Finding(Level.WARNING, "unknown-plugin", text, hint=did_you_mean(name, plugins)))
    drafts: dict[str, Draft] = {}
    for site in settings.instances:
        if taken is not None and site.plugin not in plugins:
            continue
        if site.plugin in settings.exclude:
            text = f"instance {site.instance} is left out: its plugin {site.plugin} is excluded"
            notes.append(Finding(Level.NOTE, "excluded", text))
        else:
            _add(drafts, site, plugins.get(site.plugin) or [_unknown(site, plugins)], taken or ())
    for name, versions in plugins.items():
        if name not in settings.exclude and name not in drafts and not settings.only_listed:
            own = versions[0].discovered.site or InstanceSettings.model_construct(plugin=name)
            _add(drafts, own, versions, taken or ())
    for name in settings.only if taken is None else ():
        if name not in drafts:
            text = f"--only names {name!r}, and there is no such instance"
            notes.append(Finding(Level.WARNING, "unknown-instance", text, hint=did_you_mean(name, drafts)))
    return [one for name, one in drafts.items() if not settings.only or name in settings.only], notes


def _add(
    drafts: dict[str, Draft], site: InstanceSettings, versions: Sequence[Checked], taken: Collection[str]
) -> None:
    for checked in versions:
        name = site.instance
        findings = list(checked.findings)
        if name in drafts or name in taken:
            if len(versions) == 1:
                text = f"two instances are called {name!r}"
                where = Where(key=f"instances.{name}")
                findings.append(Finding(Level.ERROR, "duplicate-instance", text, where, "rename one"))
            name = _free(f"{name}@{checked.discovered.plugin.distribution or 'site'}", [*drafts, *taken])
        drafts[name] = Draft(name, site, checked, findings, checked.loaded)


def _free(name: str, used: Iterable[str]) -> str:
    names: Iterator[str] = (f"{name}-{count}" for count in itertools.count(2))
    return next(one for one in itertools.chain([name], names) if one not in used)


def _unknown(site: InstanceSettings, plugins: Iterable[str]) -> Checked:
    text = f"instance {site.instance} is of plugin {site.plugin!r}, which is not installed"
    hint = did_you_mean(site.plugin, plugins) or "install it with pip into the host's environment"
    finding = Finding(Level.ERROR, "unknown-plugin", text, Where(key=f"instances.{site.instance}"), hint)
    return Checked(Discovered(plugin=PluginRef(name=site.plugin, target="")), None, (finding,))
