"""All instances of the host, good and bad: discovered, configured, validated, compared with each other."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from iocmng.config import LoadedConfig, PluginConfig, parse_config
from iocmng.names import did_you_mean
from iocmng.plugins.candidate import Candidate, has_error, shown, worst_first
from iocmng.plugins.clashes import dependency_faults, pv_clashes
from iocmng.plugins.discovery import Discovered, mark_duplicates
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.journal import Journal
from iocmng.plugins.validate import Checked, check_files, check_source
from iocmng.plugins.verdict import Prober, Question, Verdict, VerdictStore, parameters_key
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.settings import Settings
from iocmng.spec import InstanceSpec, Kind, PluginRef
from iocmng.spec.build import describe, describe_invalid
from iocmng.spec.defaults import host_records
from iocmng.wire import Finding, Level, Where

_log = logging.getLogger("iocmng.plugins")


@dataclass(frozen=True)
class Catalog:
    """What the host has, in the order of starting.

    Attributes:
        candidates: Every configured or discovered instance, valid or not; names are unique.
        findings: What concerns no single instance: the site file, hooks.
    """

    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...] = ()

    def find(self, name: str) -> Candidate | None:
        """The candidate of that name."""
        return next((one for one in self.candidates if one.spec.name == name), None)


@dataclass(slots=True, eq=False)
class _Draft:
    """One instance while it is being judged."""

    name: str
    site: InstanceSettings
    checked: Checked
    findings: list[Finding]
    config: PluginConfig | None = None
    loaded: LoadedConfig | None = None
    spec: InstanceSpec | None = None
    kind: Kind = Kind.TASK
    key: str = ""

    def candidate(self, host_prefix: str) -> Candidate:
        findings = worst_first(shown(self.findings, self.checked.discovered.shown))
        valid = self.spec is not None and not has_error(findings)
        readable = self.checked.readable
        spec = self.spec
        if spec is None or not valid:
            spec = describe_invalid(
                self.checked.discovered.plugin,
                name=self.name,
                host_prefix=host_prefix,
                kind=self.kind,
                prefix=self.site.prefix or (readable.prefix if readable else None),
                description=readable.description if readable else "",
                enabled=self.site.enabled,
            )
        return Candidate(spec, valid, findings, self.config, self.checked.discovered)


def build_catalog(
    settings: Settings,
    hooks: Hooks,
    *,
    prober: Prober | None = None,
    store: VerdictStore | None = None,
    journal: Journal | None = None,
) -> Catalog:
    """Find, configure and judge everything; never raises because of a plugin.

    Args:
        settings: The settings in force.
        hooks: The hooks, with the built-in sources registered (`iocmng.plugins.sources`).
        prober: Imports plugins in a child process; without one only the first step of validation is done.
        store: Keeps verdicts from one start to the next.
        journal: Knows who ended the host the last time.
    """
    notes: list[Finding] = []
    checked = [check_files(one) for one in _discover(settings, hooks)]
    drafts = _selected(list(_drafts(settings, checked, notes)), settings.only, notes)
    store = store or VerdictStore(None)
    known = {one.key: verdict for one in checked if one.key and (verdict := store.get(one.key))}
    for draft in drafts:
        verdict = known.get(draft.checked.key or "")
        draft.kind = (verdict.kind if verdict else None) or draft.checked.probable
        _describe(draft, settings, verdict)
    if prober is not None:
        _judge(drafts, settings, prober, store, known)
    _configure(drafts, settings, hooks)
    _compare(drafts, settings, journal)
    candidates = [draft.candidate(settings.prefix) for draft in drafts]
    candidates = list(_ask_hooks(candidates, settings, hooks))
    ordered = sorted(candidates, key=lambda one: (one.spec.supervision.start_order, one.spec.name))
    return Catalog(tuple(_without_shared_records(ordered, settings)), (*notes, *hooks.problems))


def _discover(settings: Settings, hooks: Hooks) -> tuple[Discovered, ...]:
    found: list[Discovered] = []
    for answer in hooks.call("iocmng_discover", settings=settings):
        items = answer.value if isinstance(answer.value, Iterable) else [answer.value]
        for item in items:
            if isinstance(item, Discovered):
                found.append(item)
            else:
                _log.error("iocmng_discover of %s gave %r, which is no Discovered", answer.plugin, item)
    found.sort(key=lambda one: (one.plugin.distribution.lower(), one.plugin.name))
    return mark_duplicates(found)


def _drafts(settings: Settings, checked: Sequence[Checked], notes: list[Finding]) -> Iterator[_Draft]:
    """Yield every instance that the site file configures, then the default ones."""
    plugins: dict[str, list[Checked]] = {}
    for one in checked:
        plugins.setdefault(one.discovered.plugin.name, []).append(one)
    for name in settings.exclude:
        if name not in plugins:
            text = f"exclude names {name!r}, and there is no such plugin"
            notes.append(Finding(Level.WARNING, "unknown-plugin", text, hint=did_you_mean(name, plugins)))
    excluded = set(settings.exclude)
    used: set[str] = set()
    for site in settings.instances:
        if site.plugin in excluded:
            text = f"instance {site.instance} is left out: its plugin {site.plugin} is excluded"
            notes.append(Finding(Level.NOTE, "excluded", text))
            continue
        yield from _draft(site, plugins.get(site.plugin) or [_unknown(site, plugins)], used)
    for name, versions in plugins.items():
        if name in excluded or name in used or settings.only_listed:
            continue
        own = versions[0].discovered.site or InstanceSettings.model_construct(plugin=name)
        yield from _draft(own, versions, used)


def _selected(drafts: list[_Draft], only: Sequence[str], notes: list[Finding]) -> list[_Draft]:
    """The instances that the command line names, or all."""
    names = [draft.name for draft in drafts]
    for name in only:
        if name not in names:
            text = f"--only names {name!r}, and there is no such instance"
            notes.append(Finding(Level.WARNING, "unknown-instance", text, hint=did_you_mean(name, names)))
    return [draft for draft in drafts if not only or draft.name in only]


def _draft(site: InstanceSettings, versions: Sequence[Checked], used: set[str]) -> Iterator[_Draft]:
    for checked in versions:
        name = site.instance
        findings = list(checked.findings)
        if name in used:
            if len(versions) == 1:
                text = f"two instances are called {name!r}"
                where = Where(key=f"instances.{name}")
                findings.append(Finding(Level.ERROR, "duplicate-instance", text, where, "rename one"))
            name = _free(f"{name}@{checked.discovered.plugin.distribution or 'site'}", used)
        used.add(name)
        yield _Draft(name, site, checked, findings, checked.config, checked.loaded)


def _free(name: str, used: set[str]) -> str:
    names = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    return next(one for one in names if one not in used)


def _unknown(site: InstanceSettings, plugins: Iterable[str]) -> Checked:
    text = f"instance {site.instance} is of plugin {site.plugin!r}, which is not installed"
    hint = did_you_mean(site.plugin, plugins) or "install it with pip into the host's environment"
    finding = Finding(Level.ERROR, "unknown-plugin", text, Where(key=f"instances.{site.instance}"), hint)
    unknown = Discovered(plugin=PluginRef(name=site.plugin, target=""), findings=(finding,))
    return Checked(unknown, None, unknown.findings)


def _describe(draft: _Draft, settings: Settings, verdict: Verdict | None) -> None:
    """Fill the draft's spec; what is wrong goes to its findings."""
    if draft.config is None or draft.loaded is None or has_error(draft.checked.findings):
        return
    discovered = draft.checked.discovered
    spec, findings = describe(
        draft.config,
        discovered.plugin,
        kind=draft.kind,
        name=draft.name,
        host_prefix=settings.prefix,
        site=draft.site,
        environ=settings.environ,
        declared=verdict.schema.get("properties", {}) if verdict else None,
        class_name=verdict.class_name if verdict else "",
        beamline=settings.beamline,
        locate=draft.loaded.locate,
    )
    draft.spec = spec
    draft.findings = [*draft.checked.findings, *findings]
    draft.key = parameters_key(_values(spec)) if spec else ""


