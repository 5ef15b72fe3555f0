"""Runs of jobs: the one live model, and the store that keeps them with their logs."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from iocmng.lifecycle import JobState
from iocmng.runtime.runlog import KEEP_LINES, RunLog
from iocmng.runtime.runs_files import RunDirectory, RunFiles
from iocmng.wire import Actor, LogLine, RunView

KEEP_RUNS = 50


def new_run_id(now: float) -> str:
    """Make an id that sorts by time, fits a stringin and is no likely name: `20261121-102300-3f9a1c`.

    Args:
        now: Seconds since 1970-01-01 UTC.
    """
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{secrets.token_hex(3)}"


@dataclass(slots=True)
class Run:
    """One execution of a job while it lives: its code reports progress, the host ends it, from any thread.

    Times are seconds since 1970-01-01 UTC, `progress` is 0 to 100 %.
    """

    id: str
    job: str
    arguments: Mapping[str, Any]
    started: float
    actor: Actor = field(default_factory=Actor)
    state: JobState = JobState.RUNNING
    ended: float | None = None
    progress: float = 0.0
    message: str = ""
    data: Any = None
    exit_code: int | None = None
    lock: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def begin(self, now: float) -> bool:
        """Let a run that is QUEUED run; return False when it is over already."""
        with self._lock:
            if self.state is not JobState.QUEUED:
                return False
            self.state, self.started, self.message = JobState.RUNNING, now, ""
            return True

    def tell(self, message: str) -> None:
        """Say what a run that is QUEUED waits for."""
        with self._lock:
            if self.state is JobState.QUEUED:
                self.message = message

    def report(self, fraction: float, message: str = "") -> bool:
        """Note progress from 0.0 to 1.0 (beyond is cut, NaN ignored); return whether it was taken."""
        with self._lock:
            if self.state is not JobState.RUNNING:
                return False
            if fraction == fraction:
                self.progress = 100.0 * min(max(fraction, 0.0), 1.0)
            if message:
                self.message = message
            return True

    def gather(self, data: Mapping[str, Any]) -> bool:
        """Add to the data while the run lives; return whether it was taken."""
        with self._lock:
            if self.state is not JobState.RUNNING:
                return False
            self.data = {**(self.data if isinstance(self.data, dict) else {}), **data}
            return True

    def end(
        self,
        outcome: JobState,
        now: float,
        *,
        message: str = "",
        data: Any = None,
        exit_code: int | None = None,
    ) -> bool:
        """Give the run its outcome; the first one stands. Return whether this was the first."""
        if outcome in (JobState.RUNNING, JobState.IDLE, JobState.QUEUED):
            raise ValueError(f"run {self.id}: {outcome.name} is no outcome")
        with self._lock:
            if self.state not in (JobState.RUNNING, JobState.QUEUED):
                return False
            self.state, self.ended = outcome, now
            self.data = data if data is not None else self.data
            self.exit_code = exit_code if exit_code is not None else self.exit_code
            if outcome is JobState.SUCCESS:
                self.progress = 100.0
            if message:
                self.message = message
            return True

    def close(self, now: float, exit_code: int | None = None) -> None:
        """The code of a run that has its outcome is gone, some time after that was decided."""
        with self._lock:
            self.ended = now
            self.exit_code = exit_code if exit_code is not None else self.exit_code

    @property
    def view(self) -> RunView:
        """The run as the world sees it, all fields of one moment."""
        with self._lock:
            return RunView(
                id=self.id,
                job=self.job,
                state=self.state,
                arguments=self.arguments,
                started=self.started,
                ended=self.ended,
                progress=self.progress,
                message=self.message,
                data=self.data,
                exit_code=self.exit_code,
                lock=self.lock,
                actor=self.actor,
            )


class RunStore(Protocol):
    """Keeps runs and their logs; any thread. Runs that are not over are never dropped."""

    def keep(self, job: str, runs: int | None) -> None:
        """Keep so many ended runs of a job; None: as many as of any."""

    def save(self, run: RunView) -> None:
        """Store a run, or its newer state; one that is over stays so, and the oldest ended ones beyond `keep` go."""

    def run(self, run_id: str) -> RunView:
        """The latest stored state of a run.

        Raises:
            KeyError: There is none, or no longer.
        """

    def runs(self, job: str) -> tuple[RunView, ...]:
        """Runs of a job, newest first."""

    def has(self, run_id: str) -> bool:
        """Whether an id is taken by a run of this process."""

    def unfinished(self) -> tuple[RunView, ...]:
        """Runs that are not over, oldest first: after a crash, those that were lost."""

    def hold(self, run: RunView) -> None:
        """Remember a run, also over the end of the process, until `let_go`: something of it is left to do."""

    def let_go(self, run_id: str) -> None:
        """Remember it no longer."""

    def held(self) -> tuple[RunView, ...]:
        """Runs that are remembered."""

    def append(self, run_id: str, line: LogLine) -> None:
        """Add a line to a run's log; dropped when the run is gone. The oldest lines go beyond the bound."""

    def log(self, run_id: str) -> tuple[LogLine, ...]:
        """Kept lines of a run, oldest first; a first line says how many went before, if any.

        Raises:
            KeyError: There is no such run, or no longer.
        """

    def files(self, run_id: str) -> RunFiles:
        """Paths for what a run writes by itself; nothing is made, all of it goes with the run.

        Raises:
            KeyError: There is no such run, or no longer.
        """

    def flush(self, timeout: float) -> bool:
        """Have everything so far where it survives the process; return whether it is within `timeout` seconds."""


