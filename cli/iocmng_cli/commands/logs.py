"""`iocmng logs`: the log of an instance, of a run, or of the host."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from iocmng.errors import NotFound
from iocmng.wire import LogLine
from iocmng_cli import completion, times
from iocmng_cli.options import JsonLines
from iocmng_cli.output import print_json, stdout, word
from iocmng_cli.session import session

if TYPE_CHECKING:
    from iocmng.client import Client

app = typer.Typer()

RUN_POLL = 0.5
LINES_BEFORE = 10


class Level(StrEnum):
    """Levels of a log line, in Python's words."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


RANKS = {level.value: rank for rank, level in enumerate(Level)}


@app.command(
    epilog="Example: iocmng logs beam-monitor -f\n\nExample: iocmng logs HOST --since 1h --level warning\n\n"
    "Example: iocmng logs beam-monitor --offline"
)
def logs(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|RUN",
            help="Instance, run, or HOST; a job's name means its latest run.",
            autocompletion=completion.instances,
        ),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="The latest ten lines, then new ones until Ctrl-C.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only lines since then: 5m, 1h30m, or an ISO 8601 time."),
    ] = None,
    level: Annotated[
        Level, typer.Option(case_sensitive=False, metavar="LEVEL", help="Least level.")
    ] = Level.DEBUG,
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", min=1, metavar="LINES", help="So many of the latest lines at most."),
    ] = 1000,
    offline: Annotated[
        bool, typer.Option("--offline", help="Read the files in the state directory, without a host.")
    ] = False,
    json: JsonLines = False,
) -> None:
    """Print the log of an instance, a run or the host."""
    try:
        start = times.since(since) if since else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    if offline:
        from iocmng_cli.offline_logs import read

        if follow:
            raise typer.BadParameter("needs a host; without --offline it follows", param_hint="--follow")
        _write(read(name, since=start or 0.0, level=level.value, limit=limit), json=json)
        return
    with session(ctx).client() as client:
        try:
            _write(_lines(client, name, start, level.value, limit, follow), json=json)
        except KeyboardInterrupt:
            return


def _lines(
    client: Client, name: str, since: float | None, level: str, limit: int, follow: bool
) -> Iterable[LogLine]:
    run_id = _run_meant(client, name)
    if run_id:
        found = _run_lines(client, run_id, follow)
        return (
            line for line in found if line.time >= (since or 0.0) and RANKS.get(line.level, 0) >= RANKS[level]
        )
    if follow:
        return _followed(client, name, since, level)
    return client.log(name, since=since or 0.0, level=level, limit=limit)


def _followed(client: Client, name: str, since: float | None, level: str) -> Iterator[LogLine]:
    if since is None:
        since = time.time()
        for line in client.log(name, level=level, limit=LINES_BEFORE):
            yield line
            since = math.nextafter(line.time, math.inf)
    yield from client.follow_log(name, level=level, since=since)


def _run_meant(client: Client, name: str) -> str | None:
    from iocmng_cli.commands.job import find_run

    views = {view.name: view for view in client.list()}
    if name == "HOST" or (name in views and views[name].kind == "task"):
        return None
    try:
        return find_run(client, name).id
    except NotFound:
        if name in views:
            return None
        # Ask for the instance instead: the host knows the nearest name of all, not only of jobs.
        client.log(name, limit=1)
        raise


def _run_lines(client: Client, run_id: str, follow: bool) -> Iterator[LogLine]:
    last: LogLine | None = None
    while True:
        over = not follow or client.run(run_id, wait=RUN_POLL).over
        lines = list(client.run_log(run_id))
        # Counting them would not do: the log keeps its latest lines only.
        seen = len(lines) - lines[::-1].index(last) if last in lines else 0
        yield from lines[seen:]
        last = lines[-1] if lines else last
        if over:
            return


def _write(lines: Iterable[LogLine], *, json: bool) -> None:
    console = stdout()
    for line in lines:
        if json:
            print_json(line, indent=None)
        elif console.is_terminal:
            from rich.text import Text

            text = Text(f"{times.stamp(line.time)} ", style="dim")
            text.append(f"{line.level:<8}", style=word(line.level).style or "not dim")
            text.append(f" {line.source}: ", style="not dim cyan")
            text.append(line.text, style="not dim")
            console.print(text, soft_wrap=True)
        else:
            print(f"{times.stamp(line.time)} {line.level:<8} {line.source}: {line.text}", flush=True)
