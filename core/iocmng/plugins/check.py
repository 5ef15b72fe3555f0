"""Validate what no host runs: a plugin directory, a project, a wheel, a config file, something installed."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from iocmng.errors import BadInput, NotFound
from iocmng.names import did_you_mean
from iocmng.plugins.candidate import Candidate, worst_first
from iocmng.plugins.catalog import build_catalog
from iocmng.plugins.directory import stage
from iocmng.plugins.discovery import Discovered, advertised, discover
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.hooks import Hooks, hookimpl
from iocmng.plugins.location import CONFIG_NAMES
from iocmng.plugins.project import FILE, read_project, requirements
from iocmng.plugins.sitefunctions import register_functions
from iocmng.plugins.verdict import Prober, Question
from iocmng.settings.directories import PluginDirectory
from iocmng.settings.instances import InstanceSettings
from iocmng.settings.settings import Settings
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, Where

CONFIGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Report:
    """What validation says.

    Attributes:
        subject: What was looked at, in words.
        candidates: The instance that each plugin would give.
        findings: Everything, errors first.
    """

    subject: str
    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return self.count(Level.ERROR) == 0

    def count(self, level: Level) -> int:
        """How many findings of a level there are."""
        return sum(finding.level is level for finding in self.findings)

    @property
    def summary(self) -> str:
        """One line: what was looked at, how many plugins, PVs, errors and warnings."""
        pvs = sum(len(one.spec.records) for one in self.candidates if one.valid)
        parts = [f"{len(self.candidates)} plugin{'' if len(self.candidates) == 1 else 's'}", f"{pvs} PVs"]
        for level in Level:
            if number := self.count(level):
                parts.append(f"{number} {level}{'' if number == 1 else 's'}")
        return f"{self.subject}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class _Subject:
    words: str
    plugins: tuple[Discovered, ...]
    findings: tuple[Finding, ...] = ()


class _Given:
    """A source of plugins that were found already."""

    def __init__(self, plugins: Sequence[Discovered]) -> None:
        self._plugins = plugins

    @hookimpl
    def iocmng_discover(self) -> Iterable[Discovered]:
        """The plugins."""
        return self._plugins


def validate_path(subject: str, *, prober: Prober, prefix: str = "VALIDATE") -> Report:
    """Validate a plugin directory, a package project, a wheel, a config file, or something installed.

    Args:
        subject: A path, else the name of a plugin or distribution.
        prober: Imports plugins in a child process.
        prefix: The host's PV prefix, which counts for the length of names.

    Raises:
        NotFound: There is no such path and nothing of that name is installed.
        BadInput: The path is nothing that could be validated.
    """
    with tempfile.TemporaryDirectory(prefix="iocmng-") as scratch:
        return _judged(_find(subject, Path(scratch)), Path(scratch), prober, prefix)


def validate_directory(entry: PluginDirectory, *, prober: Prober, prefix: str = "VALIDATE") -> Report:
    """Validate the plugin directory of an entry of plugins.yaml, as `validate_path` does."""
    with tempfile.TemporaryDirectory(prefix="iocmng-") as scratch:
        found = stage(entry, Path(scratch), Environment.read())
        subject = _Subject(f"plugin directory {entry.directory}", (found,))
        return _judged(subject, Path(scratch), prober, prefix)


def _judged(found: _Subject, scratch: Path, prober: Prober, prefix: str) -> Report:
    hooks = Hooks()
    hooks.register(_Given(found.plugins), "given", builtin=True)
    settings = Settings(prefix=prefix, state_dir=scratch)
    catalog = build_catalog(settings, hooks, prober=prober)
    if any(one.code == "unknown-function" for plugin in catalog.candidates for one in plugin.findings):
        # Packages of the site may bring it; they are looked at only when one is missing.
        _register_site_functions(prober)
        catalog = build_catalog(settings, hooks, prober=prober)
    hooks.close()
    findings = [finding for one in catalog.candidates for finding in one.findings]
    findings = [*found.findings, *findings, *catalog.findings]
    return Report(found.words, catalog.candidates, worst_first(findings))


def _register_site_functions(prober: Prober) -> None:
    def judge(name: str, target: str) -> tuple[Finding, ...]:
        return prober.ask([Question(plugin=PluginRef(name=name, target=target), hooks=True)])[0].findings

    site = Hooks()
    site.load(judge=judge)
    register_functions(site)
    site.close()


def _find(subject: str, scratch: Path) -> _Subject:
    path = Path(subject).expanduser()
    if path.is_dir():
        return _folder(path.resolve(), scratch)
    if path.suffix == ".whl" and path.is_file():
        return _wheel(path.resolve(), scratch)
    if path.suffix in CONFIGS and path.is_file():
        return _config(path.resolve())
    if path.exists():
        hint = "give a plugin directory, a package project, a wheel, a config file, or the name of a plugin"
        raise BadInput(f"{subject} cannot be validated", hint=hint)
    return _installed(subject)


def _folder(folder: Path, scratch: Path) -> _Subject:
    if (folder / FILE).is_file():
        plugins, findings = read_project(folder)
        if plugins or findings or not any((folder / name).is_file() for name in CONFIG_NAMES):
            if not plugins and not findings:
                text = f"{FILE} advertises no plugin"
                hint = "add [project.entry-points.\"iocmng.plugins\"] with NAME = 'package.module:Class'"
                findings = (Finding(Level.ERROR, "no-plugin", text, Where(str(folder / FILE)), hint),)
            first = tuple(replace(one, first=True) for one in plugins)
            missing = _missing(folder.name, requirements(folder))
            return _Subject(f"project {folder}", first, (*findings, *missing))
    if not any(folder.glob("*.py")) and not any((folder / name).is_file() for name in CONFIG_NAMES):
        hint = f"a plugin directory holds config.yaml and a module, a project {FILE}"
        raise BadInput(f"{folder} holds no plugin", hint=hint)
    entry = PluginDirectory(
        name=folder.name, directory=folder, root=folder, settings=InstanceSettings(plugin=folder.name)
    )
    return _Subject(f"plugin directory {folder}", (stage(entry, scratch, Environment.read()),))


def _wheel(wheel: Path, scratch: Path) -> _Subject:
    root = scratch / "wheel"
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(root)
    except (zipfile.BadZipFile, OSError) as problem:
        raise BadInput(f"{wheel} cannot be unpacked: {problem}") from None
    environment = Environment.read([str(root)])
    findings: list[Finding] = []
    for distribution in environment.installed.values():
        wanted = distribution.source.requires or []
        findings += _missing(distribution.name, [one for one in wanted if "extra ==" not in one])
    place = (str(root), str(wheel))
    plugins = tuple(replace(one, shown=place) for one in advertised(environment, importable=False))
    if not plugins:
        text = f"{wheel.name} advertises no plugin"
        findings.append(Finding(Level.ERROR, "no-plugin", text, Where(str(wheel))))
    return _Subject(f"wheel {wheel}", plugins, tuple(findings))


def _missing(name: str, wanted: Iterable[str]) -> Iterator[Finding]:
    environment = Environment.read()
    for text in wanted:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker and not requirement.marker.evaluate():
            continue
        there = environment.installed.get(canonical(requirement.name))
        if there is None and canonical(requirement.name) != "iocmng":
            message = f"{name} requires {text}, which is not installed here"
            hint = f"pip install '{text}'"
            yield Finding(Level.WARNING, "requirement-missing", message, Where(key=name), hint)


def _config(file: Path) -> _Subject:
    name = file.parent.name if file.name in CONFIG_NAMES else file.name.partition(".")[0]
    plugin = PluginRef(name=name, target=name, config=str(file))
    return _Subject(f"config {file}", (Discovered(plugin=plugin),))


def _installed(name: str) -> _Subject:
    everything = discover()
    plugins = tuple(one for one in everything if one.plugin.name == name)
    if plugins:
        return _Subject(f"installed plugin {name}", plugins)
    plugins = tuple(one for one in everything if canonical(one.plugin.distribution) == canonical(name))
    if plugins:
        return _Subject(f"installed distribution {name}", plugins)
    known = {one.plugin.name for one in everything} | {one.plugin.distribution for one in everything}
    hint = did_you_mean(name, known - {""}) or "install it, or give the path of a directory or wheel"
    raise NotFound(f"{name!r} is no path, and no plugin or distribution of that name is installed", hint=hint)
