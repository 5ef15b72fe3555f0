"""Names from paths and queries: checked before the host sees them, and held to their collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import Query

from iocmng.api.streams import Streams
from iocmng.errors import BadInput, NotFound
from iocmng.names import plugin_name_problem
from iocmng.runtime.control import HostControl
from iocmng.wire import InstanceView

HOST = "HOST"
LONGEST_WAIT = 300.0
LONGEST_NAME = 80
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}\Z")

Wait = Annotated[
    float, Query(ge=0, le=LONGEST_WAIT, allow_inf_nan=False, description="Seconds to wait before the answer.")
]

Patience = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_WAIT,
        allow_inf_nan=False,
        description="Seconds to wait for the end; with 0, or when it lasts longer, the answer is 202.",
    ),
]


def shown(name: str) -> str:
    """A name from outside as it may stand in an answer."""
    return repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…")


def instance_name(name: str) -> str:
    """Pass a name that an instance can have.

    Raises:
        NotFound: No instance can have it.
    """
    if plugin_name_problem(name):
        raise NotFound(f"no instance is named {shown(name)}", hint="`iocmng list` names them")
    return name


def run_id(name: str) -> str:
    """Pass an id that a run can have.

    Raises:
        NotFound: No run can have it.
    """
    if not _RUN.match(name):
        raise NotFound(f"no run is named {shown(name)}", hint="`iocmng job history JOB` names them")
    return name


def operation_id(name: str) -> str:
    """Pass an id that an operation can have.

    Raises:
        NotFound: No operation can have it.
    """
    if not _RUN.match(name):
        raise NotFound(f"no operation is named {shown(name)}", hint="GET /api/v1/operations lists them")
    return name


def pv_name(name: str) -> str:
    """Pass what could be a PV's name.

    Raises:
        NotFound: It could not.
    """
    if not name or len(name) > 128 or not name.isascii() or not name.isprintable() or " " in name:
        raise NotFound(f"no PV is named {shown(name)}", hint="`iocmng pv list` names them")
    return name


def of_kind(control: HostControl, name: str, kind: str | None) -> InstanceView:
    """The instance of that name and kind.

    Raises:
        NotFound: There is none, or it is of the other kind.
    """
    view = control.instance(instance_name(name)).view
    if kind is not None and view.kind != kind:
        command = f"iocmng job run {name}" if view.kind == "job" else f"iocmng start {name}"
        raise NotFound(f"{name!r} is a {view.kind}, not a {kind}", hint=f"`{command}` is for a {view.kind}")
    return view


def level_name(level: str) -> str:
    """Pass the name of a log level.

    Raises:
        BadInput: It is none.
    """
    known: Mapping[str, str] = {word: word for word in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")} | {
        "WARN": "WARNING"
    }
    try:
        return known[level.upper()]
    except KeyError:
        raise BadInput(
            f"level {shown(level)} is none", hint="DEBUG, INFO, WARNING, ERROR or CRITICAL"
        ) from None


async def settled(
    control: HostControl, streams: Streams, name: str, wait: float, view: InstanceView
) -> InstanceView:
    """The instance after its transition, or as it is after `wait` seconds or when the server closes."""
    if not wait:
        return view
    found = await streams.until(control.settled(name, wait))
    return view if found is None else found
