"""`iocmng status`, `iocmng rescan` and `iocmng restart-host`: the host itself."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from iocmng_cli.options import Json, Yes
from iocmng_cli.output import heading, print_fields, print_json, word
from iocmng_cli.plans import on_terminal
from iocmng_cli.session import session
from iocmng_cli.text import value_text
from iocmng_cli.times import clock, duration

app = typer.Typer()


@app.command()
def status(ctx: typer.Context, json: Json = False) -> None:
    """Show the host: state, address, counts, problems."""
    with session(ctx).client() as client:
        host = client.host()
    if json:
        print_json(host)
        return
    print_fields(
        {
            "prefix": f"{host.prefix} (a default: give one with --prefix)"
            if host.default_prefix
            else host.prefix,
            "name": host.name,
            "state": word(host.state),
            "message": host.message,
            "up": f"{duration(host.uptime)}, since {clock(host.started)}",
            "instances": f"{host.instances}, {host.running} running, {host.failed} failed,"
            f" {host.degraded} degraded",
            "records": str(host.records or ""),
            "load": f"{host.cpu:.0f} % of a core, {host.memory:.0f} MiB",
            "version": f"iocmng {host.version}" + (f", Python {host.python}" if host.python else ""),
            "process": f"{host.pid} on {host.hostname}",
            "URL": host.url,
            "CA, PVA ports": f"{host.ca_port}, {host.pva_port}" if host.ca_port else "",
            "state directory": host.state_dir,
            "boot": host.boot_id,
        }
    )
    if host.problems:
        heading("Problems")
        for problem in host.problems:
            print(f"  {problem}")


@app.command()
def rescan(ctx: typer.Context, json: Json = False) -> None:
    """Look for plugins again and say what changed."""
    with session(ctx).client() as client:
        changed = client.rescan()
    if json:
        print_json(changed)
    elif any(changed.values()):
        restart = changed.get("restart_required")
        print_fields(
            {
                key.replace("_", " "): _names(value)
                for key, value in changed.items()
                if value and value is not True
            }
        )
        if restart:
            print("The host takes this at its next start: iocmng restart-host")
    else:
        print("nothing changed")


@app.command("restart-host", epilog="Example: iocmng restart-host --yes")
def restart_host(
    ctx: typer.Context,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ready again.")] = True,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait at most.")
    ] = 60.0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Replace the host's process by a new one; state is kept, all PVs are away for some seconds."""
    with session(ctx).client() as client:
        host = client.host()
        if on_terminal() and not yes:
            print(f"All PVs of {host.prefix} are away for some seconds.", file=sys.stderr)
            if not typer.confirm("Go on?", err=True):
                print("nothing was done", file=sys.stderr)
                raise typer.Exit(1)
        client.restart_host(wait=(timeout or None) if wait else 0.0)
        host = client.host() if wait else host
    if json:
        print_json(host)
    elif wait:
        print(f"{host.name or host.prefix} is back: {host.instances} instances, {host.running} running")
    else:
        print("the host restarts")


def _names(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else value_text(value)
