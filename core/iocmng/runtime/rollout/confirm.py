"""Whether instances that have just come do run, and keep running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from iocmng.lifecycle import State
from iocmng.runtime.instance import SUPERVISOR, Instance
from iocmng.runtime.ports import Clock
from iocmng.runtime.task import TaskInstance

LOOK_EVERY = 0.05
SLACK = 2.0
_BAD = frozenset({State.ERROR.name, State.BACKOFF.name, State.STALLED.name, State.INVALID.name})
_UP = (State.RUN, State.PAUSED)


class _Watched:
    """One task that is to run, from now on."""

    def __init__(self, task: TaskInstance) -> None:
        self.task = task
        self._seen = len(task.history)
        self._first = task.history[-1] if task.history else None

    def fault(self) -> str:
        """What went wrong since, also when it is over by now; "" when nothing did."""
        task = self.task
        if task.state.name in _BAD:
            return f"{task.name} is in {task.state.name}: {task.last_error or task.message}"
        for change in reversed(task.history):
            if change is self._first:
                break
            if change.after in _BAD:
                return f"{task.name} was in {change.after}: {change.reason}"
        return ""

    @property
    def wanted(self) -> bool:
        """Whether it is still to run: not, once somebody has stopped it."""
        task = self.task
        by = task.history[-1].actor if task.history else ""
        return task.state is not State.END or by == str(SUPERVISOR)

    @property
    def up(self) -> bool:
        """Whether it has reached what is asked of it."""
        task = self.task
        return task.state in _UP or not self.wanted or task.waits_for_dependency


async def confirm(
    instances: Sequence[Instance],
    seconds: float,
    clock: Clock,
    tell: Callable[[str], None] = lambda text: None,
) -> str:
    """Wait until all tasks that are to run have reached RUN, and have stayed there for some time.

    On the supervising thread's loop. A job is confirmed as it stands: nothing of it runs before it is asked to.
    One that an operator stops or pauses meanwhile, or that waits for another instance, counts as confirmed.

    Args:
        instances: Those that were started.
        seconds: How long they have to stay.
        clock: Time.
        tell: Told how far it is; what it raises ends the wait.

    Returns:
        Why they are not confirmed, or "".
    """
    watched = [_Watched(one) for one in instances if isinstance(one, TaskInstance)]
    if not watched:
        return ""
    limit = max((one.task.spec.supervision.start_timeout for one in watched), default=0.0) + SLACK
    begun = clock.monotonic()
    while not all(one.up for one in watched):
        for one in watched:
            if reason := one.fault():
                return reason
        waiting = [one.task for one in watched if not one.up]
        if clock.monotonic() - begun > limit:
            return f"{waiting[0].name} is still in {waiting[0].state.name} after {limit:g} s: {waiting[0].message}"
        tell(f"waits for {', '.join(task.name for task in waiting[:3])}")
        await asyncio.sleep(LOOK_EVERY)
    up_since = clock.monotonic()
    while True:
        for one in watched:
            if reason := one.fault():
                return reason
            if one.wanted and one.task.state is State.END:
                return f"{one.task.name} has ended: {one.task.message}"
        left = seconds - (clock.monotonic() - up_since)
        if left <= 0:
            tell(f"ran for {seconds:g} s")
            return ""
        tell(f"running, confirmed in {left:.0f} s")
        await asyncio.sleep(min(LOOK_EVERY, left))