def _values(spec: InstanceSpec) -> dict[str, Any]:
    return {name: parameter.value for name, parameter in spec.parameters.items()}


def _judge(
    drafts: Sequence[_Draft],
    settings: Settings,
    prober: Prober,
    store: VerdictStore,
    known: Mapping[str, Verdict],
) -> None:
    """Ask about every plugin that no kept verdict covers, and lay the verdicts on its instances."""
    groups: dict[int, list[_Draft]] = {}
    for draft in drafts:
        if not draft.checked.broken:
            groups.setdefault(id(draft.checked), []).append(draft)
    asked: list[tuple[list[_Draft], Question]] = []
    for group in groups.values():
        verdict = known.get(group[0].checked.key or "")
        if verdict is not None and _covers(verdict, group):
            _apply(group, verdict)
            continue
        source = list(check_source(group[0].checked.discovered))
        for draft in group:
            draft.findings.extend(source)
        if not has_error(source):
            asked.append((group, _question(group, settings)))
    verdicts = prober.ask([question for _, question in asked]) if asked else []
    for (group, _), verdict in zip(asked, verdicts, strict=True):
        if group[0].checked.key:
            store.put(group[0].checked.key, verdict)
        for draft in group:
            source = [one for one in draft.findings if one.code == "class-unnamed"]
            draft.kind = verdict.kind or draft.kind
            _describe(draft, settings, verdict)
            draft.findings.extend(source)
        _apply(group, verdict)
    store.save()


