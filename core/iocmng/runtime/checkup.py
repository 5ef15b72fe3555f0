"""Asks a task's code how it is: its `health` and its `metrics`, each at its own time, between cycles."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from iocmng.base import TaskBase
from iocmng.runtime.counters import Counters
from iocmng.runtime.traces import describe

CHECKUP = 30.0
METRICS = 10.0


class Checkup:
    """Of one run; on the run's thread.

    Args:
        counters: Get metrics and health.
        call: Calls a method of the author's, sync or async.
        tell: Told why the task is not well, "" when it is.
        logger: The instance's log.

    Attributes:
        due: Monotonic time of the next look at health.
    """

    def __init__(
        self,
        counters: Counters,
        call: Callable[[Callable[[], Any]], Any],
        tell: Callable[[str], None],
        logger: logging.Logger,
    ) -> None:
        self._counters = counters
        self._call = call
        self._tell = tell
        self._logger = logger
        self._next_metrics = 0.0
        self._declared = ""
        self._health = ""
        self.due = 0.0

    def declare(self, word: str) -> None:
        """The task's own word on its health."""
        self._declared = "the task says ERROR" if word.upper() == "ERROR" else ""
        self._tell(self._health or self._declared)

    def look(self, author: TaskBase, now: float) -> None:
        """Ask for what is due."""
        if now < self._next_metrics:
            return
        self._next_metrics = now + METRICS
        if type(author).metrics is not TaskBase.metrics:
            self._ask_metrics(author)
        if now < self.due:
            return
        self.due = now + CHECKUP
        if type(author).health is not TaskBase.health:
            self._ask_health(author)

    def _ask_metrics(self, author: TaskBase) -> None:
        try:
            metrics = self._call(author.metrics)
            self._counters.metrics = {str(key): float(value) for key, value in metrics.items()}
        except Exception as error:  # noqa: BLE001 - the border where an author's code runs
            self._logger.error("metrics() failed: %s", describe(error))

    def _ask_health(self, author: TaskBase) -> None:
        try:
            reason = self._call(author.health)
        except Exception as error:  # noqa: BLE001 - the border where an author's code runs
            reason = f"health() failed: {describe(error)}"
        self._counters.health = self._health = str(reason) if reason else ""
        self._tell(self._health or self._declared)
