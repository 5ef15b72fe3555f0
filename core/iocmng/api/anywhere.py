"""Routes of PVs wherever they are, in the words of the previous system: read, write, subscribe, stream; devices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import fields, replace
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from iocmng.api import models
from iocmng.api.gate import caller
from iocmng.api.guard import OperatorRoute, ViewerRoute, router
from iocmng.api.latest import Latest, aside, messages_of
from iocmng.api.problems import ProblemRaised, of_error
from iocmng.api.pvs import MOST, SHORTEST_PERIOD
from iocmng.api.replies import reply
from iocmng.api.streams import EventStream, Streams
from iocmng.api.subscriptions import Subscription, Subscriptions
from iocmng.errors import IocmngError
from iocmng.runtime.control import HostControl, PvAccess

T = TypeVar("T")


class Stopping(IocmngError):
    """The host stops while a request waits."""

    code = "stopping"
    http_status = 503


class Anywhere:
    """Routes of PVs wherever they are."""

    def __init__(self, control: HostControl, streams: Streams) -> None:
        self._control = control
        self._streams = streams
        self._subscriptions = Subscriptions(control.pv_access)

    def routers(self) -> tuple[APIRouter, APIRouter]:
        """Reading, and operating."""
        reading, operating = router(ViewerRoute, tag="pvs"), router(OperatorRoute, tag="pvs")
        reading.serve("POST", "/pvs/get", self._get, "anywhere_get", "Read a PV", models.PvAnswer)
        operating.serve("POST", "/pvs/put", self._put, "anywhere_put", "Write a PV", models.PvPut)
        reading.serve(
            "POST",
            "/pvs/monitor",
            self._subscribe,
            "anywhere_subscribe",
            "Subscribe to a PV under a key of the caller",
            models.PvMonitor,
        )
        reading.serve(
            "GET",
            "/pvs/monitor/{key:path}",
            self._subscription,
            "anywhere_subscription",
            "A subscription with its latest reading",
            models.PvMonitored,
        )
        reading.serve(
            "DELETE",
            "/pvs/monitor/{key:path}",
            self._unsubscribe,
            "anywhere_unsubscribe",
            "End a subscription",
            models.PvMonitor,
        )
        reading.serve(
            "GET",
            "/pvs/monitors",
            self._of_caller,
            "anywhere_subscriptions",
            "Subscriptions of the caller",
            models.PvMonitors,
        )
        reading.serve(
            "GET",
            "/pvs/provider",
            self._provider,
            "anywhere_provider",
            "How PVs without a scheme are reached",
            models.PvProvider,
        )
        reading.serve(
            "GET", "/devices", self._devices, "devices", "Devices of the beamline file", models.Devices
        )
        reading.serve(
            "GET",
            "/pvs/monitor",
            self._stream,
            "anywhere_monitor",
            "PVs as server-sent events: each now, and whenever it changes",
            response_class=EventStream,
        )
        return reading, operating

    @property
    def _access(self) -> PvAccess:
        return self._control.pv_access

    async def _get(self, body: models.PvGetRequest) -> Response:
        reading = await self._told(body.pv_name, self._access.get(body.pv_name, body.timeout))
        told = {field.name: getattr(reading, field.name) for field in fields(reading)}
        found = models.PvAnswer(**told, ok=True, error=None)
        return await aside(lambda: reply(found), reading.value)

    async def _put(self, request: Request, body: models.PvPutRequest) -> Response:
        actor = caller(request).actor

        async def put() -> str:
            await self._access.put(body.pv_name, body.value, body.timeout, actor)
            return self._access.address(body.pv_name)

        address = await self._told(body.pv_name, put())
        return reply(models.PvPut(ok=True, pv_name=body.pv_name, address=address, error=None))

    async def _told(self, pv: str, awaited: Awaitable[T]) -> T:
        """The outcome; a failure also says so in the words of the previous system."""
        try:
            outcome = await self._streams.until(_boxed(awaited))
        except IocmngError as error:
            extra = {"pv_name": pv, "value": None, "error": error.detail}
            raise ProblemRaised(replace(of_error(error), extra=extra)) from None
        if outcome is None:
            raise Stopping("the host stops", hint="ask again when it is back")
        return outcome[0]

    async def _subscribe(self, request: Request, body: models.PvMonitorRequest) -> Response:
        made = self._subscriptions.open(caller(request), body.pv_name, body.name or body.pv_name)
        return reply(models.PvMonitor(ok=True, key=made.key, message=f"Monitoring {made.pv_name}"))

    async def _unsubscribe(self, request: Request, key: str) -> Response:
        self._subscriptions.close(caller(request), key)
        return reply(models.PvMonitor(ok=True, key=key, message=f"Stopped monitoring {key}"))

    async def _subscription(self, request: Request, key: str) -> Response:
        shown = self._shown(self._subscriptions.get(caller(request), key))
        return await aside(lambda: reply(shown), shown.reading and shown.reading.value)

    async def _of_caller(self, request: Request) -> Response:
        mine = self._subscriptions.of(caller(request))
        shown = models.PvMonitors(
            monitors={key: one.pv_name for key, one in mine.items()},
            count=len(mine),
            readings={key: one.latest for key, one in mine.items()},
        )
        values = [reading.value for reading in shown.readings.values() if reading is not None]
        return await aside(lambda: reply(shown), *values)

    def _shown(self, one: Subscription) -> models.PvMonitored:
        return models.PvMonitored(
            key=one.key,
            pv_name=one.pv_name,
            reading=one.latest,
            updates=one.updates,
            expires=self._subscriptions.expires(one),
        )

    async def _provider(self) -> Response:
        return reply(models.PvProvider(provider=self._access.provider))

    async def _devices(self) -> Response:
        view = self._control.devices()
        return reply(
            models.Devices(
                available=view.available,
                available_count=len(view.available),
                created=view.created,
                created_count=len(view.created),
            )
        )

    async def _stream(
        self,
        pv: Annotated[list[str], Query(min_length=1, max_length=MOST, description="Names")],
        period: Annotated[
            float, Query(ge=SHORTEST_PERIOD, le=60, description="Seconds between messages, at least")
        ] = 0.1,
    ) -> Response:
        names = tuple(dict.fromkeys(pv))
        for name in names:
            self._access.address(name)
        return self._streams.stream(_readings(self._access, names, period))


async def _boxed(awaited: Awaitable[T]) -> tuple[T]:
    return (await awaited,)


async def _readings(access: PvAccess, names: tuple[str, ...], period: float) -> AsyncGenerator[str, None]:
    with Latest(access, names) as latest:
        while True:
            yield await messages_of(await latest.changed())
            await asyncio.sleep(period)
