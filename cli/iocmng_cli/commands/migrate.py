"""`iocmng migrate`: what plugins of iocmng 2 will do differently here, and packages made of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iocmng.errors import BadInput, IocmngError
from iocmng.wire import Finding, Level, Where, to_plain
from iocmng_cli.commands.validate import STYLES
from iocmng_cli.options import Json
from iocmng_cli.output import colored, print_json

if TYPE_CHECKING:
    from iocmng.plugins.check import Report
    from iocmng.plugins.verdict import Prober
    from iocmng.settings.directories import PluginDirectory

app = typer.Typer()
GUIDE = "docs/moving-from-iocmng-2.md"


@dataclass
class Moved:
    """What was found about one plugin."""

    entry: PluginDirectory
    differences: list[Finding] = field(default_factory=list)
    report: Report | None = None
    package: Path | None = None
    packaged: Report | None = None
    left: list[Finding] = field(default_factory=list)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What validation says, of the package where one was written."""
        judged = self.packaged or self.report
        return (*self.entry.findings, *(judged.findings if judged else ()), *self.left)

    @property
    def ok(self) -> bool:
        """Whether it will run."""
        return not any(finding.level is Level.ERROR for finding in self.findings)


@app.command(
    epilog="Example: iocmng migrate plugins.yaml\n\n"
    "Example: iocmng migrate /opt/plugins/pump --out packages\n\n"
    "Exits 1 when a plugin will not run as it is."
)
def migrate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PLUGINS_YAML|DIR",
            help="List of plugins of iocmng 2, a plugin directory, or a folder of plugin directories.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write each plugin as a package into this folder.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what plugins of iocmng 2 will do differently, and write them as packages."""
    from iocmng.host.probe import Probe
    from iocmng.plugins.moving import GENERAL

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iocmng-migrate-")))
        probe = stack.enter_context(Probe())
        moved = [_look(entry, probe, scratch, out, stack) for entry in _entries(source.expanduser())]
    if not moved:
        raise BadInput(f"{source} names no plugin", hint="name plugins.yaml, or a plugin directory")
    site = _write_site(out, moved) if out else None
    if json:
        everywhere = {"general": GENERAL, "site_file": None if site is None else str(site)}
        print_json({"plugins": [_plain(one) for one in moved], **everywhere})
    else:
        for one in moved:
            _show(one)
        print("every plugin:")
        for text in GENERAL:
            print(f"  {text}")
        if site is not None:
            print(f"{site} holds what the list says about instances; put it into the site file")
        print(f"{GUIDE} says more about each line")
    if not all(one.ok for one in moved):
        raise typer.Exit(1)


def _entries(source: Path) -> Iterator[PluginDirectory]:
    from iocmng.plugins.installing.sources_folder import holds_plugin
    from iocmng.settings.directories import read_plugins_file

    if source.is_file():
        tokens = list(_tokens_in_clear(source))
        for index, entry in enumerate(read_plugins_file(source, os.environ)):
            more = tuple(finding for number, finding in tokens if number == index)
            yield replace(entry, findings=(*entry.findings, *more))
        return
    if not source.is_dir():
        raise BadInput(f"there is no {source}", hint="name plugins.yaml, or a plugin directory")
    folders = [source] if holds_plugin(source) else sorted(filter(holds_plugin, source.iterdir()))
    for folder in folders:
        yield _of_folder(folder.resolve())


def _of_folder(folder: Path) -> PluginDirectory:
    from iocmng.names import plugin_name_problem
    from iocmng.settings.directories import PluginDirectory, instance_settings

    if problem := plugin_name_problem(folder.name):
        raise BadInput(f"{folder}: {problem}", hint="a plugin is called as its folder: rename it")
    return PluginDirectory(
        name=folder.name, directory=folder, root=folder, settings=instance_settings(folder.name, {})
    )


