"""One execution of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iocmng.lifecycle import JobState
from iocmng.wire.event import Actor


@dataclass(frozen=True, slots=True)
class RunView:
    """A run: `state` is QUEUED, RUNNING or the outcome, `progress` is 0 to 100 %.

    Times are seconds since 1970-01-01 UTC; a run that is QUEUED `started` to wait, and `message` says for what.
    `lock` is the name of the lock that it holds while it runs, "" for none but its job's own.
    """

    id: str
    job: str
    state: JobState
    arguments: Mapping[str, Any] = field(default_factory=dict)
    started: float = 0.0
    ended: float | None = None
    progress: float = 0.0
    message: str = ""
    data: Any = None
    exit_code: int | None = None
    lock: str = ""
    actor: Actor = field(default_factory=Actor)

    @property
    def over(self) -> bool:
        """Whether the run has an outcome."""
        return self.state not in (JobState.RUNNING, JobState.QUEUED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """What a job does with requests, and with which it is busy.

    `holder` says who holds its lock when that is a run of another job, or one that a dead host has left; `waiting`
    are its runs in their order. `script` is the script's file as the config names it, "" for none. Times in seconds.
    """

    on_busy: str = "refuse"
    lock: str = ""
    holder: str = ""
    run_timeout: float | None = None
    keep_runs: int | None = None
    current: RunView | None = None
    waiting: tuple[RunView, ...] = ()
    script: str = ""
