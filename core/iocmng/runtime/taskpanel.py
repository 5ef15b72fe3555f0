"""The default PVs of a task before it has done anything, and its counters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from iocmng.runtime.counters import Counters
from iocmng.runtime.panel import Panel
from iocmng.runtime.ports import Put
from iocmng.spec import InstanceSpec


def show_idle(panel: Panel, spec: InstanceSpec) -> None:
    """Show what every task shows before its first start."""
    panel.text("VERSION", spec.version or spec.plugin.version)
    panel.show("ENABLE", True)
    panel.show("TASK_STATUS", 0)
    panel.show("TASK_DURATION", 0.0)
    for name in ("DEGRADED", "BUSY", "HEARTBEAT", "RESTART", "RUN", "CLEAR", "RESET"):
        panel.show(name, False)
    panel.error("", 0.0)


def show_counters(panel: Panel, counters: Counters) -> None:
    """Show all counters."""
    panel.show("CYCLE_COUNT", counters.cycles)
    panel.show("CYCLE_ERRORS", counters.cycle_errors)
    panel.show("OVERRUNS", counters.overruns)
    panel.show("RESTARTS", counters.restarts)


def run_button(panel: Panel, put: Put | None) -> tuple[Callable[[], None], Callable[[], None]]:
    """What to do before and after a run, so that RUN is 1 meanwhile; a client's put has set it already."""
    if put is not None:
        return lambda: None, put.complete

    def show(pressed: bool) -> None:
        panel.forget("RUN")
        panel.show("RUN", pressed)

    return partial(show, True), partial(show, False)
