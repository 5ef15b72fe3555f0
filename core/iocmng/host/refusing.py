"""What is refused before anything changes, and why."""

from __future__ import annotations

from collections.abc import Mapping

from iocmng.errors import InstallRefused, Refused, SparesShort
from iocmng.host.planning import Change
from iocmng.wire import Level, PlanView

RAISE_SPARES = (
    "raise `spares` in the site file, or install with --restart-host: at its start a host makes all records"
)


def refuse_invalid(change: Change) -> None:
    """Refuse a change that brings instances which cannot run.

    Raises:
        InstallRefused: Names the first finding.
    """
    errors = [
        f"{one.spec.name}: {finding}"
        for one in change.arriving
        for finding in one.findings
        if finding.level is Level.ERROR
    ]
    if errors:
        raise InstallRefused(
            errors[0] + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""),
            hint="mend the plugin, or its entry in the site file, and install again",
            code="probe",
        )


def refuse_kind(change: Change, kind: str) -> None:
    """Refuse a change that brings an instance of the other kind than was asked for.

    Args:
        change: What arrives.
        kind: `task` or `job`, "" for either.

    Raises:
        InstallRefused: Names the first one.
    """
    for one in change.arriving:
        if kind and one.spec.name in change.added and one.spec.kind != kind:
            raise InstallRefused(
                f"{one.spec.name} is a {one.spec.kind}, and a {kind} is asked for",
                hint=f"POST /api/v1/{one.spec.kind}s, or /api/v1/plugins for both",
                code="wrong-kind",
            )


def refuse_without_restart(plan: PlanView) -> None:
    """Refuse what an admin has to decide before anything changes.

    Raises:
        SparesShort: There are not enough spare records.
        Refused: Clients of some PVs would have to connect anew.
    """
    if plan.spares:
        raise SparesShort(
            f"not enough spare records: {in_words(plan.spares)}", lacking=plan.spares, hint=RAISE_SPARES
        )
    anew = [pv.name for pv in plan.pvs if pv.reconnect]
    if anew:
        some = ", ".join(anew[:3]) + (f" and {len(anew) - 3} more" if len(anew) > 3 else "")
        raise Refused(
            f"clients of {some} would have to connect anew: another record type or size",
            hint="--accept-reconnect goes on, --restart-host makes it at the next start",
            code="reconnect",
        )


def in_words(lacking: Mapping[str, tuple[int, int]]) -> str:
    """Say which kinds of spare records do not suffice, with numbers."""
    return ", ".join(f"{kind} {needed} needed, {free} free" for kind, (needed, free) in lacking.items())
