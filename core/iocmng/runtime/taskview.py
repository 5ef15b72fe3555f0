"""One line of the list for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iocmng.wire import InstanceView

if TYPE_CHECKING:
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
