"""`iocmng job run / abort / history / show`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from iocmng.errors import ExitCode, NotFound
from iocmng.lifecycle import JobState
from iocmng.names import did_you_mean
from iocmng.wire import RunView
from iocmng_cli import completion
from iocmng_cli.assignments import split, typed
from iocmng_cli.options import Job, Json
from iocmng_cli.output import Column, print_fields, print_json, print_table, word
from iocmng_cli.session import session
from iocmng_cli.text import value_text
from iocmng_cli.times import clock, duration

if TYPE_CHECKING:
    from iocmng.client import Client

app = typer.Typer(help="Run jobs and see what became of them.", no_args_is_help=True)

POLL = 0.3
LONG_POLL = 20.0

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, as `job history` shows it.")]


@app.command(epilog="Example: iocmng job run tune --arg bands=[0,1] --wait")
def run(
    ctx: typer.Context,
    name: Job,
    arg: Annotated[
        list[str] | None,
        typer.Option(
            "--arg",
            metavar="KEY=VALUE",
            help="An argument; may be given several times.",
            autocompletion=completion.arguments,
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the outcome; the exit code mirrors it.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="With --wait: how long at most; the run goes on."),
    ] = None,
    json: Json = False,
) -> None:
    """Start a run of a job."""
    texts = split(arg or ())
    with session(ctx).client() as client:
        arguments = typed(texts, client.schema(name).get("arguments", {})) if texts else {}
        started = client.start_run(name, arguments)
        if wait:
            started = _wait(client, started, timeout)
    if json:
        print_json(started)
    elif wait:
        _print_run(started)
    else:
        how = started.message if started.state is JobState.QUEUED else "started"
        print(f"run {started.id} of {name} {how}; `iocmng job show {started.id}` says how it goes")
    if wait and started.state is not JobState.SUCCESS:
        if not started.over:
            print(f"error: run {started.id} is not over after {timeout:g} s; it goes on", file=sys.stderr)
        raise typer.Exit(int(ExitCode.FAILED))


@app.command()
def abort(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="RUN|NAME", help="Id of a run, or a job whose present run is meant.")
    ],
    json: Json = False,
) -> None:
    """Ask a run to end."""
    with session(ctx).client() as client:
        before = find_run(client, name)
        aborted = client.abort(before.id)
    if json:
        print_json(aborted)
    else:
        over = (
            "is over already: " if before.over else "is over: " if aborted.over else "is asked to end, now "
        )
        print(f"run {aborted.id} of {aborted.job} {over}{aborted.state.name}")


@app.command()
def history(
    ctx: typer.Context,
    name: Job,
    limit: Annotated[int, typer.Option(min=1, metavar="RUNS", help="So many at most.")] = 20,
    json: Json = False,
) -> None:
    """List the runs of a job, newest first."""
    with session(ctx).client() as client:
        runs = list(client.runs(name))[:limit]
    if json:
        print_json(runs)
        return
    columns = (
        Column("RUN"),
        Column("STATE"),
        Column("STARTED", rank=2),
        Column("TOOK", rank=1, right=True),
        Column("BY", rank=4),
        Column("ARGUMENTS", rank=3, wraps=True),
        Column("MESSAGE", wraps=True),
    )
    rows = [
        (
            entry.id,
            word(entry.state.name),
            clock(entry.started),
            _took(entry),
            str(entry.actor),
            value_text(entry.arguments),
            entry.message,
        )
        for entry in runs
    ]
    print_table(columns, rows, empty=f"{name} has not run yet")


@app.command()
def show(ctx: typer.Context, run_id: RunId, json: Json = False) -> None:
    """Show everything of one run; a job's name means its latest."""
    with session(ctx).client() as client:
        found = find_run(client, run_id)
    if json:
        print_json(found)
    else:
        _print_run(found)


def find_run(client: Client, name: str) -> RunView:
    """The run of that id, or the latest run of the job of that name.

    Raises:
        NotFound: There is neither, or the job has not run yet.
    """
    try:
        return client.run(name)
    except NotFound:
        jobs = [view.name for view in client.list(kind="job")]
        if name not in jobs:
            raise NotFound(f"no run and no job is named {name!r}", hint=did_you_mean(name, jobs)) from None
    runs = client.runs(name)
    if not runs:
        raise NotFound(f"{name} has not run yet", hint=f"iocmng job run {name}")
    return runs[0]


def _wait(client: Client, run: RunView, timeout: float | None) -> RunView:
    deadline = None if timeout is None else time.monotonic() + timeout
    bar = _Bar(run) if sys.stderr.isatty() else None
    longest = POLL if bar else LONG_POLL
    try:
        while not run.over:
            left = longest if deadline is None else max(0.0, min(longest, deadline - time.monotonic()))
            run = client.run(run.id, wait=left)
            if bar:
                bar.show(run)
            if deadline is not None and time.monotonic() >= deadline:
                break
    except KeyboardInterrupt:
        print(f"\nrun {run.id} goes on; `iocmng job abort {run.id}` ends it", file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        if bar:
            bar.close()
    return run


class _Bar:
    """A progress bar on standard error."""

    def __init__(self, run: RunView) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(run.job, total=100.0)
        self._progress.start()

    def show(self, run: RunView) -> None:
        said = f"{run.job} {run.message}".strip()
        self._progress.update(self._task, completed=run.progress, description=said[:40])

    def close(self) -> None:
        self._progress.stop()


def _took(run: RunView) -> str:
    if run.state is JobState.QUEUED:
        return ""
    return duration((run.ended or time.time()) - run.started) if run.started else ""


def _print_run(run: RunView) -> None:
    print_fields(
        {
            "run": run.id,
            "job": run.job,
            "state": word(run.state.name),
            "message": run.message,
            "progress": f"{run.progress:.0f} %" if run.state is JobState.RUNNING else "",
            "lock": run.lock,
            "arguments": value_text(run.arguments),
            "data": value_text(run.data),
            "exit code": "" if run.exit_code is None else str(run.exit_code),
            "started": clock(run.started),
            "ended": clock(run.ended or 0.0),
            "took": _took(run),
            "by": str(run.actor),
        }
    )
