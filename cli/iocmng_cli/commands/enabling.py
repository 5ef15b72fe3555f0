"""`iocmng enable / disable`: whether an instance starts at boot."""

from __future__ import annotations

import typer

from iocmng_cli.options import Json, Names, Yes
from iocmng_cli.questions import confirm_invalid_outputs
from iocmng_cli.session import session
from iocmng_cli.several import chosen, conclude, each

app = typer.Typer()


@app.command()
def enable(ctx: typer.Context, names: Names = None, json: Json = False) -> None:
    """Let instances start at boot."""
    with session(ctx).client() as client:
        conclude(each(chosen(names, False, list), lambda name: client.enable(name, True)), json=json)


@app.command()
def disable(ctx: typer.Context, names: Names = None, yes: Yes = False, json: Json = False) -> None:
    """Stop instances, and do not start them at boot."""
    with session(ctx).client() as client:
        targets = chosen(names, False, list)
        confirm_invalid_outputs(client, targets, "disable", yes=yes)
        conclude(each(targets, lambda name: client.enable(name, False)), json=json)
