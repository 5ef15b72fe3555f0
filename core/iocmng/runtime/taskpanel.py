"""The default PVs of a task before it has done anything, and its counters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from iocmng.errors import Refused
from iocmng.lifecycle import State
from iocmng.runtime.anyrun import AnyRun
from iocmng.runtime.counters import Counters
from iocmng.runtime.panel import Panel, linked_ports, show_unconnected
from iocmng.runtime.ports import Put
from iocmng.spec import Direction, InstanceSpec
from iocmng.wire import InstanceView


def show_first(panel: Panel, spec: InstanceSpec, counters: Counters, state: State) -> None:
    """Show what every task shows before its first start."""
    panel.text("VERSION", spec.version or spec.plugin.version)
    panel.show("ENABLE", True)
    panel.show("TASK_STATUS", 0)
    panel.show("TASK_DURATION", 0.0)
    for name in ("DEGRADED", "BUSY", "HEARTBEAT", "RESTART", "RUN", "CLEAR", "RESET"):
        panel.show(name, False)
    panel.error("", 0.0)
    for name, direction in (("CONN_INP_NAMES", Direction.INPUT), ("CONN_OUT_NAMES", Direction.OUTPUT)):
        panel.lines(name, linked_ports(spec, direction))
    show_unconnected(panel, spec)
    show_counters(panel, counters)
    panel.show("STATUS", int(state))
    panel.say("not started")


def show_counters(panel: Panel, counters: Counters) -> None:
    """Show all counters, as they are now, whatever was shown last."""
    for name in ("CYCLE_COUNT", "CYCLE_ERRORS", "OVERRUNS", "RESTARTS"):
        panel.forget(name)
    panel.show("CYCLE_COUNT", counters.cycles)
    panel.show("CYCLE_ERRORS", counters.cycle_errors)
    panel.show("OVERRUNS", counters.overruns)
    panel.show("RESTARTS", counters.restarts)


def request_run(run: AnyRun | None, view: InstanceView, panel: Panel, put: Put | None) -> None:
    """Ask a triggered task for one run, for a client's put of RUN when there is one; `run` is None out of RUN.

    Raises:
        Refused: It is not in RUN, or enough runs wait already.
    """
    if run is None:
        raise Refused(f"{view.name}: cannot run while {view.state}", hint="start or resume it first")
    room = run.spec.supervision.run_queue
    begin, done = run_button(panel, put)
    if (put is not None and put.ahead > room) or not run.request(begin, done, room):
        raise Refused(
            f"{run.name}: a run is under way and {room} more waits", hint="try again when it is over"
        )


def run_button(panel: Panel, put: Put | None) -> tuple[Callable[[], None], Callable[[], None]]:
    """What to do before and after a run, so that RUN is 1 meanwhile; a client's put has set it already."""
    if put is not None:
        return lambda: None, put.complete

    def show(pressed: bool) -> None:
        panel.forget("RUN")
        panel.show("RUN", pressed)

    return partial(show, True), partial(show, False)
