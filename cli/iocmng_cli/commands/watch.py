"""`iocmng watch`: the list, kept up to date."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from iocmng.errors import IocmngError, NoHost
from iocmng.wire import HostView, InstanceView
from iocmng_cli.commands.listing import COLUMNS, row
from iocmng_cli.options import JsonLines
from iocmng_cli.output import Row, print_json, print_table, stdout, table
from iocmng_cli.session import session
from iocmng_cli.times import duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from iocmng.client import Client

# What does not change while one watches would only make lines that wrap.
_KEPT = [i for i, column in enumerate(COLUMNS) if column.title not in ("GEN", "ORIGIN")]
_COLUMNS = [COLUMNS[i] for i in _KEPT]

app = typer.Typer()


@app.command(epilog="Ctrl-C ends it.")
def watch(
    ctx: typer.Context,
    period: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time between two looks.")] = 1.0,
    json: JsonLines = False,
) -> None:
    """Show the instances of the host, live."""
    with session(ctx).client(timeout=max(5.0, period)) as client:
        try:
            if json:
                for view, views in looks(client, period):
                    print_json({"host": view, "instances": views}, indent=None)
            elif sys.stdout.isatty():
                _live(client, period)
            else:
                _snapshots(client, period)
        except KeyboardInterrupt:
            return


def looks(client: Client, period: float) -> Iterator[tuple[HostView, list[InstanceView]]]:
    """Ask the host again and again, every `period` seconds."""
    while True:
        yield client.host(), list(client.list())
        time.sleep(period)


def _snapshots(client: Client, period: float) -> None:
    for view, views in looks(client, period):
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {summary(view)}")
        print_table(_COLUMNS, [_row(entry) for entry in views], empty="no instances")
        print(flush=True)


def _live(client: Client, period: float) -> None:
    from rich.live import Live

    console = stdout()
    # The first look decides whether there is a host at all; later a lost one is waited for.
    shown = _screen(client.host(), list(client.list()), console.width, console.height)
    live = Live(shown, console=console, screen=True, auto_refresh=False)
    try:
        live.start(refresh=True)
        while True:
            time.sleep(period)
            try:
                shown = _screen(client.host(), list(client.list()), console.width, console.height)
            except NoHost as error:
                shown = _lost(error)
            live.update(shown, refresh=True)
    finally:
        # Also when Ctrl-C came during the start, which Live itself does not undo.
        live.stop()


def summary(view: HostView) -> str:
    """The host in one line."""
    counts = [f"{view.instances} instances", f"{view.running} running"]
    counts += [
        f"{count} {what}" for count, what in ((view.failed, "failed"), (view.degraded, "degraded")) if count
    ]
    return f"{view.prefix} {view.state}, up {duration(view.uptime)}, {', '.join(counts)}"


def _screen(view: HostView, views: list[InstanceView], width: int, height: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    room = max(1, height - 4)
    kept = views if len(views) <= room else sorted(views, key=_trouble)[:room]
    rest = f"\n{len(views) - len(kept)} more, those without trouble" if len(kept) < len(views) else ""
    return Group(
        Text(summary(view), style="bold"),
        table(_COLUMNS, [_row(entry) for entry in kept], width),
        Text(rest, style="dim"),
    )


def _row(view: InstanceView) -> Row:
    cells = row(view)
    return [cells[i] for i in _KEPT]


def _trouble(view: InstanceView) -> int:
    return (
        0
        if view.state in ("ERROR", "STALLED", "INVALID", "FAILED", "LOST", "TIMEOUT")
        else 1 + (not view.degraded)
    )


def _lost(error: IocmngError) -> RenderableType:
    from rich.text import Text

    return Text(f"{error.detail}\nwaiting for it to come back; Ctrl-C ends", style="bold red")
