"""`iocmng start / stop / restart / pause / resume / reset`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Annotated

import typer

from iocmng.errors import IocmngError
from iocmng.lifecycle import TABLE, State, Trigger
from iocmng.wire import InstanceView
from iocmng_cli.options import All, Json, Names, Yes
from iocmng_cli.output import stderr
from iocmng_cli.questions import confirm_invalid_outputs
from iocmng_cli.session import session
from iocmng_cli.several import chosen, conclude, each

app = typer.Typer()

PURPOSES = {
    Trigger.START: "Start tasks that have ended, failed or wait for their next attempt.",
    Trigger.STOP: "Stop tasks; their outputs become INVALID.",
    Trigger.RESTART: "Stop tasks and start them again.",
    Trigger.PAUSE: "Pause running tasks; their outputs become INVALID.",
    Trigger.RESUME: "Let paused tasks run again.",
    Trigger.RESET: "Acknowledge: leave ERROR, zero the counters, release latches whose cause is gone.",
}
LEAVING = frozenset({Trigger.STOP, Trigger.RESTART})
SILENT = 1.0
DISTURBING = frozenset({Trigger.STOP, Trigger.RESTART, Trigger.PAUSE})

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the new state is reached.")]
Timeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait at most.")]


def _command(verb: Trigger) -> Callable[..., None]:
    def act(
        ctx: typer.Context,
        names: Names = None,
        everything: All = False,
        wait: Wait = True,
        timeout: Timeout = 30.0,
        yes: Yes = False,
        json: Json = False,
    ) -> None:
        _act(ctx, verb, names, everything, timeout if wait else 0.0, yes, json)

    return act


def _act(
    ctx: typer.Context,
    verb: Trigger,
    names: list[str] | None,
    everything: bool,
    wait: float,
    yes: bool,
    json: bool,
) -> None:
    with session(ctx).client() as client:
        targets = chosen(
            names, everything, lambda: [view.name for view in client.list(kind="task") if fits(view, verb)]
        )
        if not targets:
            print("[]" if json else f"no task that {verb} would change")
            return
        if verb in DISTURBING:
            confirm_invalid_outputs(client, targets, verb, yes=yes)

        def act(name: str) -> InstanceView:
            with _waiting_shown(name, shown=wait > 0 and verb in LEAVING):
                return _reached(client.act(name, verb, wait=wait), verb, wait)

        conclude(each(targets, act), json=json)


@contextmanager
def _waiting_shown(name: str, *, shown: bool) -> Iterator[None]:
    """On a terminal, say after a moment what the command waits for."""
    text = f"{name}: waits for its code to leave, until its stop_timeout is over …"
    timer = Timer(SILENT, stderr, [text])
    timer.daemon = True
    if shown and sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def fits(view: InstanceView, verb: Trigger) -> bool:
    """Whether `--all` means this instance too: it is a task and `verb` is allowed in its state."""
    try:
        state = State[view.state]
    except KeyError:
        return False
    return (state, verb) in TABLE and state is not State.INVALID


def _reached(view: InstanceView, verb: Trigger, wait: float) -> InstanceView:
    unfinished = verb in (Trigger.START, Trigger.RESTART) and view.state == State.INIT.name
    if wait and unfinished:
        raise IocmngError(
            f"{view.name}: still INIT after {wait:g} s{': ' + view.message if view.message else ''}",
            hint=f"`iocmng show {view.name}` and `iocmng logs {view.name}` say what it waits for",
        )
    return view


for _verb, _purpose in PURPOSES.items():
    app.command(_verb.value, help=_purpose, epilog=f"Example: iocmng {_verb} beam-monitor")(_command(_verb))
