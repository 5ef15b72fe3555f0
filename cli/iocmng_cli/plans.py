"""What an operation would change, as lines; and the one question that is asked before it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from iocmng.wire import InstallRequest, Level, PlanView, PvChange
from iocmng_cli.output import printable
from iocmng_cli.questions import SHOWN, valid_outputs

if TYPE_CHECKING:
    from iocmng.client import Client

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


def on_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def plan_lines(plan: PlanView) -> Iterator[str]:
    """The lines that tell a plan."""
    for one in plan.distributions:
        kind = "added" if not one.before else "changed" if one.after else "removed"
        versions = " → ".join(filter(None, (one.before, one.after)))
        origin = f"  ({one.origin})" if one.origin and one.after else ""
        yield f"{_SIGNS[kind]} {one.name} {versions}{origin}"
    for each in plan.instances:
        plugin = f" of plugin {each.plugin}" if each.plugin and each.plugin != each.name else ""
        yield f"{_SIGNS.get(each.change, '?')} instance {each.name}{plugin}: {each.change}"
    yield from _pvs(plan.pvs)
    for kind, (needed, free) in plan.spares.items():
        yield f"spare {kind} records do not suffice: {needed} needed, {free} free"
    for heavy in plan.heavy:
        yield f"slow import: {heavy}"
    for finding in plan.findings:
        yield f"{finding}"
    if plan.empty:
        yield "nothing changes"
    elif any(finding.level is Level.ERROR for finding in plan.findings):
        return
    elif plan.hot:
        yield "possible while the host runs"
    elif plan.spares:
        yield "possible at a restart of the host, or with more `spares` in its site file"
    elif plan.reasons:
        yield "needs a restart of the host:"
        yield from (f"  {reason.package}: {reason.reason}" for reason in plan.reasons)


def print_plan(plan: PlanView, *, beside: bool = False) -> None:
    """Write a plan to standard output, or `beside` it."""
    for line in plan_lines(plan):
        print(printable(line), file=sys.stderr if beside else sys.stdout, flush=True)


def agreed(client: Client, request: InstallRequest, plan: PlanView) -> InstallRequest:
    """Ask whether what a plan means for others may happen, and say so in the request.

    Nothing is asked where nobody else is concerned.

    Raises:
        typer.Exit: The answer is no.
    """
    consequences = list(_consequences(client, request, plan))
    if not consequences:
        return request
    for line in consequences:
        print(printable(line), file=sys.stderr)
    if not typer.confirm("Go on?", err=True):
        print("nothing was done", file=sys.stderr)
        raise typer.Exit(1)
    if _by_restart(plan):
        return replace(request, restart_host=True)
    return replace(request, accept_reconnect=True) if _anew(plan.pvs) else request


def _consequences(client: Client, request: InstallRequest, plan: PlanView) -> Iterator[str]:
    if request.restart_host or _by_restart(plan):
        if not plan.hot:
            yield "The host has to be restarted for this: all its PVs are away for some seconds."
        return
    if anew := _anew(plan.pvs):
        yield "Clients of these PVs have to connect anew:"
        yield from _some(anew)
    gone = [one.name for one in plan.instances if one.change == "removed"]
    if gone:
        yield f"These instances go, with their PVs: {', '.join(gone)}"
    changed = [one.name for one in plan.instances if one.change == "changed"]
    hit = [output for name in changed for output in valid_outputs(client, name)]
    if hit:
        yield "These outputs are INVALID (COMM) until the new code writes them:"
        yield from _some(hit)


def _by_restart(plan: PlanView) -> bool:
    return bool(plan.reasons or plan.spares)


def _anew(pvs: Sequence[PvChange]) -> list[str]:
    return [pv.name for pv in pvs if pv.reconnect]


def _some(names: Sequence[str]) -> Iterator[str]:
    yield from (f"  {name}" for name in names[:SHOWN])
    if len(names) > SHOWN:
        yield f"  … and {len(names) - SHOWN} more"


def _pvs(pvs: Sequence[PvChange]) -> Iterator[str]:
    counts = {kind: sum(pv.change == kind for pv in pvs) for kind in _SIGNS}
    said = [f"{count} {kind}" for kind, count in counts.items() if count]
    if said:
        yield f"PVs: {', '.join(said)}"
    if anew := _anew(pvs):
        yield "clients have to connect anew:"
        yield from _some(anew)
