"""Hooks as the host calls them: when, with what deadline, and what becomes of the answers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from numbers import Real
from typing import Any

from iocmng.host.from_threads import FromThreads
from iocmng.lifecycle import JobState
from iocmng.plugins.hooks import Answer, Hooks
from iocmng.runtime.control import HostControl
from iocmng.wire import Event, EventKind, RunView, SiteMetrics

STOPPING = 0.9
CLOSING = 0.4
METRICS = 2.0
ROUTES = 3.0
MOST_METRICS = 1000
_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_log = logging.getLogger("iocmng.hooks")
_NOT_OVER = (JobState.RUNNING.name, JobState.QUEUED.name)


class SiteHooks:
    """The hooks of a running host.

    Args:
        hooks: Registered hooks.
        find_run: Gives a run by its id; raises KeyError when it is gone.
    """

    def __init__(self, hooks: Hooks, find_run: Callable[[str], RunView]) -> None:
        self._hooks = hooks
        self._find_run = find_run
        self._host: FromThreads | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with packages."""
        return tuple(str(problem) for problem in self._hooks.problems)

    def started(self, control: HostControl) -> None:
        """Tell that the host is up; on the loop's thread, and nobody waits."""
        self._host = FromThreads(control, asyncio.get_running_loop())
        self._hooks.publish("iocmng_host_started", host=self._host)

    async def stopping(self) -> None:
        """Tell that the host stops, and wait a second for it at most."""
        if self._host is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(STOPPING + 0.1):
                await self._ask("iocmng_host_stopping", STOPPING, host=self._host)

    def heard(self, event: Event) -> None:
        """Pass an event on; any thread."""
        self._hooks.publish("iocmng_event", event=event)
        if event.kind is not EventKind.RUN or event.data.get("state") in _NOT_OVER:
            return
        if not self._hooks.has("iocmng_run_finished"):
            return
        try:
            run = self._find_run(str(event.data.get("run")))
        except KeyError:
            _log.warning("run %s is gone before hooks could hear of it", event.data.get("run"))
            return
        self._hooks.publish("iocmng_run_finished", run=run)

    def look(self) -> None:
        """Find implementations that hang; about once a second, any thread."""
        self._hooks.look()

    async def _ask(self, hook: str, deadline: float, **arguments: object) -> list[Answer]:
        if not self._hooks.has(hook):
            return []
        return await asyncio.to_thread(self._hooks.call, hook, deadline=deadline, **arguments)

    async def metrics(self) -> SiteMetrics:
        """Numbers of all packages that answer in time, and how the hooks do."""
        values: dict[str, dict[str, float]] = {}
        for answer in await self._ask("iocmng_metrics", METRICS):
            values[answer.plugin] = self._numbers(answer)
        return SiteMetrics(values=values, failures=self._hooks.failures, dropped=self._hooks.dropped)

    def _numbers(self, answer: Answer) -> dict[str, float]:
        complain = partial(self._hooks.complain, "iocmng_metrics", answer.plugin)
        if not isinstance(answer.value, Mapping):
            complain(f"gave a {type(answer.value).__name__}; it is to give numbers by name")
            return {}
        if len(answer.value) > MOST_METRICS:
            complain(f"gave {len(answer.value)} metrics, at most {MOST_METRICS} are taken")
            return {}
        numbers: dict[str, float] = {}
        for name, value in answer.value.items():
            if not isinstance(name, str) or not _METRIC.match(name):
                complain(f"metric name {name!r} has other characters than letters, digits and underscores")
            elif name.startswith("iocmng_"):
                complain(f"metric {name!r}: names with iocmng_ are the host's own")
            elif not isinstance(value, Real):
                complain(f"metric {name!r} is a {type(value).__name__}, not a number")
            else:
                numbers[name] = float(value)
        return numbers

    async def routers(self) -> list[tuple[str, Any]]:
        """Routers for the admin endpoint, each with its package's name, in the order of the packages."""
        found: list[tuple[str, Any]] = []
        for answer in reversed(await self._ask("iocmng_admin_routes", ROUTES)):
            try:
                found += [(answer.plugin, router) for router in answer.value]
            except TypeError:
                self.refuse_route(
                    answer.plugin, f"gave a {type(answer.value).__name__}, not a list of routers"
                )
        return found

    def refuse_route(self, package: str, text: str) -> None:
        """Say that a router or a route of a package is not served."""
        self._hooks.complain("iocmng_admin_routes", package, text)

    def close(self) -> None:
        """Deliver what waits, for a moment, and end the threads. Blocks."""
        self._hooks.close(CLOSING)
