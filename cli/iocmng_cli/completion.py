"""Names for the shell's completion, asked of the host; no host, no names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from iocmng.errors import IocmngError
from iocmng.wire import InstanceView
from iocmng_cli.session import session

PATIENCE = 1.5


def instances(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of instances."""
    return _named(ctx, incomplete, kind=None)


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of jobs."""
    return _named(ctx, incomplete, kind="job")


def pvs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Full names of PVs."""
    try:
        with session(ctx).client(timeout=PATIENCE) as client:
            return _starting(incomplete, (pv.name for pv in client.pvs(f"{incomplete}*")))
    except IocmngError:
        return []


def parameters(ctx: typer.Context, incomplete: str) -> list[str]:
    """`KEY=` for each parameter of the instance that stands before."""
    return _keys(ctx, incomplete, lambda schema: schema)


def arguments(ctx: typer.Context, incomplete: str) -> list[str]:
    """`KEY=` for each argument of the job that stands before."""
    return _keys(ctx, incomplete, lambda schema: schema.get("arguments", {}))


def installed(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of plugins and distributions that came through the host."""
    return _came(ctx, incomplete, lambda view: (view.plugin, view.distribution))


def distributions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of distributions that came through the host."""
    return _came(ctx, incomplete, lambda view: (view.distribution,))


def generations(ctx: typer.Context, incomplete: str) -> list[str]:
    """Numbers of the generations that can be gone back to."""
    try:
        with session(ctx).client(timeout=PATIENCE) as client:
            usable = (str(one.number) for one in client.generations() if not one.current and not one.problem)
            return _starting(incomplete, usable)
    except IocmngError:
        return []


def _came(ctx: typer.Context, incomplete: str, names: Callable[[InstanceView], Iterable[str]]) -> list[str]:
    try:
        with session(ctx).client(timeout=PATIENCE) as client:
            views = [view for view in client.list() if view.generation is not None]
    except IocmngError:
        return []
    return _starting(incomplete, {name for view in views for name in names(view) if name})


def _keys(
    ctx: typer.Context, incomplete: str, part: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> list[str]:
    name = ctx.params.get("name")
    if not name:
        return []
    try:
        with session(ctx).client(timeout=PATIENCE) as client:
            return _starting(
                incomplete, (f"{key}=" for key in part(client.schema(name)).get("properties", {}))
            )
    except IocmngError:
        return []


def _named(ctx: typer.Context, incomplete: str, kind: str | None) -> list[str]:
    try:
        with session(ctx).client(timeout=PATIENCE) as client:
            known = [view.name for view in client.list() if kind is None or view.kind == kind]
    except IocmngError:
        return []
    return _starting(incomplete, known)


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
