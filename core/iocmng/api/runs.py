"""Routes of jobs' runs, and of the one run that a request triggers."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from iocmng.api import models
from iocmng.api.gate import caller
from iocmng.api.guard import OperatorRoute, ViewerRoute, router
from iocmng.api.instances import acted
from iocmng.api.lookup import LONGEST_WAIT, Wait, of_kind, run_id
from iocmng.api.replies import listing, reply
from iocmng.api.streams import Streams
from iocmng.lifecycle import JobState
from iocmng.runtime.control import HostControl
from iocmng.wire import InstanceView, RunView, to_plain

Arguments = Annotated[models.RunRequest | None, Body()]


class Runs:
    """Routes of runs."""

    def __init__(self, control: HostControl, streams: Streams) -> None:
        self._control = control
        self._streams = streams

    def routers(self) -> tuple[APIRouter, APIRouter]:
        """Reading, and operating."""
        reading = router(ViewerRoute, tag="runs")
        reading.serve(
            "GET", "/jobs/{name}/runs", self._of_job, "jobs_runs", "Runs of a job, newest first", models.Runs
        )
        reading.serve("GET", "/runs/{run}", self._one, "runs_get", "One run", RunView)
        reading.serve("GET", "/runs/{run}/log", self._log, "runs_log", "Its log", models.Lines)
        operating = router(OperatorRoute, tag="runs")
        operating.serve(
            "POST",
            "/jobs/{name}/runs",
            self._start,
            "jobs_start_run",
            "Start a run",
            RunView,
            status_code=202,
        )
        operating.serve(
            "POST", "/runs/{run}/abort", self._abort, "runs_abort", "Ask it to end; idempotent", RunView
        )
        operating.serve(
            "POST",
            "/jobs/{name}/run",
            self._run_job,
            "jobs_run",
            "Run a job and wait for its result",
            models.JobRan,
        )
        operating.serve(
            "POST",
            "/tasks/{name}/run",
            self._run_task,
            "tasks_run",
            "Run a triggered task once",
            models.Acted,
        )
        operating.serve(
            "POST",
            "/plugins/{name}/run",
            self._run,
            "plugins_run",
            "Run a job and wait for its result, or a triggered task once",
            models.JobRan,
            models.Acted,
        )
        return reading, operating

    async def _of_job(self, name: str) -> Response:
        of_kind(self._control, name, "job")
        return await listing("runs", self._control.runs(name))

    async def _one(self, run: str, wait: Wait = 0.0) -> Response:
        view = self._control.run(run_id(run))
        if wait and not view.over:
            view = await self._streams.until(self._control.run_over(run, wait)) or view
        return reply(view)

    async def _log(
        self, run: str, limit: Annotated[int, Query(ge=1, le=10_000, description="Newest lines")] = 1000
    ) -> Response:
        return await listing("lines", self._control.run_log(run_id(run))[-limit:])

    async def _start(self, request: Request, name: str, body: Arguments = None) -> Response:
        of_kind(self._control, name, "job")
        await self._control.prepare_job(name)
        view = self._control.start_run(name, body.arguments if body else {}, caller(request).actor)
        await self._control.runs_kept()
        return reply(self._control.run(view.id), 202, {"Location": f"/api/v1/runs/{view.id}"})

    async def _abort(self, request: Request, run: str) -> Response:
        return reply(self._control.abort(run_id(run), caller(request).actor))

    async def _run_job(self, request: Request, name: str, body: Arguments = None) -> Response:
        of_kind(self._control, name, "job")
        return await self._ran(request, name, body)

    async def _run_task(self, request: Request, name: str) -> Response:
        of_kind(self._control, name, "task")
        return acted(self._control.trigger(name, caller(request).actor))

    async def _run(self, request: Request, name: str, body: Arguments = None) -> Response:
        view: InstanceView = of_kind(self._control, name, None)
        return await (self._ran(request, name, body) if view.kind == "job" else self._run_task(request, name))

    async def _ran(self, request: Request, name: str, body: models.RunRequest | None) -> Response:
        await self._control.prepare_job(name)
        view = self._control.start_run(name, body.arguments if body else {}, caller(request).actor)
        while not view.over:
            later = await self._streams.until(self._control.run_over(view.id, LONGEST_WAIT))
            if later is None:  # the server closes
                break
            view = later
        return reply({"ok": view.state is JobState.SUCCESS, "result": _result(view), "run": view})


def _result(view: RunView) -> dict[str, Any]:
    ended = datetime.datetime.fromtimestamp(view.ended or view.started, datetime.UTC)
    return {
        "success": view.state is JobState.SUCCESS,
        "data": to_plain(view.data),
        "message": view.message,
        "timestamp": ended.isoformat(),
    }
