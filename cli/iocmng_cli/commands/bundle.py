"""`iocmng bundle create / install`: plugins for hosts that reach no index, in one file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from iocmng.errors import BadInput, NotFound
from iocmng.wire import InstallRequest
from iocmng_cli.commands.config import settings_here
from iocmng_cli.commands.installing import REQ_HELP, AcceptReconnect, Plan, RestartHost, change
from iocmng_cli.options import Json, Yes
from iocmng_cli.output import print_json, stderr
from iocmng_cli.requirements import located

app = typer.Typer(help="Carry plugins to hosts that reach no index, in one file.", no_args_is_help=True)

HERE = "http://127.0.0.1"
SUFFIX = ".zip"


@app.command(
    epilog="Example: iocmng bundle create plugins.zip acme-beam\n\n"
    "Example: iocmng bundle create everything.zip"
)
def create(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bundle to write; its name ends in .zip.")],
    requirements: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REQ", help=f"{REQ_HELP} Without any: what is installed in the state directory."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write requirements with all they need into one file, for the Python and base of this environment."""
    from iocmng.plugins.installing.bundle import create_bundle
    from iocmng.plugins.installing.bundling import bundle_requirements
    from iocmng.plugins.installing.lock import read_lock
    from iocmng.plugins.installing.store import WheelStore

    file = file.expanduser().absolute()
    if file.suffix != SUFFIX:
        raise BadInput(
            f"{file.name} does not end in {SUFFIX}", hint=f"iocmng bundle create {file.name}{SUFFIX}"
        )
    settings = settings_here()
    if requirements:
        wanted = tuple(located(text, HERE) for text in requirements)
        tell: Callable[[str], None] = _silent if json else stderr
        rules = settings.install
        lock: Any = bundle_requirements(
            wanted,
            file,
            index=rules.index,
            backend=rules.backend,
            wheels_only=rules.wheels_only,
            environ=os.environ,
            tell=tell,
        )
    else:
        lock = read_lock(settings.state_dir).value
        if lock is None or not lock.distributions:
            raise NotFound(
                f"nothing has been installed through the host of {settings.state_dir}",
                hint="name what to bundle, or the state directory with IOCMNG_STATE_DIR",
            )
        create_bundle(lock, WheelStore(settings.state_dir), file)
    if json:
        print_json({"file": str(file), "python": lock.python, "distributions": lock.distributions})
        return
    for one in lock.distributions:
        print(f"{one.name} {one.version}")
    print(f"{file}: {len(lock.distributions)} distributions for Python {lock.python}")


def _silent(line: str) -> None:
    """Nobody reads along."""


@app.command(epilog="Example: iocmng bundle install plugins.zip")
def install(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle, on the host's machine.")],
    plan: Plan = False,
    yes: Yes = False,
    restart_host: RestartHost = False,
    accept_reconnect: AcceptReconnect = False,
    json: Json = False,
) -> None:
    """Install a bundle into the running host; no index is asked."""
    request = InstallRequest(
        requirements=(str(file.expanduser().absolute()),),
        restart_host=restart_host,
        accept_reconnect=accept_reconnect,
    )
    change(ctx, request, plan_only=plan, yes=yes, json=json)
