"""`iocmng config sample / check / show / reload`: the site file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iocmng.errors import BadInput
from iocmng.wire import Finding, Level
from iocmng_cli.options import Json
from iocmng_cli.output import Column, print_json, print_table
from iocmng_cli.session import session
from iocmng_cli.text import value_text

if TYPE_CHECKING:
    from iocmng.settings import Settings

app = typer.Typer(help="Write, check and show the site file.", no_args_is_help=True)

SITE_FILE_HELP = "Site file; default: IOCMNG_CONFIG, ./iocmng.yaml, /etc/iocmng/iocmng.yaml."
SiteFile = Annotated[Path | None, typer.Argument(metavar="FILE", help=SITE_FILE_HELP)]


@app.command(epilog="Example: iocmng config sample > iocmng.yaml")
def sample() -> None:
    """Print a site file that explains its keys."""
    from iocmng.settings import sample as text

    print(text(), end="")


@app.command(epilog="Example: iocmng config check site.yaml")
def check(file: SiteFile = None, json: Json = False) -> None:
    """Check a site file, and the environment variables beside it."""
    try:
        settings = settings_here(file)
        findings, errors = list(settings.findings), []
        named = str(settings.file) if settings.file else "no site file: defaults and environment"
    except BadInput as error:
        findings, errors, named = [], [error], str(file or "")
    if json:
        print_json([*findings, *(Finding(Level.ERROR, error.error_code, error.detail) for error in errors)])
    else:
        for finding in findings:
            print(finding)
        for refused in errors:
            print(refused.detail)
            if refused.hint:
                print(f"hint: {refused.hint}")
        if not errors:
            print(f"{named}: {len(findings)} warnings" if findings else f"{named}: good")
    if errors:
        raise typer.Exit(1)


@app.command(epilog="Example: iocmng config show --running")
def show(
    ctx: typer.Context,
    file: SiteFile = None,
    running: Annotated[bool, typer.Option("--running", help="Those of the running host instead.")] = False,
    json: Json = False,
) -> None:
    """Show the settings that a host started here would have, with the origin of each."""
    described: Any
    if running:
        with session(ctx).client() as client:
            described = client.config()
    else:
        described = settings_here(file).describe()
    if json:
        print_json(described)
        return
    rows = [(key, value_text(entry["value"]), entry["origin"]) for key, entry in described.items()]
    print_table((Column("SETTING"), Column("VALUE", wraps=True), Column("FROM", rank=1)), rows)


@app.command(epilog="Example: iocmng config reload")
def reload(ctx: typer.Context, json: Json = False) -> None:
    """Have the running host read its settings again, and say which of the changed ones need a restart."""
    with session(ctx).client() as client:
        done = client.reload_config()
    if json:
        print_json(done)
        return
    for finding in done.findings:
        print(finding)
    if not done.changes:
        print(f"{done.file or 'no site file'}: nothing changed")
        return
    rows = [
        (one.key, value_text(one.before), value_text(one.after), one.remark or "applied")
        for one in done.changes
    ]
    columns = (Column("SETTING"), Column("BEFORE", wraps=True), Column("NOW", wraps=True), Column("EFFECT"))
    print_table(columns, rows)


def settings_here(file: Path | None = None) -> Settings:
    """The settings that `iocmng run` would have in this directory and environment.

    Raises:
        BadInput: Something cannot be used.
    """
    from iocmng.settings import load_settings

    return load_settings({"config": file}, os.environ, Path.cwd())
