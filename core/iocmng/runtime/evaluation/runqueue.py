"""The one thread that evaluates links and logic of all instances, each when something of it changed or is due."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections import deque
from typing import Protocol

from iocmng.runtime.ports import Clock
from iocmng.runtime.traces import stack_line

_log = logging.getLogger("iocmng.evaluation")

HANGS = 5.0
"""Seconds after which one evaluation hangs when others wait for it: they take microseconds."""


class Evaluated(Protocol):
    """What waits in the queue: it stands there once at most, whatever happened meanwhile."""

    queued: bool
    due: float | None

    def evaluate(self, now: float) -> float | None:
        """Do what is to be done; return the monotonic time at which to come again, None for never."""

    def broke(self, error: Exception) -> None:
        """`evaluate` raised, which it must not."""


class RunQueue:
    """Evaluates one after another, in the order in which they were submitted; the thread starts with the first.

    Args:
        clock: Time, and the thread.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Evaluated] = deque()
        self._timers: list[tuple[float, int, Evaluated]] = []
        self._numbers = itertools.count()
        self._wakeup = clock.wakeup()
        self._thread: threading.Thread | None = None
        self._current: Evaluated | None = None
        self._since = 0.0
        self._stuck: list[Evaluated] = []
        self._room = 64
        self._idle = False
        self._closed = False

    def submit(self, unit: Evaluated) -> None:
        """Have `unit` evaluated soon; any thread, never blocks."""
        with self._lock:
            if unit.queued:
                return
            unit.queued = True
            self._waiting.append(unit)
            idle, self._idle = self._idle, False
            start = self._thread is None and not self._closed
            if start:
                self._start()
        if idle:
            self._wakeup.set()

    def rescue(self, unit: Evaluated) -> None:
        """Go on in a new thread when the present one hangs in `unit`, or in another one that `unit` waits for.

        What hangs is not evaluated again before that returns: a second thread would hang in it too.
        """
        with self._lock:
            hangs = self._current
            if hangs is None or self._closed:
                return
            if hangs is not unit and self._clock.monotonic() - self._since < HANGS:
                return
            _log.error(
                "the evaluation hangs at %s; the others go on in a new thread", stack_line(self._thread)
            )
            self._stuck.append(hangs)
            if hangs.queued:
                self._waiting.remove(hangs)
            hangs.queued = True
            self._current = None
            self._start()

    def where(self, unit: Evaluated) -> str:
        """The line in which `unit` is being evaluated, or that it waits."""
        with self._lock:
            thread = self._thread if self._current is unit else None
        return stack_line(thread) if thread is not None else "the run queue"

    def close(self) -> None:
        """Evaluate nothing any more."""
        with self._lock:
            self._closed = True
        self._wakeup.set()

    def _start(self) -> None:
        self._thread = self._clock.spawn(self._run, "iocmng-evaluation")

    def _run(self) -> None:
        me = threading.current_thread()
        while not self._closed:
            unit, wait = self._next()
            if unit is None:
                self._wakeup.wait(wait)
                continue
            due = self._evaluate(unit)
            with self._lock:
                if self._thread is not me and self._thread is not None:
                    self._freed(unit)
                    return
                self._current = None
                self._remind(unit, due)

    def _evaluate(self, unit: Evaluated) -> float | None:
        try:
            return unit.evaluate(self._clock.monotonic())
        except BaseException as error:  # noqa: BLE001 - one instance's fault must not end the evaluation of the others
            _log.exception("evaluation failed")
            try:
                unit.broke(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            except Exception:  # noqa: BLE001 - the same
                _log.exception("the failure could not be told")
            return None

    def _freed(self, unit: Evaluated) -> None:
        """What hung has returned on a thread that was given up: what was missed is made up for."""
        self._stuck.remove(unit)
        self._waiting.append(unit)
        idle, self._idle = self._idle, False
        if idle:
            self._wakeup.set()

    def _next(self) -> tuple[Evaluated | None, float | None]:
        """What is to be evaluated now, or how long to wait."""
        with self._lock:
            now = self._clock.monotonic()
            while self._timers and self._timers[0][0] <= now:
                due, _, unit = heapq.heappop(self._timers)
                if unit.due != due:
                    continue
                unit.due = None
                if not unit.queued:
                    unit.queued = True
                    self._waiting.append(unit)
            if self._waiting:
                unit = self._current = self._waiting.popleft()
                self._since = now
                unit.queued = False
                return unit, None
            self._idle = True
            return None, self._timers[0][0] - now if self._timers else None

    def _remind(self, unit: Evaluated, due: float | None) -> None:
        if due is None:
            unit.due = None
        # A timer that is too early costs one look; one for every wish would fill the memory at a thousand a second.
        elif unit.due is None or due < unit.due:
            unit.due = due
            heapq.heappush(self._timers, (due, next(self._numbers), unit))
            if len(self._timers) > self._room:
                # Those that nobody waits for any more would stand there until they are due, perhaps for hours.
                self._timers = [entry for entry in self._timers if entry[2].due == entry[0]]
                heapq.heapify(self._timers)
                self._room = max(64, 2 * len(self._timers))
