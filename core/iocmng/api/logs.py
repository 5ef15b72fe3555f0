"""Routes of logs and events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from iocmng.api import events, models
from iocmng.api.guard import ViewerRoute, router
from iocmng.api.instances import COLLECTIONS
from iocmng.api.lookup import HOST, level_name, of_kind
from iocmng.api.replies import listing
from iocmng.api.streams import EventStream, Streams, message
from iocmng.errors import BadInput
from iocmng.runtime.control import HostControl
from iocmng.wire import EventKind, LogLine

LINES = 10_000
_REMEMBERED = 1000

Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False, description="Seconds since 1970-01-01 UTC")]
Level = Annotated[str, Query(max_length=16, description="Lowest level")]
LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=200)]


class Logs:
    """Routes of logs and events."""

    def __init__(self, control: HostControl, streams: Streams) -> None:
        self._control = control
        self._streams = streams

    def routers(self) -> tuple[APIRouter]:
        """Reading."""
        reading = router(ViewerRoute)
        reading.serve(
            "GET",
            "/events",
            self._events,
            "events",
            "What happens, as server-sent events",
            response_class=EventStream,
            tags=["host"],
        )
        for collection in COLLECTIONS:
            reading.serve(
                "GET",
                f"/{collection}/{{name}}/log",
                self._log_of(COLLECTIONS[collection]),
                f"{collection}_log",
                "Its log, `HOST` for the host's own; with `follow` as server-sent events",
                models.Lines,
                tags=[collection],
            )
        return (reading,)

    async def _events(
        self,
        kind: Annotated[list[EventKind] | None, Query(description="Only these kinds")] = None,
        instance: Annotated[str, Query(max_length=200, description="Only of this instance")] = "",
        after: Annotated[str, Query(max_length=200, description="As Last-Event-ID")] = "",
        last_event_id: LastId = None,
    ) -> Response:
        boot, wanted = self._control.host().boot_id, frozenset(kind or ())
        begin = last_event_id or after
        return self._streams.stream(events.follow(self._control.events, boot, begin, wanted, instance))

    def _log_of(self, kind: str | None) -> Callable[..., Awaitable[Response]]:
        async def log(
            name: str,
            since: Seconds = 0.0,
            level: Level = "DEBUG",
            limit: Annotated[int, Query(ge=1, le=LINES, description="Newest lines")] = 1000,
            follow: Annotated[bool, Query(description="Stay, and send lines as they come")] = False,
            last_event_id: LastId = None,
        ) -> Response:
            if name != HOST:
                of_kind(self._control, name, kind)
            lowest = level_name(level)
            if not follow:
                return await listing(
                    "lines", self._control.log(name, since=since, level=lowest, limit=limit)[-limit:]
                )
            begin = _time(last_event_id) if last_event_id else since
            return self._streams.stream(_follow(self._control, name, lowest, begin, limit))

        return log


def _time(last_id: str) -> float:
    try:
        return float(last_id)
    except ValueError:
        raise BadInput(f"Last-Event-ID {last_id[:40]!r} is not one of a log", hint="leave it out") from None


async def _follow(
    control: HostControl, name: str, level: str, since: float, limit: int
) -> AsyncGenerator[str, None]:
    coming = aiter(control.follow_log(name, level=level))
    first = asyncio.ensure_future(anext(coming))
    try:
        # Listening begins before the kept lines are read, so none falls between; doubles are dropped.
        await asyncio.sleep(0)
        kept = control.log(name, since=since, level=level, limit=limit) if since else ()
        recent: deque[LogLine] = deque(kept, maxlen=_REMEMBERED)
        for line in kept:
            if line.time > since:
                yield _text(line)
        line = await first
        while True:
            if line in recent:
                recent.remove(line)
            else:
                yield _text(line)
            line = await anext(coming)
    except StopAsyncIteration:
        return
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        if isinstance(coming, AsyncGenerator):
            await coming.aclose()


def _text(line: LogLine) -> str:
    return message(line, id=repr(line.time), kind="log")
