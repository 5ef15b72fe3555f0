"""The console scripts `iocmng` and `iocmng-server`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from iocmng_cli.loading import Home, LazyCommands
from iocmng_cli.session import TokenFile, Url
from iocmng_cli.streams import quiet_without_reader, tolerate_any_locale

_C = "iocmng_cli.commands"
_INSTANCES, _PLUGINS, _HOST, _FILES = "Instances", "Plugins", "Host", "Without a host"
HOMES = {
    "run": Home(f"{_C}.run", _HOST, remote=False),
    "list": Home(f"{_C}.listing", _INSTANCES),
    "show": Home(f"{_C}.show", _INSTANCES),
    **{
        verb: Home(f"{_C}.lifecycle", _INSTANCES)
        for verb in ("start", "stop", "restart", "pause", "resume", "reset")
    },
    "enable": Home(f"{_C}.enabling", _INSTANCES),
    "disable": Home(f"{_C}.enabling", _INSTANCES),
    "set": Home(f"{_C}.parameters", _INSTANCES),
    "job": Home(f"{_C}.job", _INSTANCES, group=True),
    "logs": Home(f"{_C}.logs", _INSTANCES),
    "watch": Home(f"{_C}.watch", _INSTANCES),
    "pv": Home(f"{_C}.pv", _INSTANCES, group=True),
    **{
        verb: Home(f"{_C}.installing", _PLUGINS)
        for verb in ("install", "upgrade", "uninstall", "rollback", "generations")
    },
    "bundle": Home(f"{_C}.bundle", _PLUGINS, group=True),
    "status": Home(f"{_C}.status", _HOST),
    "restart-host": Home(f"{_C}.status", _HOST),
    "rescan": Home(f"{_C}.status", _HOST),
    "token": Home(f"{_C}.token", _HOST, group=True),
    "config": Home(f"{_C}.config", _HOST, group=True),
    "validate": Home(f"{_C}.validate", _FILES, remote=False),
    "rules": Home(f"{_C}.rules", _FILES, remote=False, group=True),
    "bridge-db": Home(f"{_C}.bridge_db", _FILES, remote=False),
    "schema": Home(f"{_C}.schema", _FILES, remote=False),
    "new": Home(f"{_C}.new", _FILES, remote=False),
    "dev": Home(f"{_C}.dev", _FILES, remote=False),
    "migrate": Home(f"{_C}.migrate", _FILES, remote=False),
    "doctor": Home(f"{_C}.doctor", _FILES),
}


class Commands(LazyCommands):
    """The commands of iocmng."""

    homes = HOMES


app = typer.Typer(
    name="iocmng",
    cls=Commands,
    help="Run plugins in one EPICS IOC host, and operate them.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 no host there, 4 refused in this state, 5 not allowed,"
    " 6 not found.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        from iocmng import __version__

        print(f"iocmng {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    url: Url = None,
    token_file: TokenFile = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that come before the command."""


def main() -> None:
    """Run the command line of `iocmng`."""
    tolerate_any_locale()
    with quiet_without_reader():
        app(prog_name="iocmng")


def server() -> None:
    """Run `iocmng run`, configured by environment variables and the same options (`iocmng-server`)."""
    tolerate_any_locale()
    with quiet_without_reader():
        app(["run", *sys.argv[1:]], prog_name="iocmng")
