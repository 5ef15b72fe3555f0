"""`iocmng install / upgrade / uninstall / rollback / generations`: plugins come and go while the host runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from iocmng.errors import BadInput
from iocmng.wire import GenerationView, InstallRequest, InstallVerb, OperationState, OperationView
from iocmng_cli import completion
from iocmng_cli.operations import GOOD, back_again, follow, require_good
from iocmng_cli.options import Json, Yes
from iocmng_cli.output import Cell, Column, Row, print_json, print_table, printable, stderr
from iocmng_cli.plans import agreed, on_terminal, print_plan
from iocmng_cli.requirements import asked_for, bare_folders, located
from iocmng_cli.session import session
from iocmng_cli.times import clock

app = typer.Typer()

REQ_HELP = "Requirements (NAME, NAME==VERSION), wheels, folders, or git+https://… addresses."
Requirements = Annotated[list[str] | None, typer.Argument(metavar="REQ", help=REQ_HELP)]
Installed = Annotated[
    list[str],
    typer.Argument(
        metavar="PLUGIN|DISTRIBUTION", help="What to remove.", autocompletion=completion.installed
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Only say what would change.")]
RestartHost = Annotated[bool, typer.Option("--restart-host", help="Restart the host when that is needed.")]
AcceptReconnect = Annotated[
    bool, typer.Option("--accept-reconnect", help="Go on although clients of some PVs have to connect anew.")
]


@app.command(
    epilog="Example: iocmng install acme-beam\n\nExample: iocmng install ./my_plugin --plan\n\n"
    "Example: iocmng install --from-lock"
)
def install(
    ctx: typer.Context,
    requirements: Requirements = None,
    from_lock: Annotated[
        bool,
        typer.Option(
            "--from-lock", help="Install what is recorded again, after an upgrade of Python or host."
        ),
    ] = False,
    plan: Plan = False,
    yes: Yes = False,
    restart_host: RestartHost = False,
    accept_reconnect: AcceptReconnect = False,
    json: Json = False,
) -> None:
    """Install plugins into the running host."""
    if bool(requirements) == from_lock:
        raise BadInput("name what to install, or say --from-lock", hint="one of the two")
    verb = InstallVerb.FROM_LOCK if from_lock else InstallVerb.INSTALL
    request = InstallRequest(
        verb=verb,
        requirements=tuple(requirements or ()),
        restart_host=restart_host,
        accept_reconnect=accept_reconnect,
    )
    change(ctx, request, plan_only=plan, yes=yes, json=json)


@app.command(epilog="Example: iocmng upgrade acme-beam\n\nExample: iocmng upgrade ./my_plugin --plan")
def upgrade(
    ctx: typer.Context,
    requirements: Annotated[
        list[str], typer.Argument(metavar="REQ", help=REQ_HELP, autocompletion=completion.distributions)
    ],
    plan: Plan = False,
    yes: Yes = False,
    restart_host: RestartHost = False,
    accept_reconnect: AcceptReconnect = False,
    json: Json = False,
) -> None:
    """Bring plugins to their newest version that fits, or to the one that is named."""
    request = InstallRequest(
        verb=InstallVerb.UPGRADE,
        requirements=tuple(requirements),
        restart_host=restart_host,
        accept_reconnect=accept_reconnect,
    )
    change(ctx, request, plan_only=plan, yes=yes, json=json)


@app.command(epilog="Example: iocmng uninstall acme-beam")
def uninstall(
    ctx: typer.Context,
    names: Installed,
    plan: Plan = False,
    yes: Yes = False,
    restart_host: RestartHost = False,
    accept_reconnect: AcceptReconnect = False,
    json: Json = False,
) -> None:
    """Remove plugins with their distributions."""
    request = InstallRequest(
        verb=InstallVerb.UNINSTALL,
        requirements=tuple(names),
        restart_host=restart_host,
        accept_reconnect=accept_reconnect,
    )
    change(ctx, request, plan_only=plan, yes=yes, json=json)


@app.command(epilog="Example: iocmng rollback\n\nExample: iocmng rollback 3 --plan")
def rollback(
    ctx: typer.Context,
    generation: Annotated[
        int | None,
        typer.Argument(
            metavar="GEN",
            help="A generation; the one before without it.",
            autocompletion=completion.generations,
        ),
    ] = None,
    plan: Plan = False,
    yes: Yes = False,
    restart_host: RestartHost = False,
    accept_reconnect: AcceptReconnect = False,
    json: Json = False,
) -> None:
    """Go back to what was installed before."""
    request = InstallRequest(
        verb=InstallVerb.ROLLBACK,
        generation=generation,
        restart_host=restart_host,
        accept_reconnect=accept_reconnect,
    )
    change(ctx, request, plan_only=plan, yes=yes, json=json)


@app.command()
def generations(ctx: typer.Context, json: Json = False) -> None:
    """List what is kept to go back to, newest first."""
    with session(ctx).client() as client:
        kept = client.generations()
    if json:
        print_json(kept)
        return
    columns = (
        Column("GENERATION", right=True),
        Column("", wraps=True),
        Column("CREATED", rank=2),
        Column("ASKED FOR", rank=1, wraps=True),
        Column("DISTRIBUTIONS", wraps=True),
    )
    print_table(columns, [_row(one) for one in kept], empty="nothing has been installed through the host")


def change(ctx: typer.Context, request: InstallRequest, *, plan_only: bool, yes: bool, json: bool) -> None:
    """Plan, ask where somebody is there to be asked, do it, and say what came of it.

    Raises:
        typer.Exit: It did not come about.
    """
    with session(ctx).client() as client:
        hint = ""
        if request.verb in (InstallVerb.INSTALL, InstallVerb.UPGRADE):
            given = request.requirements
            request = replace(request, requirements=tuple(located(text, client.url) for text in given))
            folders = bare_folders(given)
            hint = f"./{folders[0]} means the folder of that name here" if folders else ""
        if plan_only or (on_terminal() and not yes):
            planned = follow(
                client, partial(client.plan, request, wait=0.0), silent=json, passing=not plan_only
            )
            if plan_only or planned.state not in GOOD:
                _conclude(planned, json=json, hint=hint)
                return
            if planned.plan is not None and not planned.plan.empty:
                print_plan(planned.plan, beside=json)
                request = agreed(client, request, planned.plan)
        before = client.host().boot_id if request.restart_host else ""
        view = follow(client, partial(client.begin, request), silent=json)
        if view.state is OperationState.RESTARTING:
            said = back_again(client, before, view)
            view = replace(
                view, state=OperationState.DONE, message=f"{view.message}; {said}" if json else said
            )
        _conclude(view, json=json, hint=hint)


def _conclude(view: OperationView, *, json: bool, hint: str) -> None:
    if json:
        print_json(view)
    elif view.planned_only and view.plan is not None and not view.plan.empty:
        print_plan(view.plan)
    require_good(view, hint=hint)
    if not json:
        print(printable(view.message) or f"{view.verb} is done")
        if view.state is OperationState.RESTART_REQUIRED and view.hint:
            stderr(f"hint: {view.hint}")


def _row(one: GenerationView) -> Row:
    state = "current" if one.current else "waits for a restart" if one.pending else ""
    said = "; ".join(filter(None, (state, one.problem)))
    return (
        str(one.number),
        Cell(said, "red" if one.problem else "green" if one.current else "yellow"),
        clock(one.created),
        ", ".join(asked_for(text, one.origins) for text in one.requirements),
        ", ".join(f"{name} {version}" for name, version in one.distributions.items()),
    )
