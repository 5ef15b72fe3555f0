"""What streams of PVs send: of each PV the latest reading since the last look, however fast it changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from iocmng.api.streams import message
from iocmng.runtime.control import PvAccess
from iocmng.wire import PvReading

T = TypeVar("T")

BULKY = 5000
"""Elements of a value from which on its text is made beside the loop: a million take a second."""


class Latest:
    """Subscriptions to several PVs, from the beginning of the block to its end; used on the loop's thread.

    Args:
        access: Where they are.
        names: Their names.
    """

    def __init__(self, access: PvAccess, names: Iterable[str]) -> None:
        self._access = access
        self._names = tuple(names)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._lock = threading.Lock()
        self._fresh: dict[str, PvReading] = {}
        self._subscribed = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as begun:
            for name in self._names:
                begun.callback(self._access.monitor(name, partial(self._hear, name)))
            self._subscribed = begun.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscribed.close()

    async def changed(self) -> list[PvReading]:
        """Wait for changes; the latest reading of each PV that changed."""
        await self._wake.wait()
        self._wake.clear()
        with self._lock:
            taken = list(self._fresh.values())
            self._fresh.clear()
        return taken

    def _hear(self, name: str, reading: PvReading) -> None:
        """Any thread."""
        with self._lock:
            signalled = bool(self._fresh)
            self._fresh[name] = reading
        if not signalled:  # one wake-up of the loop for many readings
            self._loop.call_soon_threadsafe(self._wake.set)


def bulky(value: Any) -> bool:
    """Whether a value is a long list or array."""
    size = len(value) if isinstance(value, (list, tuple)) else getattr(value, "size", 0)
    return isinstance(size, int) and size > BULKY


async def aside(make: Callable[[], T], *values: Any) -> T:
    """What `make` makes of values; in a thread where one of them is bulky, so that the loop stays free."""
    return await asyncio.to_thread(make) if any(map(bulky, values)) else make()


async def messages_of(shown: Iterable[Any]) -> str:
    """Messages of things that have a `value`."""
    things = list(shown)
    return await aside(
        lambda: "".join(message(thing, kind="pv") for thing in things), *(thing.value for thing in things)
    )
