"""Operations as answers: waited for, accepted, or turned into the problem that they ended with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from iocmng.api import seed
from iocmng.api.problems import ProblemRaised
from iocmng.api.replies import reply
from iocmng.api.streams import Streams
from iocmng.errors import BadInput, IocmngError, NotFound
from iocmng.runtime.control import HostControl
from iocmng.wire import InstanceView, Level, OperationState, OperationView, PlanView, Problem

PLACE = "/api/v1/operations"
_STATUSES = {cls.code: HTTPStatus(cls.http_status) for cls in (NotFound, BadInput)}
_WAITING = frozenset({OperationState.RESTART_REQUIRED, OperationState.RESTARTING})


async def over(control: HostControl, streams: Streams, view: OperationView, wait: float) -> OperationView:
    """An operation when it is over, or as it is after `wait` seconds or when the server closes."""
    if not wait or view.over:
        return view
    found = await streams.until(control.installs.operation_over(view.id, wait))
    return control.installs.operation(view.id) if found is None else found


def accepted(view: OperationView) -> Response:
    """202 with the operation and where to ask for it."""
    return reply(view, HTTPStatus.ACCEPTED, {"Location": f"{PLACE}/{view.id}"})


def require_done(view: OperationView) -> None:
    """Pass an operation that did, or will do, what was asked.

    Raises:
        ProblemRaised: It was refused, failed, was taken back or aborted.
    """
    if view.state is OperationState.DONE or view.state in _WAITING or not view.over:
        return
    step = f"{view.failed_step.value}: " if view.failed_step else ""
    status = _STATUSES.get(view.code, HTTPStatus.CONFLICT)
    detail = view.message or f"the operation ended {view.state}"
    raise ProblemRaised(
        Problem(
            title=status.phrase,
            status=status,
            code=view.code or view.state.value.lower().replace("_", "-"),
            detail=detail if detail.startswith(step) else f"{step}{detail}",
            hint=view.hint,
            extra={"validation": refusal(view), "operation": view},
        )
    )


def told(control: HostControl, view: OperationView, name: str = "") -> Response:
    """The answer of the previous system to what an operation came to; 202 while it is not in force.

    `name` is the instance that it is about; found in the plan when not given.

    Raises:
        ProblemRaised: The operation failed.
    """
    require_done(view)
    instance = _instance(control, name or _first(view.plan))
    body: dict[str, Any] = {
        "ok": True,
        "message": view.message or _message(view, name),
        "validation": seed.validation(instance) if instance else None,
        "instance": seed.brief(instance) if instance else None,
        "operation": view,
    }
    if view.state is OperationState.DONE:
        return reply(body)
    return reply(body, HTTPStatus.ACCEPTED, {"Location": f"{PLACE}/{view.id}"})


def refusal(view: OperationView) -> dict[str, Any]:
    """What validation found, of a plugin that did not come."""
    findings = view.plan.findings if view.plan else ()
    errors = [str(one) for one in findings if one.level is Level.ERROR]
    return {
        "ok": False,
        "class_name": "",
        "plugin_type": "",
        "errors": errors or [view.message],
        "warnings": [str(one) for one in findings if one.level is Level.WARNING],
    }


def _message(view: OperationView, name: str) -> str:
    about = name or _first(view.plan) or ", ".join(view.requirements) or "the operation"
    if view.state is OperationState.DONE:
        return f"{view.verb} of {about} is done"
    if view.state is OperationState.RESTART_REQUIRED:
        return f"{view.verb} of {about} needs a restart of the host"
    if view.state is OperationState.RESTARTING:
        return f"{view.verb} of {about}: the host restarts"
    return f"{view.verb} of {about} goes on; GET {PLACE}/{view.id} tells how"


def _first(plan: PlanView | None) -> str:
    changes = plan.instances if plan else ()
    return next((one.name for one in changes if one.change != "removed"), "")


def _instance(control: HostControl, name: str) -> InstanceView | None:
    try:
        return control.instance(name).view if name else None
    except IocmngError:
        return None  # it has gone again, or is not here before the restart
