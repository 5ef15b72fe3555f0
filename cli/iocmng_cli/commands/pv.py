"""`iocmng pv get / put / monitor / list`."""

from __future__ import annotations

from typing import Annotated

import typer

from iocmng.errors import IocmngError
from iocmng.wire import PvView
from iocmng_cli.assignments import pv_value
from iocmng_cli.commands.show import PV_COLUMNS, pv_row
from iocmng_cli.options import Json, JsonLines, Pvs
from iocmng_cli.output import Cell, Column, Row, print_json, print_table, stderr, stdout, word
from iocmng_cli.session import session
from iocmng_cli.several import worst_of
from iocmng_cli.text import limited_text, pv_text, quality_text
from iocmng_cli.times import stamp

app = typer.Typer(help="Read and write PVs of the host.", no_args_is_help=True)

Pv = Annotated[str, typer.Argument(metavar="NAME", help="Full PV name, or INSTANCE:PORT.")]


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


@app.command(epilog="Example: iocmng pv get beam-monitor:CURRENT")
def get(ctx: typer.Context, names: Pvs, json: Json = False) -> None:
    """Read PVs."""
    found: list[PvView] = []
    errors: list[IocmngError] = []
    with session(ctx).client() as client:
        for name in names:
            try:
                found.append(client.pv(name))
            except IocmngError as error:
                errors.append(error)
    if json:
        print_json(found)
    else:
        columns = (
            Column("PV"),
            Column("VALUE", wraps=True),
            Column("ALARM", wraps=True),
            Column("TIME", rank=1),
        )
        print_table(columns, [_row(pv) for pv in found])
    worst_of(errors)


@app.command(
    epilog="Example: iocmng pv put beam-monitor:GAIN 2.5\n\nExample: iocmng pv put LAB:BEAM:ENABLE 0"
)
def put(
    ctx: typer.Context,
    name: Pv,
    value: Annotated[str, typer.Argument(help="Number, state name, text, or a list for an array.")],
    json: Json = False,
) -> None:
    """Write a PV."""
    with session(ctx).client() as client:
        before = client.pv(name)
        asked = pv_value(before, value)
        after = client.put_pv(name, asked)
    if json:
        print_json(after)
    else:
        print(f"{after.name}  {pv_text(before)} → {pv_text(after)}  {quality_text(after)}".rstrip())
        if limit := limited_text(after, asked):
            stderr(limit)


@app.command(epilog="Ctrl-C ends it.")
def monitor(
    ctx: typer.Context,
    names: Pvs,
    period: Annotated[float, typer.Option(min=0.05, metavar="SECONDS", help="Time between two looks.")] = 0.1,
    json: JsonLines = False,
) -> None:
    """Print PVs now and whenever they change."""
    console = stdout()
    with session(ctx).client() as client:
        try:
            for pv in client.monitor_pvs(names, period=period):
                if json:
                    print_json(pv, indent=None)
                elif console.is_terminal:
                    from rich.text import Text

                    text = Text(f"{stamp(pv.timestamp)} ", style="dim")
                    text.append(f"{pv.name}  {pv_text(pv)}", style="not dim")
                    text.append(f"  {quality_text(pv)}", style=word(pv.severity).style or "not dim")
                    console.print(text, soft_wrap=True)
                else:
                    print(
                        f"{stamp(pv.timestamp)} {pv.name}  {pv_text(pv)}  {quality_text(pv)}".rstrip(),
                        flush=True,
                    )
        except KeyboardInterrupt:
            return


def _row(pv: PvView) -> Row:
    return (
        pv.name,
        pv_text(pv),
        Cell(quality_text(pv), word(pv.severity).style),
        stamp(pv.timestamp) if pv.timestamp else "",
    )
