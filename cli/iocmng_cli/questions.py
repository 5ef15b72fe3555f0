"""What is asked before outputs go INVALID: only on a terminal, never of a script."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from iocmng.errors import IocmngError

if TYPE_CHECKING:
    from iocmng.client import Client

SHOWN = 10


def confirm_invalid_outputs(client: Client, names: Iterable[str], verb: str, *, yes: bool) -> None:
    """Say which outputs of running tasks `verb` makes INVALID, and ask whether to go on.

    Raises:
        typer.Exit: The answer is no.
    """
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    hit = [output for name in names for output in valid_outputs(client, name)]
    if not hit:
        return
    more = f"\n  … and {len(hit) - SHOWN} more" if len(hit) > SHOWN else ""
    listing = "".join(f"\n  {output}" for output in hit[:SHOWN])
    print(f"{verb} makes these outputs INVALID (COMM) for all clients:{listing}{more}", file=sys.stderr)
    if not typer.confirm("Go on?", err=True):
        print("nothing was done", file=sys.stderr)
        raise typer.Exit(1)


def valid_outputs(client: Client, name: str) -> list[str]:
    """Outputs of an instance that clients take for valid now."""
    try:
        detail = client.show(name)
    except IocmngError:
        return []  # the verb itself will say what is wrong with that name
    if detail.view.kind != "task" or detail.view.state not in ("RUN", "STALLED"):
        return []
    return [port.pv.name for port in detail.ports if port.direction == "output"]
