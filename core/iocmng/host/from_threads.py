"""The host for code in other threads: each call of a method is made on the host's loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from iocmng.runtime.control import HostControl, InstallControl, PvAccess

PATIENCE = 30.0
_PARTS = ("installs", "pv_access")


class FromThreads:
    """A `HostControl` whose methods may be called from any thread.

    In another thread than the loop's a method waits for the loop and, where it is a coroutine, for its result;
    on the loop itself methods are those of the host, coroutines to be awaited.

    Args:
        control: The host.
        loop: Its loop.
    """

    def __init__(
        self, control: HostControl | InstallControl | PvAccess, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._control = control
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        """A method or property of the host."""
        found = getattr(self._control, name)
        if name in _PARTS:
            return FromThreads(found, self._loop)
        return self._crossing(found) if inspect.ismethod(found) else found

    def _crossing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._here():
                return method(*arguments, **named)

            async def there() -> Any:
                result = method(*arguments, **named)
                if inspect.isasyncgen(result):
                    raise TypeError(f"{method.__name__} follows for ever: use it on the host's loop")
                return await result if inspect.isawaitable(result) else result

            return asyncio.run_coroutine_threadsafe(there(), self._loop).result(PATIENCE)

        return call

    def _here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False
