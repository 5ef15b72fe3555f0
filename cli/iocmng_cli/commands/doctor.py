"""`iocmng doctor`: what is wrong here, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from iocmng import __version__
from iocmng.errors import BadInput, IocmngError, NoHost, NotFound
from iocmng.names import HOST_SEGMENT, pv_name
from iocmng.wire import Finding, HostView, Level
from iocmng_cli.options import Json
from iocmng_cli.output import Cell, print_json, stdout
from iocmng_cli.session import Session, session
from iocmng_cli.text import reason

if TYPE_CHECKING:
    from iocmng.client import Client

app = typer.Typer()

MARKS = {
    Level.ERROR: Cell("error  ", "bold red"),
    Level.WARNING: Cell("warning", "yellow"),
    Level.NOTE: Cell("ok     ", "green"),
}
TROUBLE = frozenset({"ERROR", "STALLED", "BACKOFF", "INVALID", "FAILED", "TIMEOUT", "LOST"})


@app.command()
def doctor(ctx: typer.Context, json: Json = False) -> None:
    """Look for what is wrong with this installation and the host, and say what to do."""
    findings: list[Finding] = []
    for finding in examine(session(ctx)):
        findings.append(finding)
        if not json:
            _print(finding)
    if json:
        print_json(findings)
    errors = sum(finding.level is Level.ERROR for finding in findings)
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if not json:
        print(f"\n{errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(1)


def examine(target: Session) -> Iterator[Finding]:
    """All checks: of this machine and environment, of the settings here, of the running host."""
    from iocmng_cli import checks

    yield from checks.check_python()
    yield from checks.check_distributions()
    yield from checks.check_imports()
    yield from checks.check_clock()
    yield from checks.check_epics(os.environ)
    yield from _here(target)


def _here(target: Session) -> Iterator[Finding]:
    from iocmng_cli import checks
    from iocmng_cli.commands.config import settings_here

    answered = False
    for finding in _host(target):
        answered = answered or finding.code != "no-host"
        yield finding
    try:
        settings = settings_here()
    except BadInput as error:
        yield Finding(Level.ERROR, "settings", error.detail, hint=error.hint)
        yield from checks.check_entry_points()
        return
    yield from settings.findings
    if settings.default_prefix:
        yield Finding(
            Level.WARNING,
            "settings",
            f"a host started here serves under the default prefix {settings.prefix}",
            hint="choose one: prefix in the site file, IOCMNG_PREFIX or --prefix",
        )
    yield from checks.check_entry_points(checks.site_folders(settings.state_dir))
    yield from checks.check_state_dir(settings.state_dir)
    yield from checks.check_installed(settings.state_dir)
    if not answered:
        yield from checks.check_ports(settings.admin.host, settings.admin.port, os.environ)


def _host(target: Session) -> Iterator[Finding]:
    try:
        with target.client(timeout=5.0) as client:
            host, views = client.host(), client.list()
            waits = _waits(client, host)
    except NoHost as error:
        yield Finding(Level.NOTE, "no-host", error.detail, hint=error.hint)
        return
    except IocmngError as error:
        yield Finding(Level.WARNING, "host", error.detail, hint=error.hint)
        return
    yield Finding(Level.NOTE, "host", f"{host.prefix} at {host.url}: {host.state}")
    if host.version != __version__:
        yield Finding(
            Level.WARNING,
            "host",
            f"the host is iocmng {host.version}, this command line is {__version__}",
            hint="use the command line of the host's environment, or restart the host after an upgrade",
        )
    if waits:
        yield Finding(
            Level.WARNING,
            "host",
            "changed settings or plugins wait for the next start of the host",
            hint="iocmng restart-host",
        )
    for problem in host.problems:
        yield Finding(Level.WARNING, "host", problem, hint="iocmng status")
    for view in views:
        if view.state in TROUBLE:
            yield Finding(
                Level.ERROR,
                "instance",
                f"{view.name} is {view.state}: {reason(view)}",
                hint=f"iocmng show {view.name}",
            )
        elif view.degraded:
            yield Finding(
                Level.WARNING,
                "instance",
                f"{view.name} is degraded: {reason(view)}",
                hint=f"iocmng show {view.name}",
            )


def _waits(client: Client, host: HostView) -> bool:
    """Whether something waits for the next start of the host."""
    try:
        return bool(client.pv(pv_name(host.prefix, HOST_SEGMENT, "RESTART_REQUIRED")).value)
    except NotFound:
        # A host of another version may lack that PV.
        return False


def _print(finding: Finding) -> None:
    from rich.text import Text

    mark = MARKS[finding.level]
    place = f"{finding.where}: " if str(finding.where) else ""
    text = Text(mark.text, style=mark.style)
    text.append(f"  {finding.code}: {place}{finding.message}", style="not bold default")
    if finding.hint:
        text.append(f"\n         → {finding.hint}", style="not bold dim")
    stdout().print(text, soft_wrap=True)
