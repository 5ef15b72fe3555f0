"""One line of the list for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iocmng.spec import Direction, InstanceSpec
from iocmng.wire import InstanceView, LinkView

if TYPE_CHECKING:
    from iocmng.runtime.evaluation.unit import Unit
    from iocmng.runtime.task import TaskInstance


def task_view(task: TaskInstance, uptime: float) -> InstanceView:
    """What `list` shows of a task that has been running for `uptime` seconds."""
    run, counters = task.run, task.counters
    return InstanceView(
        **task.common_view(),
        state=task.state.name,
        mode=task.spec.mode.value,
        busy=run is not None and run.in_cycle,
        cycles=counters.cycles,
        cycle_errors=counters.cycle_errors,
        overruns=counters.overruns,
        restarts=counters.restarts,
        uptime=uptime,
    )


def link_view(spec: InstanceSpec, unit: Unit | None, port: str) -> LinkView | None:
    """The link of a port, None without one; `unit` is None while the instance does not run."""
    link = next((one.link for one in spec.ports if one.name == port), None)
    if link is None:
        return None
    if unit is not None and (found := unit.link_view(port)) is not None:
        return found
    is_input = any(one.name == port and one.direction is Direction.INPUT for one in spec.ports)
    return LinkView(
        address=str(link.address), mode=link.mode.value if is_input else "", complaint="not running"
    )
