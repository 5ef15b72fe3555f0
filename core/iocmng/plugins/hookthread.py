"""The hook thread, and the lane of events that wait for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from typing import Any

_log = logging.getLogger("iocmng.hooks")
_END = None


class Overdue(Exception):
    """A call did not return in time, or an earlier one of the same implementation still runs."""


class HookThread:
    """Runs calls one after the other; one that takes too long keeps its thread, and a new one starts."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] | None = None
        self._stuck: dict[Hashable, Future[Any]] = {}

    def run(self, key: Hashable, call: Callable[[], Any], deadline: float) -> Any:
        """Run `call` in the hook thread and return what it returns, or raise what it raises.

        Args:
            key: Says whose call it is; while one of it hangs, no other is tried.
            call: What to run.
            deadline: Seconds it may take.

        Raises:
            Overdue: It did not return in time, or an earlier one still runs.
        """
        with self._turn:
            if key in self._stuck:
                if not self._stuck[key].done():
                    raise Overdue("passed over, an earlier call still runs")
                del self._stuck[key]
            calls = self._calls or self._start()
            future: Future[Any] = Future()
            calls.put((future, call))
            try:
                return future.result(deadline)
            except TimeoutError:
                if future.done():
                    return future.result()
                self._stuck[key] = future
                self._leave()
                raise Overdue(f"did not return within {deadline:g} s") from None

    def _start(self) -> queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]:
        calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=_work, args=(calls,), name="iocmng-hooks", daemon=True).start()
        self._calls = calls
        return calls

    def _leave(self) -> None:
        if self._calls is not None:
            self._calls.put(_END)
        self._calls = None

    def close(self) -> None:
        """Let the thread end when it is idle."""
        with self._turn:
            self._leave()


def _work(calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]) -> None:
    while (item := calls.get()) is not _END:
        future, call = item
        try:
            result = call()
        except BaseException as problem:  # noqa: BLE001 - a border: what foreign code raises goes to the caller
            future.set_exception(problem)
        else:
            future.set_result(result)


class EventLane:
    """Keeps calls in order until the hook thread has time; the oldest are dropped when too many wait.

    Args:
        deliver: Makes one call; runs on the lane's own thread.
        capacity: Calls that may wait.
    """

    def __init__(self, deliver: Callable[[str, Mapping[str, object]], None], capacity: int = 10_000) -> None:
        self._deliver = deliver
        self._waiting: queue.Queue[tuple[str, Mapping[str, object]] | None] = queue.Queue(capacity)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def put(self, hook: str, arguments: Mapping[str, object]) -> None:
        """Take one call; never blocks."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="iocmng-hook-events", daemon=True)
                self._thread.start()
            self._force((hook, arguments))

    def _force(self, item: tuple[str, Mapping[str, object]] | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(item)
                return
            except queue.Full:
                self._drop()

    def _drop(self) -> None:
        try:
            self._waiting.get_nowait()
        except queue.Empty:
            return
        self.dropped += 1
        if self.dropped == 1:
            _log.warning("hooks are slower than events: the oldest of %d is dropped", self._waiting.maxsize)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not _END:
            self._deliver(*item)

    def close(self, timeout: float) -> None:
        """Deliver what waits, at most `timeout` seconds long."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._force(_END)
        if thread is not None:
            thread.join(timeout)
