"""Routes of instances: `/plugins`, and the same under `/tasks` and `/jobs`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from iocmng.api import models, seed
from iocmng.api.gate import caller
from iocmng.api.guard import OperatorRoute, ViewerRoute, router
from iocmng.api.lookup import LONGEST_WAIT, Wait, instance_name, of_kind, settled
from iocmng.api.operations import over, require_done, told
from iocmng.api.problems import ProblemRaised, of_error
from iocmng.api.replies import listing, reply
from iocmng.api.streams import Streams
from iocmng.errors import Refused
from iocmng.lifecycle import VERBS, Trigger
from iocmng.runtime.control import HostControl
from iocmng.wire import InstanceView, OperationState, Problem, Role, to_plain

_log = logging.getLogger("iocmng.api")

COLLECTIONS: Mapping[str, str | None] = {"plugins": None, "tasks": "task", "jobs": "job"}
Fetch = Annotated[
    bool | None,
    Query(
        description="Fetch its git or directory source again first, and change over when it differs: by default for"
        " an admin only, whose role that needs"
    ),
]
_STARTING = frozenset({Trigger.START, Trigger.RESTART, Trigger.RESUME, Trigger.RESET})
_FAILED = frozenset({"ERROR", "BACKOFF", "INVALID"})


class Instances:
    """Routes of one collection; `kind` is what it holds, None for both."""

    def __init__(self, control: HostControl, streams: Streams, collection: str) -> None:
        self._control = control
        self._streams = streams
        self._collection = collection
        self._kind = COLLECTIONS[collection]

    def routers(self) -> tuple[APIRouter, APIRouter]:
        """Reading, and operating."""
        prefix, named = f"/{self._collection}", f"{self._collection}_"
        reading = router(ViewerRoute, prefix, self._collection)
        reading.serve("GET", "", self._all, f"{named}list", "List them", models.Listing)
        reading.serve("GET", "/{name}", self._one, f"{named}get", "One of them", models.EntryDetail)
        reading.serve(
            "GET",
            "/{name}/startup",
            self._startup,
            f"{named}startup",
            "How it starts and what it serves",
            models.Startup,
        )
        reading.serve(
            "GET",
            "/{name}/schema",
            self._schema,
            f"{named}schema",
            "JSON Schema of its parameters, and of a job's arguments",
        )
        operating = router(OperatorRoute, prefix, self._collection)
        for verb in VERBS:
            operating.serve(
                "POST",
                f"/{{name}}/{verb.value}",
                self._restarting() if verb is Trigger.RESTART else self._acting(verb),
                f"{named}{verb.value}",
                f"{verb.value.capitalize()} it",
                models.Acted,
            )
        for word, enabled in (("enable", True), ("disable", False)):
            operating.serve(
                "POST",
                f"/{{name}}/{word}",
                self._enabling(enabled),
                f"{named}{word}",
                "Start it at boot" if enabled else "Stop it, and do not start it at boot",
                models.Acted,
            )
        operating.serve(
            "PATCH",
            "/{name}/parameters",
            self._set_parameters,
            f"{named}set",
            "Set parameters, all or none",
            models.EntryDetail,
        )
        return reading, operating

    async def _all(
        self,
        type: Annotated[str | None, Query(description="`task` or `job`")] = None,
        state: Annotated[str | None, Query(description="A word of STATUS")] = None,
        brief: Annotated[bool, Query(description="Without parameters, ports and PVs")] = False,
    ) -> Response:
        kind = self._kind or type
        views = [
            view
            for view in self._control.instances()
            if (kind is None or view.kind == kind) and (state is None or view.state == state.upper())
        ]
        return await listing("plugins", views, seed.brief if brief else self._entry, seed.broken)

    async def _one(self, name: str) -> Response:
        of_kind(self._control, name, self._kind)
        return self._whole(name)

    async def _startup(self, name: str) -> Response:
        view = of_kind(self._control, name, self._kind)
        return reply(seed.startup(view, self._control.spec(name), self._control.startup(name)))

    async def _schema(self, name: str) -> Response:
        of_kind(self._control, name, self._kind)
        return reply(self._control.schema(name))

    async def _set_parameters(self, request: Request, name: str, body: models.ParametersRequest) -> Response:
        of_kind(self._control, name, self._kind)
        self._control.set_parameters(name, body.parameters, caller(request).actor)
        await self._kept()
        return self._whole(name)

    def _acting(self, verb: Trigger) -> Any:
        async def act(request: Request, name: str, wait: Wait = 0.0) -> Response:
            before = of_kind(self._control, name, self._kind)
            try:
                view = self._control.act(name, verb, caller(request).actor)
            except Refused as error:
                allowed = self._control.instance(name).allowed
                extra = {"allowed": list(allowed), "validation": seed.validation(before)}
                raise ProblemRaised(of_error(error, **extra)) from None
            await self._kept()
            view = await settled(self._control, self._streams, name, wait, view)
            if wait and verb in _STARTING and view.state in _FAILED:
                raise ProblemRaised(_not_started(view, verb))
            return acted(view)

        return act

    def _restarting(self) -> Any:
        restart = self._acting(Trigger.RESTART)

        async def act(request: Request, name: str, wait: Wait = 0.0, fetch: Fetch = None) -> Response:
            of_kind(self._control, name, self._kind)
            who = caller(request)
            if fetch:
                who.require(Role.ADMIN)
            if fetch or (fetch is None and who.role.rank >= Role.ADMIN.rank):
                begun = self._control.installs.fetch(name, who.actor)
                if begun is not None:
                    ended = await over(self._control, self._streams, begun, LONGEST_WAIT)
                    require_done(ended)
                    if ended.state is not OperationState.DONE or (ended.plan and not ended.plan.empty):
                        return told(self._control, ended, name)
            answer: Response = await restart(request, name, wait)
            return answer

        return act

    def _enabling(self, enabled: bool) -> Any:
        async def enable(request: Request, name: str, wait: Wait = 0.0) -> Response:
            of_kind(self._control, name, self._kind)
            view = self._control.enable(name, enabled, caller(request).actor)
            await self._kept()
            return acted(await settled(self._control, self._streams, name, wait, view))

        return enable

    async def _kept(self) -> None:
        """Have what was asked on disk before the answer says that it is done."""
        try:
            await self._control.durable()
        except OSError as error:
            raise ProblemRaised(_not_kept(error)) from error

    def _entry(self, view: InstanceView) -> dict[str, Any]:
        return seed.entry(view, self._control.spec(view.name), self._control.startup(view.name))

    def _whole(self, name: str) -> Response:
        detail = self._control.instance(instance_name(name))
        try:
            entry = self._entry(detail.view)
        except Exception as fault:  # noqa: BLE001 - a border: what a broken plugin left behind must not hide the rest of it
            _log.exception("%s cannot be described", name)
            entry = seed.broken(detail.view, fault)
        return reply(entry | {"detail": to_plain(detail)})


def acted(view: InstanceView) -> Response:
    """The answer to a verb that was applied."""
    text = f"{view.name} is {view.state}" + (f": {view.message}" if view.message else "")
    return reply(
        {"ok": True, "message": text, "instance": seed.brief(view), "validation": seed.validation(view)}
    )


def _not_kept(error: OSError) -> Problem:
    return Problem(
        title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code="not-kept",
        detail=f"it was applied, but cannot be kept over a restart of the host: {error}",
        hint="make room in the state directory, or mend its permissions, and ask again",
    )


def _not_started(view: InstanceView, verb: Trigger) -> Problem:
    return Problem(
        title=HTTPStatus.CONFLICT.phrase,
        status=HTTPStatus.CONFLICT,
        code="not-started",
        detail=f"{view.name}: {verb.value} ended in {view.state}"
        + (f": {view.message}" if view.message else ""),
        hint=f"`iocmng logs {view.name}` has the cause",
        extra={"current": seed.brief(view), "validation": seed.validation(view)},
    )
