"""What is installed: every plugin a distribution advertises, broken ones with their reason; never raises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from importlib_metadata import EntryPoint

from iocmng.names import plugin_name_problem
from iocmng.plugins.environment import Environment, Installed
from iocmng.plugins.location import CONFIG_NAMES, config_beside, locate
from iocmng.settings.instances import InstanceSettings
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, Where

PLUGINS = "iocmng.plugins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """A plugin that something advertises.

    Attributes:
        plugin: What it is called and where its code and config are.
        file: The module's file, "" when it was not found or is a folder.
        roots: Folders that must be on the import path to import it.
        first: These folders come before everything else on the import path.
        project: The source folder of an editable installation, else "".
        fingerprint: Changes with everything that could change a verdict; None: never keep a verdict.
        shown: Findings in the first of these folders are shown as if in the second.
        lenient: Rules of plugin directories apply (REFERENCE 1).
        site: What its source says about its instance (an entry of plugins.yaml), None for nothing.
        findings: Why it is broken, and what is worth knowing.
    """

    plugin: PluginRef
    file: str = ""
    roots: tuple[str, ...] = ()
    first: bool = False
    project: str = ""
    fingerprint: str | None = None
    shown: tuple[str, str] | None = None
    lenient: bool = False
    site: InstanceSettings | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether a finding forbids to go on."""
        return any(finding.level is Level.ERROR for finding in self.findings)


def discover(path: Sequence[str] | None = None) -> tuple[Discovered, ...]:
    """All plugins of the entry-point group `iocmng.plugins`, in the order (distribution, name).

    Args:
        path: Folders to read instead of this interpreter's import path.
    """
    return mark_duplicates(advertised(Environment.read(path), importable=path is None))


def advertised(environment: Environment, *, importable: bool = True) -> Iterator[Discovered]:
    """Yield the plugins of an environment; `importable` says that it is this interpreter's own."""
    for key, distribution in sorted(environment.installed.items()):
        if environment.only is not None and key not in environment.only:
            continue
        for name, point in sorted(distribution.points(PLUGINS), key=lambda pair: pair[0]):
            if isinstance(point, EntryPoint):
                yield describe_point(environment, distribution, point, importable=importable)
            else:
                plugin = PluginRef(
                    name=name or distribution.name,
                    target="",
                    distribution=distribution.name,
                    version=distribution.version,
                )
                yield Discovered(plugin=plugin, findings=(_error("entry-point", point, plugin),))
    for complaint in environment.complaints if environment.only is None else ():
        plugin = PluginRef(name=complaint.partition(":")[0].rpartition("/")[2], target="")
        text = f"metadata cannot be read: {complaint}"
        if plugin.name.endswith((".dist-info", ".egg-info")):
            yield Discovered(plugin=plugin, findings=(_error("metadata", text, plugin),))


def describe_point(
    environment: Environment, distribution: Installed, point: EntryPoint, *, importable: bool = True
) -> Discovered:
    """Find out without importing where the code and the config of an entry point are."""
    plugin = PluginRef(
        name=point.name,
        target=point.value,
        distribution=distribution.name,
        version=distribution.version,
        editable=bool(distribution.project),
    )
    found = find_files(plugin, point.module, distribution.roots, importable=importable)
    return replace(
        found,
        first=not importable,
        project=distribution.project,
        fingerprint=environment.fingerprint(distribution),
    )


def find_files(plugin: PluginRef, module: str, roots: tuple[str, ...], *, importable: bool) -> Discovered:
    """Find a plugin's module and config without importing anything.

    Args:
        plugin: The plugin, its config not known yet.
        module: Dotted name of its module.
        roots: Folders to look in.
        importable: Ask this interpreter's import machinery first.
    """
    name = plugin.name
    findings: list[Finding] = []
    if problem := plugin_name_problem(name):
        findings.append(_error("name", problem, plugin, "rename the entry point in pyproject.toml"))
    location = locate(module, roots, importable=importable)
    if location is None:
        source = f"{plugin.distribution} {plugin.version}".strip() or ", ".join(roots)
        text = f"{name}: there is no module {module!r} in {source}"
        hint = "name it in the entry point as 'package.module:Class', and check that the package contains it"
        findings.append(_error("module-missing", text, plugin, hint))
        return Discovered(plugin=plugin, roots=roots, findings=tuple(findings))
    config = config_beside(location, module, name)
    if not config:
        stem = module.rpartition(".")[2]
        text = f"{name}: no config in {location.folder}"
        names = ", ".join((f"{stem}.config.yaml", f"{name}.yaml", *CONFIG_NAMES))
        hint = f"put one of {names} there and include it in the package"
        findings.append(_error("config-missing", text, plugin, hint))
    return Discovered(
        plugin=replace(plugin, config=config), file=location.file, roots=roots, findings=tuple(findings)
    )


def mark_duplicates(found: Iterable[Discovered]) -> tuple[Discovered, ...]:
    """Make an error on each of those that share a name, naming where all of them come from."""
    everything = tuple(found)
    groups: defaultdict[str, list[Discovered]] = defaultdict(list)
    for one in everything:
        groups[one.plugin.name].append(one)
    return tuple(
        _with_duplicates(one, groups[one.plugin.name]) if len(groups[one.plugin.name]) > 1 else one
        for one in everything
    )


def _with_duplicates(one: Discovered, group: list[Discovered]) -> Discovered:
    sources = " and ".join(f"{other.plugin.distribution} {other.plugin.version}".strip() for other in group)
    text = f"the plugin name {one.plugin.name!r} is advertised by {sources}"
    hint = "uninstall one of them, or rename its entry point"
    return replace(one, findings=(*one.findings, _error("duplicate-plugin", text, one.plugin, hint)))


def _error(code: str, message: str, plugin: PluginRef, hint: str = "") -> Finding:
    place = f"{plugin.distribution}:{plugin.name}" if plugin.distribution else plugin.name
    return Finding(Level.ERROR, code, message, Where(key=place), hint)
