"""What all jobs of a host share: the store of their runs, their locks, and where scripts may lie."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from iocmng.lifecycle import JobState
from iocmng.runtime.joblocks import Holder, JobLocks
from iocmng.runtime.runs import RunStore
from iocmng.wire import RunView

if TYPE_CHECKING:
    from iocmng.runtime.script.orphans import Orphans

DIED = "the host ended while it ran"
DIED_WAITING = "the host ended while it waited"


def lock_key(job: str, lock: str | None) -> str:
    """The key of a named lock; a job without one excludes only itself."""
    return f"lock {lock}" if lock else f"job {job}"


@dataclass(slots=True)
class JobYard:
    """Shared by the jobs of a host.

    Attributes:
        store: Keeps runs.
        locks: Held by runs.
        roots: Folders under which scripts with an absolute path may lie.
        lost: The latest run of each job that a dead host left unfinished.
    """

    store: RunStore
    locks: JobLocks = field(default_factory=JobLocks)
    roots: tuple[Path, ...] = ()
    lost: dict[str, RunView] = field(default_factory=dict)

    def recover(self, post: Callable[[Callable[[], None]], None]) -> None:
        """Give the outcome LOST to runs that a dead host left, and end their processes; before jobs are made.

        The lock of such a run stays held until its processes are gone. Does not wait for that.

        Args:
            post: Queues a call for the supervising thread.
        """
        from iocmng.runtime.script.orphans import find_orphans

        unfinished, held = self.store.unfinished(), self.store.held()
        ran = {run.id: run for run in (*unfinished, *held) if run.state is not JobState.QUEUED}
        orphans = find_orphans({run_id: self.store.files(run_id) for run_id in ran}) if ran else {}
        for run in ran.values():
            if run.id in orphans:
                self._end(run, orphans[run.id], post)
            else:
                self.store.let_go(run.id)
        for run in unfinished:
            message = DIED if run.id in ran else DIED_WAITING
            if left := orphans.get(run.id):
                message = f"{message}; {left} of it had stayed and had to be ended"
            view = replace(run, state=JobState.LOST, ended=time.time(), message=message)
            self.lost[run.job] = view
            self.store.save(view)

    def _end(self, run: RunView, orphans: Orphans, post: Callable[[Callable[[], None]], None]) -> None:
        """End processes of a run; it is remembered until then, should this host die as well."""
        self.store.hold(run)
        key = lock_key(run.job, run.lock or None)
        if self.locks.holder(key) is None:
            self.locks.take(key, Holder(run.job, run.id, "left by a dead host, being ended"))

        def ended() -> None:
            self.store.let_go(run.id)
            post(lambda: self.locks.release(key, run.id))

        orphans.end(ended)
