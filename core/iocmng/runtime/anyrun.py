"""The kinds of runs that a task can have, and which one a task gets."""

from __future__ import annotations

from iocmng.runtime.coderun import Work
from iocmng.runtime.counters import Counters
from iocmng.runtime.declarativerun import DeclarativeRun
from iocmng.runtime.isolation.standin import StandIns
from iocmng.runtime.isolation.taskrun import IsolatedTask
from iocmng.runtime.taskowner import TaskOwner
from iocmng.runtime.taskrun import TaskRun
from iocmng.spec import Isolation

AnyRun = TaskRun | DeclarativeRun | IsolatedTask

KILLED_WITHIN = 5.0
"""Seconds in which what was killed has to be gone; after that it hangs in the system."""


def made_run(work: Work, *, counters: Counters, owner: TaskOwner, stand_ins: StandIns) -> AnyRun:
    """A run of a task, not started yet.

    Args:
        work: What it works with.
        counters: Those of the task.
        owner: Hears of it.
        stand_ins: Make what the host has of a class that only a worker imports.
    """
    if not work.spec.class_name:
        # A plugin that is only a config has no class, and needs no thread.
        return DeclarativeRun(work, counters=counters, owner=owner)
    if work.spec.isolation is Isolation.PROCESS:
        return IsolatedTask(work, counters=counters, owner=owner, stand_ins=stand_ins)
    return TaskRun(work, counters=counters, owner=owner)
