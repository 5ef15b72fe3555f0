"""`iocmng list`: all instances and broken plugins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from iocmng.lifecycle import JobState, State
from iocmng.names import did_you_mean
from iocmng.wire import InstanceView, to_plain
from iocmng_cli.options import Json
from iocmng_cli.output import Column, Row, print_json, print_table, word
from iocmng_cli.session import session
from iocmng_cli.text import notes, reason

app = typer.Typer()

STATES = tuple(dict.fromkeys((*State.__members__, *JobState.__members__)))
COLUMNS = (
    Column("NAME"),
    Column("KIND", rank=8),
    Column("MODE", rank=11),
    Column("STATE"),
    Column("NOTE", rank=1),
    Column("CYCLES", rank=4, right=True),
    Column("ERRORS", rank=2, right=True),
    Column("RESTARTS", rank=3, right=True),
    Column("VERSION", rank=5),
    Column("GEN", rank=6, right=True),
    Column("ORIGIN", rank=9),
    Column("PREFIX", rank=10),
    Column("MESSAGE", wraps=True),
)


class Kind(StrEnum):
    """What an instance is."""

    TASK = "task"
    JOB = "job"


def _known_state(value: str | None) -> str | None:
    if value is not None and value.upper() not in STATES:
        raise typer.BadParameter(f"{value!r} is no state; {did_you_mean(value, STATES)}")
    return value.upper() if value else None


@app.command(
    "list", epilog="Example: iocmng list --state ERROR\n\nExample: iocmng list --json | jq -r '.[].name'"
)
def list_(
    ctx: typer.Context,
    kind: Annotated[Kind | None, typer.Option(metavar="task|job", help="Only tasks, or only jobs.")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            callback=_known_state,
            help="Only those in this state, in the words of STATUS.",
            autocompletion=lambda: list(STATES),
        ),
    ] = None,
    pvs: Annotated[bool, typer.Option("--pvs", help="Also the names of the PVs.")] = False,
    json: Json = False,
) -> None:
    """List the instances of the host, and broken plugins with their reason."""
    with session(ctx).client() as client:
        views = client.list(kind=kind.value if kind else None, state=state)
        names = _names_by_prefix([pv.name for pv in client.pvs()], views) if pvs else {}
    if json:
        print_json([{**to_plain(view), **({"pv_names": names[view.name]} if pvs else {})} for view in views])
        return
    print_table(COLUMNS, [row(view) for view in views], empty="no instances")
    for view in views if pvs else ():
        print(f"\n{view.name}")
        for name in names[view.name]:
            print(f"  {name}")


def row(view: InstanceView) -> Row:
    """The line of an instance."""
    return (
        view.name,
        view.kind,
        view.mode,
        word(view.state),
        notes(view),
        _count(view.cycles, view.kind == "task"),
        _count(view.cycle_errors, bool(view.cycle_errors)),
        _count(view.restarts, bool(view.restarts)),
        view.version,
        "" if view.generation is None else str(view.generation),
        view.origin,
        view.prefix,
        reason(view),
    )


def _count(number: int, shown: bool) -> str:
    return str(number) if shown else ""


def _names_by_prefix(names: Sequence[str], views: Sequence[InstanceView]) -> dict[str, list[str]]:
    by_prefix: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_prefix[name.rpartition(":")[0]].append(name)
    found: dict[str, list[str]] = {
        view.name: by_prefix.get(view.prefix, []) if view.prefix else [] for view in views
    }
    return found
