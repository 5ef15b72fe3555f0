"""Server-sent events: one place that opens streams, keeps them alive and ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from iocmng.api.replies import encode
from iocmng.wire import to_plain

LIMIT = 64
HEARTBEAT = 15.0
LAST_WORDS = 0.5
SILENCE = 0.1
MEDIA_TYPE = "text/event-stream"

T = TypeVar("T")


class EventStream(Response):
    """How a route describes that it answers with a stream."""

    media_type = MEDIA_TYPE


class Streams:
    """All open streams and waits of a server.

    Args:
        limit: How many streams there may be at once.
        heartbeat: Seconds of silence after which a comment is sent.

    Attributes:
        open: Streams that are open.
        waiting: Requests that wait for something.
    """

    def __init__(self, limit: int = LIMIT, heartbeat: float = HEARTBEAT) -> None:
        self._limit = limit
        self._heartbeat = heartbeat
        self._closing = asyncio.Event()
        self.open = 0
        self.waiting = 0

    def close(self) -> None:
        """End every wait now, and every stream when it is silent, within half a second."""
        self._closing.set()

    def stream(self, source: AsyncGenerator[str, None]) -> Response:
        """Send what `source` yields until it ends, the client goes, or the server closes.

        Raises:
            HTTPException: There are too many (503).
        """
        if self.open >= self._limit:
            raise HTTPException(
                503, f"{self.open} streams are open, at most {self._limit} are served", {"Retry-After": "5"}
            )
        return StreamingResponse(self._pump(source), media_type=MEDIA_TYPE)

    async def until(self, awaited: Awaitable[T]) -> T | None:
        """Wait for something, or until the server closes (None)."""
        task = asyncio.ensure_future(awaited)
        closing = asyncio.ensure_future(self._closing.wait())
        self.waiting += 1
        try:
            await asyncio.wait(_any(task, closing), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            self.waiting -= 1
            await _cancelled(closing, task)

    async def _pump(self, source: AsyncGenerator[str, None]) -> AsyncIterator[str]:
        self.open += 1
        closing = asyncio.ensure_future(self._closing.wait())
        coming: asyncio.Future[str] = asyncio.ensure_future(anext(source))
        try:
            yield "retry: 1000\n\n"
            while not closing.done():
                await asyncio.wait(
                    _any(coming, closing), timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED
                )
                if coming.done():
                    yield coming.result()
                    coming = asyncio.ensure_future(anext(source))
                elif not closing.done():
                    yield ": alive\n\n"
            end = asyncio.get_running_loop().time() + LAST_WORDS
            while asyncio.get_running_loop().time() < end:
                await asyncio.wait(_any(coming), timeout=SILENCE)
                if not coming.done():
                    return
                yield coming.result()
                coming = asyncio.ensure_future(anext(source))
        except StopAsyncIteration:
            return
        finally:
            self.open -= 1
            await _cancelled(closing, coming)
            async with aclosing(source):
                pass


def _any(*tasks: asyncio.Future[Any]) -> tuple[asyncio.Future[Any], ...]:
    return tasks


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    # What they still had to say nobody waits for any more; a real fault was already raised by result().
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


def message(data: Any, *, id: str = "", kind: str = "") -> str:
    """One message."""
    head = f"id: {id}\n" if id else ""
    named = f"event: {kind}\n" if kind else ""
    return f"{head}{named}data: {encode(to_plain(data))}\n\n"