def _tokens_in_clear(file: Path) -> Iterator[tuple[int, Finding]]:
    from iocmng.config import read_document

    document = read_document(file.read_text(encoding="utf-8-sig", errors="replace"), str(file))
    entries = document.value.get("plugins") if isinstance(document.value, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        pat = entry.get("pat") if isinstance(entry, dict) else None
        if pat and "${" not in str(pat):
            where = document.where("plugins", index, "pat")
            text = "the token stands here in clear text"
            yield index, Finding(Level.WARNING, "changed", text, where, "write ${NAME} of a variable")


def _look(entry: PluginDirectory, probe: Prober, scratch: Path, out: Path | None, stack: ExitStack) -> Moved:
    from iocmng.plugins.check import validate_directory, validate_path
    from iocmng.plugins.installing.sources_folder import is_project
    from iocmng.plugins.moving import differences

    moved = Moved(entry)
    if entry.broken:
        return moved
    try:
        entry = _fetched(entry, scratch, stack)
        folder = entry.directory
        if folder is None or not folder.is_dir():
            raise BadInput(f"there is no folder {folder}")
        if is_project(folder):
            moved.report = validate_path(str(folder), prober=probe)
            text = "it is a package already: iocmng install takes its folder"
            moved.differences.append(Finding(Level.NOTE, "changed", text, Where(str(folder))))
            return moved
        moved.report = validate_directory(entry, prober=probe)
        moved.differences += differences(folder)
        if out is not None:
            _write(moved, entry, out, probe)
    except (IocmngError, OSError) as problem:
        hint = problem.hint if isinstance(problem, IocmngError) else ""
        text = problem.detail if isinstance(problem, IocmngError) else str(problem)
        moved.left.append(Finding(Level.ERROR, "not-installed", f"{entry.name}: {text}", entry.where, hint))
    return moved


def _fetched(entry: PluginDirectory, scratch: Path, stack: ExitStack) -> PluginDirectory:
    """The entry with its files on this machine."""
    from iocmng.plugins.installing.git import fetched
    from iocmng.plugins.installing.sources import git_source, of_source
    from iocmng.plugins.installing.sources_path import inner_folder, refuse_links_out

    if entry.source is None or not entry.source.git_url:
        return entry
    wanted = of_source(entry.source)
    tree = stack.enter_context(
        fetched(git_source(wanted), scratch, lambda line: None, environ=os.environ, token=wanted.token)
    )
    folder = inner_folder(tree.folder, wanted.origin.path)
    refuse_links_out(folder, tree.folder)
    return replace(entry, directory=folder, root=tree.folder)


def _write(moved: Moved, entry: PluginDirectory, out: Path, probe: Prober) -> None:
    from iocmng.plugins.check import validate_path
    from iocmng.plugins.repackage import repackage

    assert entry.directory is not None
    out.mkdir(parents=True, exist_ok=True)
    written = repackage(entry.name, entry.directory, out.resolve(), root=entry.root)
    moved.package = written.folder
    moved.left += written.findings
    moved.packaged = validate_path(str(written.folder), prober=probe)


def _write_site(out: Path, moved: list[Moved]) -> Path | None:
    """What the list says about instances, for the site file; None when it says nothing."""
    from iocmng.plugins.repackage import instances_of

    entries: list[dict[str, Any]] = []
    for one in moved:
        site = one.entry.settings
        if site is None or one.package is None:
            continue
        said: dict[str, Any] = {"plugin": one.entry.name}
        if site.parameters:
            said["parameters"] = site.parameters
        if not site.enabled:
            said["enabled"] = False
        if "start_order" in site.supervision.model_fields_set:
            said["supervision"] = {"start_order": site.supervision.start_order}
        if len(said) > 1:
            entries.append(said)
    if not entries:
        return None
    file = out / "instances.yaml"
    file.write_text(instances_of(entries), encoding="utf-8")
    return file


def _show(moved: Moved) -> None:
    summary = (moved.packaged or moved.report).summary if moved.report else "cannot be looked at"
    print(f"{moved.entry.name}: {summary}")
    for finding in (*moved.findings, *moved.differences):
        print(f"  {colored(str(finding), STYLES[finding.level])}")
    if moved.package is not None:
        print(f"  written to {moved.package}")


def _plain(moved: Moved) -> dict[str, Any]:
    report = moved.packaged or moved.report
    return {
        "name": moved.entry.name,
        "source": str(moved.entry),
        "ok": moved.ok,
        "differences": to_plain(moved.differences),
        "findings": to_plain(moved.findings),
        "pvs": [record.name for one in (report.candidates if report else ()) for record in one.spec.records],
        "package": None if moved.package is None else str(moved.package),
    }
