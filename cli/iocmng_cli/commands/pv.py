"""`iocmng pv get / put / monitor / list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from iocmng.errors import IocmngError
from iocmng.wire import PvView
from iocmng_cli.assignments import loose_value, pv_value
from iocmng_cli.commands.show import PV_COLUMNS, pv_row
from iocmng_cli.options import Json, JsonLines, Pvs
from iocmng_cli.output import Cell, Column, Row, print_json, print_table, stderr, stdout, word
from iocmng_cli.places import Elsewhere, Found, Monitored, each, find, plain, view_of
from iocmng_cli.session import session
from iocmng_cli.several import worst_of
from iocmng_cli.text import limited_text, pv_text, quality_text
from iocmng_cli.times import stamp

if TYPE_CHECKING:
    from rich.console import Console

    from iocmng.client import Client

app = typer.Typer(
    help="Read and write PVs: those of the host, and through it those of others.", no_args_is_help=True
)

Pv = Annotated[
    str, typer.Argument(metavar="NAME", help="Full PV name, INSTANCE:PORT, ca://NAME or pva://NAME.")
]
Timeout = Annotated[
    float,
    typer.Option(
        min=0.1, max=300.0, metavar="SECONDS", help="How long a PV that is none of the host may take."
    ),
]
TIMEOUT = 5.0


@app.command("list")
def list_(
    ctx: typer.Context,
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN", help="Instance, or a shell pattern of INSTANCE:PORT or full names."
        ),
    ] = "*",
    json: Json = False,
) -> None:
    """List PVs with what they show now."""
    with session(ctx).client() as client:
        pvs = client.pvs(pattern)
    if json:
        print_json(pvs)
    else:
        print_table(PV_COLUMNS, [pv_row(pv) for pv in pvs], empty=f"no PV matches {pattern}")


@app.command(
    epilog="Example: iocmng pv get beam-monitor:CURRENT\n\nExample: iocmng pv get ca://RING:PRESSURE"
)
def get(ctx: typer.Context, names: Pvs, timeout: Timeout = TIMEOUT, json: Json = False) -> None:
    """Read PVs."""
    with session(ctx).client() as client:
        outcomes = each(names, lambda name: find(client, name, timeout))
    found = [outcome for outcome in outcomes if not isinstance(outcome, IocmngError)]
    if json:
        print_json([plain(one) for one in found])
    else:
        columns = (
            Column("PV"),
            Column("VALUE", wraps=True),
            Column("ALARM", wraps=True),
            Column("TIME", rank=1),
        )
        print_table(columns, [_row(view_of(one)) for one in found])
    worst_of([outcome for outcome in outcomes if isinstance(outcome, IocmngError)])


@app.command(
    epilog="Example: iocmng pv put beam-monitor:GAIN 2.5\n\nExample: iocmng pv put LAB:BEAM:CLEAR 1\n\n"
    "Example: iocmng pv put ca://RING:VALVE Closed"
)
def put(
    ctx: typer.Context,
    name: Pv,
    value: Annotated[str, typer.Argument(help="Number, state name, text, or a list for an array.")],
    timeout: Timeout = TIMEOUT,
    json: Json = False,
) -> None:
    """Write a PV."""
    with session(ctx).client() as client:
        found = find(client, name, timeout)
        before, asked, after = _put(client, found, value, timeout)
    if json:
        print_json(plain(after))
        return
    shown = view_of(after)
    print(f"{shown.name}  {pv_text(before)} → {pv_text(shown)}  {quality_text(shown)}".rstrip())
    if limit := limited_text(shown, asked):
        stderr(limit)


def _put(client: Client, found: Found, text: str, timeout: float) -> tuple[PvView, Any, Found]:
    """What it showed before, what was asked for, and what it shows then."""
    if not isinstance(found, Elsewhere):
        asked = pv_value(found, text)
        return found, asked, client.put_pv(found.name, asked)
    name, asked = found.reading.pv_name, loose_value(found.view, text)
    client.pvs.put(name, asked, timeout=timeout)
    return found.view, asked, Elsewhere(client.pvs.get(name, timeout=timeout))


@app.command(epilog="Ctrl-C ends it.")
def monitor(
    ctx: typer.Context,
    names: Pvs,
    period: Annotated[float, typer.Option(min=0.05, metavar="SECONDS", help="Time between two looks.")] = 0.1,
    json: JsonLines = False,
) -> None:
    """Print PVs now and whenever they change."""
    with session(ctx).client() as client:
        try:
            monitored, console = Monitored(client, names), stdout()
            if monitored.all_own:
                for pv in client.monitor_pvs(names, period=period):
                    _print_change(console, pv, pv, json)
            else:
                for reading in client.pvs.monitor(monitored.names, period=period):
                    _print_change(console, monitored.view(reading), Elsewhere(reading), json)
        except KeyboardInterrupt:
            return


def _print_change(console: Console, pv: PvView, found: Found, json: bool) -> None:
    if json:
        print_json(plain(found), indent=None)
    elif console.is_terminal:
        from rich.text import Text

        text = Text(f"{stamp(pv.timestamp)} ", style="dim")
        text.append(f"{pv.name}  {pv_text(pv)}", style="not dim")
        text.append(f"  {quality_text(pv)}", style=word(pv.severity).style or "not dim")
        console.print(text, soft_wrap=True)
    else:
        print(f"{stamp(pv.timestamp)} {pv.name}  {pv_text(pv)}  {quality_text(pv)}".rstrip(), flush=True)


def _row(pv: PvView) -> Row:
    return (
        pv.name,
        pv_text(pv),
        Cell(quality_text(pv), word(pv.severity).style),
        stamp(pv.timestamp) if pv.timestamp else "",
    )
