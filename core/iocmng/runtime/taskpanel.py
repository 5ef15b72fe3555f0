"""The default PVs of a task before it has done anything, and its counters."""

from __future__ import annotations

from iocmng.runtime.counters import Counters
from iocmng.runtime.panel import Panel
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
