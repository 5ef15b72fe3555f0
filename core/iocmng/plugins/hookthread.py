"""Threads of hooks: each package's calls run one after the other in a thread of its own, with a deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger("iocmng.hooks")
CAPACITY = 10_000
PASSED_OVER = "passed over, an earlier call still runs"


class Overdue(Exception):
    """A call did not return in time, or an earlier one of the same implementation still runs."""


@dataclass(slots=True, eq=False)
class Item:
    """One call: `answer` is where its caller waits, None when nobody does."""

    hook: str
    call: Callable[[], Any]
    answer: Future[Any] | None
    begun: float = 0.0


class PackageThread:
    """Runs one package's calls; one that takes too long keeps its thread, and a new one starts.

    Args:
        package: The package's name, which the thread bears.
        deadline: Seconds that a call may take for which nobody waits.
        failed: Told the hook and the error of calls for which nobody waits; any thread.
        capacity: Calls without a waiting caller that are kept; of more the oldest are dropped.
    """

    def __init__(
        self,
        package: str,
        deadline: float,
        failed: Callable[[str, BaseException], None],
        capacity: int = CAPACITY,
    ) -> None:
        self._package = package
        self._deadline = deadline
        self._failed = failed
        self._changed = threading.Condition()
        self._calls: deque[Item] = deque()
        self._events: deque[Item] = deque(maxlen=capacity)
        self._stuck: dict[str, Item] = {}
        self._current: Item | None = None
        self._worker: threading.Thread | None = None
        self._closing = False
        self.dropped = 0

    def submit(self, hook: str, call: Callable[[], Any]) -> Item:
        """Have a call run before all that nobody waits for; see `result`.

        Raises:
            Overdue: An earlier call of the same hook still runs.
        """
        item = Item(hook, call, Future())
        with self._changed:
            if hook in self._stuck:
                raise Overdue(PASSED_OVER)
            self._calls.append(item)
            self._wake()
        return item

    def result(self, item: Item, timeout: float) -> Any:
        """Return what a call returns, or raise what it raises.

        Raises:
            Overdue: It does not end within `timeout` seconds.
        """
        assert item.answer is not None
        try:
            return item.answer.result(timeout)
        except TimeoutError:
            with self._changed:
                # A TimeoutError of the call itself looks the same.
                if not item.answer.done():
                    raise Overdue(self._give_up(item)) from None
            return item.answer.result()

    def _give_up(self, item: Item) -> str:
        if item is self._current:
            begun = item.begun
            self._leave()
            return f"did not return within {time.monotonic() - begun:.2g} s"
        self._calls.remove(item)
        busy = self._current.hook if self._current else "another call"
        return f"was not called, {busy} of the same package took the time"

    def put(self, hook: str, call: Callable[[], Any]) -> None:
        """Have a call run when there is time; never blocks."""
        with self._changed:
            if self._closing:
                return
            stuck = hook in self._stuck
            lost = stuck or len(self._events) == self._events.maxlen
            self.dropped += lost
            first = lost and self.dropped == 1
            if not stuck:
                # When it is full the oldest one goes.
                self._events.append(Item(hook, call, None))
                self._wake()
        if first:
            _log.warning("hooks of %s are slower than events: some are dropped", self._package)
        self.look()

    def look(self) -> None:
        """Give up a call that nobody waits for and that takes too long; called now and then."""
        item = self._current
        if item is None or item.answer is not None or time.monotonic() - item.begun < self._deadline:
            return
        with self._changed:
            if self._current is not item:
                return
            self._leave()
        self._failed(item.hook, Overdue(f"did not return within {self._deadline:g} s"))

    def _leave(self) -> None:
        assert self._current is not None
        self._stuck[self._current.hook] = self._current
        self._current = self._worker = None
        if self._calls or self._events:
            self._wake()

    def _wake(self) -> None:
        if self._worker is None:
            self._worker = threading.Thread(
                target=self._work, name=f"iocmng-hooks {self._package}", daemon=True
            )
            self._worker.start()
        else:
            self._changed.notify_all()

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                value = item.call()
            except BaseException as problem:  # noqa: BLE001 - a border: what foreign code raises goes to the caller
                self._tell(item, problem)
            else:
                if item.answer is not None:
                    item.answer.set_result(value)
            with self._changed:
                if self._current is item:
                    self._current = None
                elif self._stuck.get(item.hook) is item:
                    del self._stuck[item.hook]

    def _tell(self, item: Item, problem: BaseException) -> None:
        if not isinstance(problem, (Exception, SystemExit)):
            # In the caller's thread it would look like the host's own interrupt.
            problem = RuntimeError(f"{type(problem).__name__}: {problem}")
        if item.answer is not None:
            item.answer.set_exception(problem)
        else:
            self._failed(item.hook, problem)

    def _next(self) -> Item | None:
        """The next call; None when this thread was replaced, or nothing is left."""
        with self._changed:
            while self._worker is threading.current_thread():
                if self._calls or self._events:
                    item = (self._calls or self._events).popleft()
                    if item.hook in self._stuck:
                        self._pass_over(item)
                        continue
                    self._current = item
                    item.begun = time.monotonic()
                    return item
                if self._closing:
                    self._worker = None
                    return None
                self._changed.wait()
            return None

    def _pass_over(self, item: Item) -> None:
        if item.answer is None:
            self.dropped += 1
        else:
            item.answer.set_exception(Overdue(PASSED_OVER))

    def begin_close(self) -> None:
        """Take no more events, and let the thread end when it has made what waits."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until what waits is made."""
        self.begin_close()
        worker = self._worker
        if worker is not None:
            worker.join(timeout)
