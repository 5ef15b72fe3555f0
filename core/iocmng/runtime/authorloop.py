"""One asyncio loop in a thread of its own for the coroutines of all authors; started when first needed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any

from iocmng.runtime.leaving import Leaving


class ThreadedAuthorLoop:
    """The loop that runs `async def` methods of tasks and jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="iocmng-authors", daemon=True
                )
                self._thread.start()
            return self._loop

    def run(self, work: Coroutine[Any, Any, Any], leaving: Leaving, grace: float) -> Any:
        """Run a coroutine on the loop and wait for it on the calling thread.

        Raises:
            asyncio.CancelledError: It did not end within `grace` seconds of `leaving`.
        """
        loop = self._started()
        future = asyncio.run_coroutine_threadsafe(work, loop)

        def cancel_later() -> None:
            loop.call_soon_threadsafe(loop.call_later, grace, future.cancel)

        undo = leaving.subscribe(cancel_later)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None
        finally:
            undo()

    async def sleep(self, seconds: float, leaving: Leaving) -> bool:
        """Wait inside a coroutine; False as soon as `leaving`."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(told.set)

        undo = leaving.subscribe(tell)
        try:
            await asyncio.wait_for(told.wait(), seconds)
        except TimeoutError:
            return True
        finally:
            undo()
        return False

    def owns_this_thread(self) -> bool:
        """Whether the caller is a coroutine on this loop."""
        return threading.current_thread() is self._thread