@dataclass(slots=True)
class KeptRun:
    """What a store keeps of a run."""

    run: RunView


K = TypeVar("K", bound=KeptRun)


class RunIndex(Generic[K]):
    """Kept runs by id and by job, oldest first; the caller holds a lock."""

    def __init__(self, keep_runs: int) -> None:
        self._keep_runs = keep_runs
        self._keep_of: dict[str, int] = {}
        self._jobs: dict[str, dict[str, K]] = {}
        self._all: dict[str, K] = {}

    def __getitem__(self, run_id: str) -> K:
        return self._all[run_id]

    def get(self, run_id: str) -> K | None:
        """The run of that id, or None."""
        return self._all.get(run_id)

    def add(self, kept: K) -> None:
        """Take in a new run."""
        run = kept.run
        self._all[run.id] = self._jobs.setdefault(run.job, {})[run.id] = kept

    def keep(self, job: str, runs: int | None) -> None:
        """Keep so many ended runs of a job; None: as many as of any."""
        self._keep_of.pop(job, None)
        if runs is not None:
            self._keep_of[job] = runs

    def runs(self, job: str) -> tuple[RunView, ...]:
        """Runs of a job, newest first."""
        return tuple(kept.run for kept in reversed(self._jobs.get(job, {}).values()))

    def unfinished(self) -> tuple[RunView, ...]:
        """Runs that are not over, oldest first."""
        return tuple(kept.run for kept in self._all.values() if not kept.run.over)

    def merge(self, job: str, older: Iterable[K]) -> None:
        """Take in runs that are older than all that are known of a job."""
        found = {kept.run.id: kept for kept in older}
        self._all = {**found, **self._all}
        self._jobs[job] = {**found, **self._jobs.get(job, {})}

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._all

    def excess(self, job: str) -> list[K]:
        """Take out the oldest ended runs of a job beyond what is kept."""
        runs = self._jobs.get(job, {})
        ended = [run_id for run_id, kept in runs.items() if kept.run.over]
        number = max(len(ended) - self._keep_of.get(job, self._keep_runs), 0)
        for run_id in ended[:number]:
            del self._all[run_id]
        return [runs.pop(run_id) for run_id in ended[:number]]


@dataclass(slots=True)
class _Logged(KeptRun):
    log: RunLog


class MemoryRuns:
    """A RunStore in memory; what runs write by themselves lies in a temporary directory."""

    def __init__(self, keep_runs: int = KEEP_RUNS, keep_lines: int = KEEP_LINES) -> None:
        self._keep_lines = keep_lines
        self._index: RunIndex[_Logged] = RunIndex(keep_runs)
        self._held: dict[str, RunView] = {}
        self._lock = threading.Lock()
        self._files: RunDirectory | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def keep(self, job: str, runs: int | None) -> None:
        """Keep so many ended runs of a job; None: as many as of any."""
        with self._lock:
            self._index.keep(job, runs)
            self._prune(job)

    def save(self, run: RunView) -> None:
        """Store a run, or its newer state; one that is over stays so, and the oldest ended ones beyond `keep` go."""
        with self._lock:
            if kept := self._index.get(run.id):
                kept.run = kept.run if kept.run.over and not run.over else run
            else:
                self._index.add(_Logged(run, RunLog(self._keep_lines)))
            if run.over:
                self._prune(run.job)

    def run(self, run_id: str) -> RunView:
        """The latest stored state of a run."""
        with self._lock:
            return self._index[run_id].run

    def runs(self, job: str) -> tuple[RunView, ...]:
        """Runs of a job, newest first."""
        with self._lock:
            return self._index.runs(job)

    def has(self, run_id: str) -> bool:
        """Whether an id is taken by a run of this process."""
        with self._lock:
            return run_id in self._index

    def unfinished(self) -> tuple[RunView, ...]:
        """Runs that are not over, oldest first."""
        with self._lock:
            return self._index.unfinished()

    def hold(self, run: RunView) -> None:
        """Remember a run until `let_go`."""
        with self._lock:
            self._held[run.id] = run

    def let_go(self, run_id: str) -> None:
        """Remember it no longer."""
        with self._lock:
            self._held.pop(run_id, None)

    def held(self) -> tuple[RunView, ...]:
        """Runs that are remembered."""
        with self._lock:
            return tuple(self._held.values())

    def append(self, run_id: str, line: LogLine) -> None:
        """Add a line to a run's log; dropped when the run is gone."""
        with self._lock:
            if kept := self._index.get(run_id):
                kept.log.append(line)

    def log(self, run_id: str) -> tuple[LogLine, ...]:
        """Kept lines of a run, oldest first; a first line says how many went before, if any."""
        with self._lock:
            return self._index[run_id].log.lines

    def files(self, run_id: str) -> RunFiles:
        """Paths that go with a run."""
        with self._lock:
            job = self._index[run_id].run.job
            if self._files is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="iocmng-runs-")
                self._files = RunDirectory(Path(self._temporary.name))
            return self._files.files(job, run_id)

    def flush(self, timeout: float) -> bool:
        """Memory is all there is."""
        return True

    def _prune(self, job: str) -> None:
        for kept in self._index.excess(job):
            if self._files is not None:
                self._files.remove(job, kept.run.id)
