"""Routes of plugins that come and go: operations, generations, and the previous system's POST and DELETE."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from iocmng.api import models
from iocmng.api.gate import caller
from iocmng.api.guard import AdminRoute, ViewerRoute, router
from iocmng.api.install_bodies import InstallBody, PluginBody, RollbackBody, plugin_name, requirement
from iocmng.api.instances import COLLECTIONS
from iocmng.api.lookup import LONGEST_WAIT, Patience, Wait, of_kind, operation_id
from iocmng.api.operations import accepted, over, told
from iocmng.api.replies import listing, reply
from iocmng.api.streams import Streams
from iocmng.errors import Refused
from iocmng.runtime.control import HostControl
from iocmng.wire import InstallRequest, OperationView


class Installing:
    """Routes of operations and generations, and the restart of the host."""

    def __init__(self, control: HostControl, streams: Streams) -> None:
        self._control = control
        self._streams = streams

    def routers(self) -> tuple[APIRouter, APIRouter]:
        """Reading, and administering."""
        reading = router(ViewerRoute, tag="install")
        reading.serve(
            "GET",
            "/operations",
            self._all,
            "operations_list",
            "Operations of this process, newest first",
            models.Operations,
        )
        reading.serve(
            "GET", "/operations/{operation}", self._one, "operations_get", "One operation", OperationView
        )
        reading.serve(
            "GET",
            "/install/generations",
            self._generations,
            "install_generations",
            "What is kept, newest first",
            models.Generations,
        )
        admin = router(AdminRoute, tag="install")
        for path, operation, summary, endpoint in (
            ("/install/plan", "install_plan", "Say what a request would change", self._plan),
            (
                "/install",
                "install",
                "Install, upgrade, uninstall; 202 and an operation to wait for",
                self._begin,
            ),
            ("/install/rollback", "install_rollback", "Go back to a generation", self._rollback),
        ):
            admin.serve("POST", path, endpoint, operation, summary, OperationView, status_code=202)
        admin.serve(
            "POST",
            "/operations/{operation}/abort",
            self._abort,
            "operations_abort",
            "Ask it to end; what has changed is taken back; idempotent",
            OperationView,
        )
        admin.serve(
            "POST",
            "/host/restart",
            self._restart,
            "host_restart",
            "Replace the host's process by a new one of itself",
            models.Done,
            status_code=202,
        )
        return reading, admin

    async def _all(self) -> Response:
        return await listing("operations", self._control.installs.operations())

    async def _one(self, operation: str, wait: Wait = 0.0) -> Response:
        view = self._control.installs.operation(operation_id(operation))
        return reply(await over(self._control, self._streams, view, wait))

    async def _generations(self) -> Response:
        return await listing("generations", self._control.installs.generations())

    async def _plan(self, request: Request, body: InstallBody) -> Response:
        return self._begun(request, body.request(), plan_only=True)

    async def _begin(self, request: Request, body: InstallBody) -> Response:
        return self._begun(request, body.request())

    async def _rollback(
        self, request: Request, body: Annotated[RollbackBody | None, Body()] = None
    ) -> Response:
        return self._begun(request, (body or RollbackBody()).request())

    async def _abort(self, request: Request, operation: str) -> Response:
        return reply(self._control.installs.abort(operation_id(operation), caller(request).actor))

    async def _restart(self, request: Request) -> Response:
        self._control.installs.restart_host(caller(request).actor)
        return reply(models.Done(ok=True, message="the host restarts"), 202)

    def _begun(self, request: Request, wanted: InstallRequest, *, plan_only: bool = False) -> Response:
        begun = self._control.installs.begin(wanted, caller(request).actor, plan_only=plan_only)
        return accepted(begun)


class Membership:
    """Adding to and removing from one collection; both wait for the end, as the previous system did."""

    def __init__(self, control: HostControl, streams: Streams, collection: str) -> None:
        self._control = control
        self._streams = streams
        self._collection = collection
        self._kind = COLLECTIONS[collection]

    def routers(self) -> tuple[APIRouter]:
        """Administering."""
        admin = router(AdminRoute, f"/{self._collection}", self._collection)
        admin.serve(
            "POST",
            "",
            self._add,
            f"{self._collection}_add",
            "Add one: from git, a folder, a requirement, or one more of a plugin that is here",
            models.Changed,
        )
        admin.serve(
            "DELETE",
            "/{name}",
            self._remove,
            f"{self._collection}_remove",
            "Remove it, and its distribution when nothing else uses that",
            models.Changed,
        )
        return (admin,)

    async def _add(self, request: Request, body: PluginBody, wait: Patience = LONGEST_WAIT) -> Response:
        begun, name = self._begin(request, body)
        return told(self._control, await over(self._control, self._streams, begun, wait), name)

    def _begin(self, request: Request, body: PluginBody) -> tuple[OperationView, str]:
        actor, installs = caller(request).actor, self._control.installs
        kind = self._kind or ""
        match body.form():
            case "requirement":
                wanted = requirement(body.requirement or "")
                return installs.begin(InstallRequest(requirements=(wanted,), kind=kind), actor), ""
            case "plugin":
                plugin = plugin_name("plugin", body.plugin or "")
                name = plugin_name("name", body.name)
                self._of_kind(plugin)
                given = body.parameters or {}
                return installs.add_instance(plugin, name, given, body.prefix or None, actor), name
        source = body.source()
        return installs.begin(InstallRequest(source=source, kind=kind), actor), source.name

    def _of_kind(self, plugin: str) -> None:
        kinds = {one.kind for one in self._control.instances() if one.plugin == plugin}
        if self._kind and kinds and self._kind not in kinds:
            kind = min(kinds)
            raise Refused(
                f"{plugin} is a {kind}, and a {self._kind} is asked for", hint=f"POST /api/v1/{kind}s"
            )

    async def _remove(self, request: Request, name: str, wait: Patience = LONGEST_WAIT) -> Response:
        of_kind(self._control, name, self._kind)
        begun = self._control.installs.remove(name, caller(request).actor)
        return told(self._control, await over(self._control, self._streams, begun, wait), name)
