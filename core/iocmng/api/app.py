"""The application: every route over one `HostControl`, behind the gate."""

from __future__ import annotations

from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from iocmng.api import problems
from iocmng.api.access import Access
from iocmng.api.additions import Additions
from iocmng.api.anywhere import Anywhere
from iocmng.api.gate import BODY_SECONDS, MAX_BODY, Gate
from iocmng.api.guard import ViewerRoute, router
from iocmng.api.hosting import Hosting
from iocmng.api.installing import Installing, Membership
from iocmng.api.instances import COLLECTIONS, Instances
from iocmng.api.logs import Logs
from iocmng.api.openapi import describe
from iocmng.api.pvs import Pvs
from iocmng.api.replies import reply
from iocmng.api.runs import Runs
from iocmng.api.streams import Streams
from iocmng.runtime.control import HostControl
from iocmng.version import VERSION

API = "/api/v1"


class _Part(Protocol):
    def routers(self) -> tuple[APIRouter, ...]: ...


def create_app(
    control: HostControl,
    access: Access,
    *,
    streams: Streams | None = None,
    additions: Additions | None = None,
    max_body: int = MAX_BODY,
    body_seconds: float = BODY_SECONDS,
) -> FastAPI:
    """Make the application.

    Args:
        control: The host; called on the loop that serves the application.
        access: Who may do what.
        streams: Holds the open streams; `Server` closes them through `app.state.streams`.
        additions: Routers of other packages.
        max_body: Bytes a request may have.
        body_seconds: Seconds a request may take to arrive.
    """
    open_streams = streams or Streams()
    app = FastAPI(title="iocmng", version=VERSION, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.streams = open_streams
    hosting = Hosting(control, open_streams, access.tokens)
    app.router.redirect_slashes = False
    for probes in hosting.probes():
        app.include_router(probes)
    # The routes of runs come first: /jobs/{name}/run is none of the verbs.
    collections = [Instances(control, open_streams, name) for name in COLLECTIONS]
    parts: list[_Part] = [
        hosting,
        Installing(control, open_streams),
        Runs(control, open_streams),
        Logs(control, open_streams),
        Pvs(control, open_streams),
        Anywhere(control, open_streams),
    ]
    membership = [Membership(control, open_streams, name) for name in COLLECTIONS]
    for part in [*parts, *collections, *membership]:
        for routes in part.routers():
            app.include_router(routes, prefix=API)

    described: dict[str, Any] = {}

    async def openapi() -> Response:
        if not described:
            described.update(describe(app, additions))
        return reply(described)

    document = router(ViewerRoute)
    document.add_api_route("/openapi.json", openapi, include_in_schema=False)
    app.include_router(document)
    if additions is not None:
        additions.install(app, API)
    problems.install(app)
    app.add_middleware(Gate, access=access, max_body=max_body, body_seconds=body_seconds)
    return app