def _covers(verdict: Verdict, group: Sequence[_Draft]) -> bool:
    """Whether a verdict is about all sets of parameters; without a ParameterModel only the mode matters."""
    for draft in group:
        if draft.spec is None or draft.key in verdict.parameters:
            continue
        if verdict.schema or draft.config is None or draft.spec.mode.value != draft.config.parameters.mode:
            return False
    return True


def _question(group: Sequence[_Draft], settings: Settings) -> Question:
    discovered = group[0].checked.discovered
    return Question(
        plugin=discovered.plugin,
        roots=discovered.roots,
        first=discovered.first,
        lenient=discovered.lenient,
        host_prefix=settings.prefix,
        parameters={draft.key: _values(draft.spec) for draft in group if draft.spec is not None},
    )


def _apply(group: Sequence[_Draft], verdict: Verdict) -> None:
    for draft in group:
        draft.findings.extend(verdict.about(draft.key))


def _configure(drafts: Sequence[_Draft], settings: Settings, hooks: Hooks) -> None:
    """Let site policy change configs."""
    if not hooks.has("iocmng_configure"):
        return
    for draft in drafts:
        if draft.spec is None or draft.config is None or has_error(draft.findings):
            continue
        candidate = draft.candidate(settings.prefix)
        for answer in reversed(hooks.call("iocmng_configure", candidate=candidate)):
            if isinstance(answer.value, Mapping):
                _change(draft, answer.plugin, answer.value)
        if draft.loaded is not draft.checked.loaded and not has_error(draft.findings):
            before = draft.findings
            _describe(draft, settings, None)
            draft.findings = [*before, *(one for one in draft.findings if one not in before)]


def _change(draft: _Draft, package: str, changes: Mapping[str, Any]) -> None:
    assert draft.config is not None
    present = draft.config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    text = json.dumps(_merged(present, changes), default=str)
    changed = parse_config(text, f"{package}.json", lenient=draft.checked.discovered.lenient)
    if changed.config is None:
        for one in changed.findings:
            if one.level is Level.ERROR:
                draft.findings.append(replace(one, message=f"changed by hooks of {package}: {one.message}"))
        return
    draft.config, draft.loaded = changed.config, changed


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(below)
    for key, value in above.items():
        inner = made.get(key)
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        made[key] = _merged(inner, value) if both and isinstance(inner, Mapping) else value
    return made


def _compare(drafts: Sequence[_Draft], settings: Settings, journal: Journal | None) -> None:
    """Find what instances do to each other, and who ended the host."""
    by_name = {draft.name: draft for draft in drafts}

    def running() -> list[InstanceSpec]:
        return [draft.spec for draft in drafts if draft.spec is not None and not has_error(draft.findings)]

    def fingerprint_of(name: str) -> str:
        return (by_name[name].checked.discovered.fingerprint or "") if name in by_name else ""

    for name, finding in journal.findings(fingerprint_of).items() if journal else ():
        if name in by_name:
            by_name[name].findings.append(finding)
    for name, finding in list(pv_clashes(running(), _host_pvs(settings))):
        by_name[name].findings.append(finding)
    for name, finding in list(dependency_faults(running(), list(by_name))):
        by_name[name].findings.append(finding)


def _host_pvs(settings: Settings) -> dict[str, str]:
    return {record.name: "the host itself" for record in host_records(settings.prefix).values()}


def _ask_hooks(candidates: Sequence[Candidate], settings: Settings, hooks: Hooks) -> Iterator[Candidate]:
    asks = hooks.has("iocmng_validate")
    for candidate in candidates:
        more: list[Finding] = []
        for answer in hooks.call("iocmng_validate", candidate=candidate) if asks else ():
            items = answer.value if isinstance(answer.value, Iterable) else [answer.value]
            more.extend(item for item in items if isinstance(item, Finding))
        if not more:
            yield candidate
            continue
        findings = worst_first((*candidate.findings, *more))
        valid = candidate.valid and not has_error(more)
        spec = candidate.spec if valid or not candidate.valid else _reduced(candidate.spec, settings)
        yield replace(candidate, spec=spec, valid=valid, findings=findings)


def _reduced(spec: InstanceSpec, settings: Settings) -> InstanceSpec:
    return describe_invalid(
        spec.plugin,
        name=spec.name,
        host_prefix=settings.prefix,
        kind=spec.kind,
        prefix=spec.prefix,
        description=spec.description,
        enabled=spec.enabled,
    )


def _without_shared_records(candidates: Sequence[Candidate], settings: Settings) -> Iterator[Candidate]:
    """Take the records from an invalid candidate whose PV names are another one's."""
    taken = set(_host_pvs(settings))
    for candidate in candidates:
        if candidate.valid:
            taken.update(record.name for record in candidate.spec.records)
    for candidate in candidates:
        names = {record.name for record in candidate.spec.records}
        if not candidate.valid and names & taken:
            yield replace(candidate, spec=replace(candidate.spec, defaults={}))
        else:
            taken |= names
            yield candidate
