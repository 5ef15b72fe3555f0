"""Routes of the host's own PVs: list, read, write, watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from iocmng.api import models
from iocmng.api.gate import caller
from iocmng.api.guard import OperatorRoute, ViewerRoute, router
from iocmng.api.latest import Latest, aside, messages_of
from iocmng.api.lookup import pv_name
from iocmng.api.replies import listing, reply
from iocmng.api.streams import EventStream, Streams
from iocmng.runtime.control import HostControl
from iocmng.values import PortType
from iocmng.wire import PvView, revive

MOST = 200
SHORTEST_PERIOD = 0.02


class Pvs:
    """Routes of the host's own PVs."""

    def __init__(self, control: HostControl, streams: Streams) -> None:
        self._control = control
        self._streams = streams

    def routers(self) -> tuple[APIRouter, APIRouter]:
        """Reading, and operating."""
        reading = router(ViewerRoute, "/host", "host")
        reading.serve("GET", "/pvs", self._all, "pvs_list", "PVs of the host", models.Pvs)
        reading.serve(
            "GET",
            "/monitor",
            self._monitor,
            "pvs_monitor",
            "PVs as server-sent events: each now, and whenever it differs",
            response_class=EventStream,
        )
        reading.serve(
            "GET", "/pvs/{pv}", self._one, "pvs_get", "One PV, by full name or INSTANCE:PORT", PvView
        )
        operating = router(OperatorRoute, "/host", "host")
        operating.serve("PUT", "/pvs/{pv}", self._put, "pvs_put", "Write a writable PV", PvView)
        return reading, operating

    async def _all(
        self,
        pattern: Annotated[
            str,
            Query(max_length=128, description="Instance, or a shell pattern of INSTANCE:PORT or full names"),
        ] = "*",
    ) -> Response:
        return await listing("pvs", self._control.pvs(pattern))

    async def _one(self, pv: str) -> Response:
        view = self._control.pv(pv_name(pv))
        return await aside(lambda: reply(view), view.value)

    async def _put(self, request: Request, pv: str, body: models.PutRequest) -> Response:
        known = self._control.pv(pv_name(pv))
        numeric = known.type in (PortType.FLOAT, PortType.ARRAY)
        value: Any = revive(body.value) if numeric else body.value
        return reply(self._control.put_pv(pv, value, caller(request).actor))

    async def _monitor(
        self,
        pv: Annotated[list[str], Query(min_length=1, max_length=MOST, description="Names")],
        period: Annotated[
            float, Query(ge=SHORTEST_PERIOD, le=60, description="Least seconds between messages")
        ] = 0.1,
    ) -> Response:
        names = tuple(dict.fromkeys(self._control.pv(pv_name(name)).name for name in pv))
        return self._streams.stream(_changes(self._control, names, period))


async def _changes(control: HostControl, names: tuple[str, ...], period: float) -> AsyncGenerator[str, None]:
    with Latest(control.pv_access, names) as latest:
        while True:
            yield await messages_of([control.pv(reading.address) for reading in await latest.changed()])
            await asyncio.sleep(period)
