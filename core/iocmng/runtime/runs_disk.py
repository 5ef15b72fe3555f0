"""Runs that survive the host: kept in memory, written behind by one thread, so that no run waits for the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from iocmng.lifecycle import JobState
from iocmng.runtime.runlog import KEEP_CHARACTERS, KEEP_LINES, RunLog
from iocmng.runtime.runs import KEEP_RUNS, KeptRun, RunIndex
from iocmng.runtime.runs_files import RunDirectory, RunFiles
from iocmng.wire import LogLine, RunView

RETRY = 5.0
PROGRESS_EVERY = 5.0
MAX_WAITING = 8 * 1024 * 1024
_log = logging.getLogger("iocmng.runs")


@dataclass(slots=True)
class _Kept(KeptRun):
    """A run and what of it is not on disk yet.

    Attributes:
        recent: Its log while it lives, and afterwards as long as the disk does not have all of it.
        waiting: Lines that are not on disk.
        missed: Lines that will never be.
        saved: The state that is on disk, and `saved_at` when it was written (monotonic seconds).
    """

    recent: RunLog | None = None
    waiting: list[LogLine] = field(default_factory=list)
    missed: int = 0
    saved: RunView | None = None
    saved_at: float = 0.0


class DiskRuns:
    """A RunStore on disk.

    Attributes:
        problem: Why the latest write failed, or "". No run fails because of it: its record and its log stay in memory
            and are written once the disk takes them.
    """

    def __init__(
        self,
        root: Path,
        keep_runs: int = KEEP_RUNS,
        keep_lines: int = KEEP_LINES,
        *,
        keep_characters: int = KEEP_CHARACTERS,
        on_problem: Callable[[str], None] = _log.error,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read which runs are not over: they were lost, see `unfinished`.

        Args:
            root: Directory of all runs, one directory a job below it.
            keep_runs: How many ended runs of a job to keep, where `keep` says nothing else.
            keep_lines: Bound of one run's log.
            keep_characters: Another one.
            on_problem: Hears when the disk fails and when it is well again.
            monotonic: Time.
        """
        self._files = RunDirectory(root, keep_lines, keep_characters)
        self._bounds = (keep_lines, keep_characters)
        self._index: RunIndex[_Kept] = RunIndex(keep_runs)
        self._on_problem = on_problem
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._disk = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: set[str] = set()
        self._changed = threading.Condition(self._lock)
        self._dirty: dict[str, _Kept] = {}
        self._gone: list[tuple[str, str]] = []
        self._waiting = 0
        self._rounds = self._asked = 0
        self._thread: threading.Thread | None = None
        self._closing = False
        self.problem = ""
        for run in self._files.unfinished():
            self._index.add(_Kept(run, saved=run))

    def keep(self, job: str, runs: int | None) -> None:
        """Keep so many ended runs of a job; None: as many as of any."""
        with self._lock:
            self._index.keep(job, runs)
            if job in self._loaded:
                self._drop(self._index.excess(job))

    def save(self, run: RunView) -> None:
        """Store a run, or its newer state; one that is over stays so, and the oldest ended ones beyond `keep` go."""
        with self._lock:
            kept = self._index.get(run.id)
            if kept is None:
                kept = _Kept(run, recent=RunLog(*self._bounds))
                self._index.add(kept)
            elif kept.run.over and not run.over:
                return
            kept.run = run
            self._dirty[run.id] = kept
            if run.over and run.job in self._loaded:
                self._drop(self._index.excess(run.job))
            if kept.saved is None or kept.saved.state is not run.state or run.over:
                self._wake()

    def run(self, run_id: str) -> RunView:
        """The latest stored state of a run."""
        return self._kept(run_id).run

    def runs(self, job: str) -> tuple[RunView, ...]:
        """Runs of a job, newest first."""
        self._load(job)
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
        """Remember a run, also over the end of the process, until `let_go`."""
        try:
            self._files.hold(run)
        except OSError as error:
            self._on_problem(f"run {run.id} is not remembered: {error.strerror or error}")

    def let_go(self, run_id: str) -> None:
        """Remember it no longer."""
        self._files.let_go(run_id)

    def held(self) -> tuple[RunView, ...]:
        """Runs that are remembered."""
        return tuple(self._files.held())

    def append(self, run_id: str, line: LogLine) -> None:
        """Add a line to a run's log; dropped when the run is gone."""
        with self._lock:
            kept = self._index.get(run_id)
            if kept is None:
                return
            if kept.recent is not None:
                kept.recent.append(line)
            if self._waiting > MAX_WAITING:
                kept.missed += 1
                return
            kept.waiting.append(line)
            self._waiting += len(line.text)
            self._dirty[run_id] = kept
            self._wake()

    def log(self, run_id: str) -> tuple[LogLine, ...]:
        """Kept lines of a run, oldest first; a first line says how many went before, if any."""
        kept = self._kept(run_id)
        with self._lock:
            if kept.recent is not None:
                return kept.recent.lines
            whole = not kept.waiting
        # Lines that are being written now must neither be missed nor counted twice.
        with nullcontext() if whole else self._disk:
            with self._lock:
                waiting, missed = tuple(kept.waiting), kept.missed
            log = self._files.read(kept.run.job, run_id)
        log.extend(waiting)
        log.dropped += missed
        return log.lines

    def files(self, run_id: str) -> RunFiles:
        """Paths that go with a run."""
        return self._files.files(self._kept(run_id).run.job, run_id)

    def flush(self, timeout: float) -> bool:
        """Have everything so far on disk; return whether it is within `timeout` seconds."""
        with self._lock:
            if not self._dirty and not self._gone and self._rounds == self._asked:
                return True
            self._wake()
            asked = self._asked
            self._changed.wait_for(lambda: self._rounds >= asked or self._thread is None, timeout)
            return self._rounds >= asked and not self.problem

    def close(self, timeout: float = 2.0) -> None:
        """Write what is left and end the thread."""
        self.flush(timeout)
        with self._lock:
            thread, self._closing = self._thread, True
            self._changed.notify_all()
        if thread is not None:
            thread.join(timeout)

    def _kept(self, run_id: str) -> _Kept:
        with self._lock:
            kept = self._index.get(run_id)
        if kept is None and (job := self._files.job_of(run_id)) is not None:
            self._load(job)
        with self._lock:
            return self._index[run_id]

    def _load(self, job: str) -> None:
        """Take in what earlier hosts have left of a job; a thousand jobs are not read before anybody asks."""
        with self._loading:
            if job in self._loaded:
                return
            with self._lock:
                known = {run.id for run in self._index.runs(job)}
            found, problems = self._files.load(job, known)
            with self._lock:
                # Those that have begun since are known, and better, in memory.
                older = [_Kept(_ended(run), saved=run) for run in found if run.id not in self._index]
                self._index.merge(job, older)
                self._loaded.add(job)
                self._dirty.update((kept.run.id, kept) for kept in older if kept.run is not kept.saved)
                self._drop(self._index.excess(job))
        for problem in problems:
            self._on_problem(problem)

    def _wake(self) -> None:
        self._asked += 1
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(target=self._write_behind, name="iocmng-runs", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _drop(self, ended: Iterable[_Kept]) -> None:
        for kept in ended:
            self._dirty.pop(kept.run.id, None)
            self._taken(kept, len(kept.waiting))
            self._gone.append((kept.run.job, kept.run.id))
            self._wake()

    def _write_behind(self) -> None:
        while True:
            with self._lock:
                pause = RETRY if self.problem else PROGRESS_EVERY if self._dirty else None
                self._changed.wait_for(lambda: self._rounds < self._asked or self._closing, pause)
                if self._closing and self._rounds == self._asked:
                    return
                asked = self._asked
                dirty, self._dirty = list(self._dirty.values()), {}
            problem = ""
            for job in {kept.run.job for kept in dirty} - self._loaded:
                self._load(job)
            with self._lock:
                gone, self._gone = self._gone, []
            for job, run_id in gone:
                with self._disk:
                    self._files.remove(job, run_id)
            for kept in dirty:
                problem = self._write(kept) or problem
            self._told(problem)
            with self._lock:
                self._rounds = asked
                self._changed.notify_all()

    def _told(self, problem: str) -> None:
        before, self.problem = self.problem, problem and f"runs are kept in memory only: {problem}"
        if problem and not before:
            self._on_problem(self.problem)
        elif before and not problem:
            self._on_problem("runs are written again")

    def _write(self, kept: _Kept) -> str:
        """Bring one run to disk as far as it is due; return what is in the way, or ""."""
        with self._lock:
            run, saved = kept.run, kept.saved
            early = self._monotonic() - kept.saved_at < PROGRESS_EVERY
            due = saved is None or saved.state is not run.state or run.over or not early
            due = due and saved is not run
        try:
            if due:
                self._files.write(run)
                with self._lock:
                    kept.saved, kept.saved_at = run, self._monotonic()
            self._write_lines(kept, run)
        except OSError as error:
            with self._lock:
                self._again(kept)
            return f"{self._files.root}: {error.strerror or error}"
        with self._lock:
            if kept.run is not kept.saved or kept.waiting:
                self._again(kept)
            elif kept.run.over:
                kept.recent = None
                self._files.forget(run.id)
        self._remove_if_dropped(kept)
        return ""

    def _write_lines(self, kept: _Kept, run: RunView) -> None:
        with self._disk:
            with self._lock:
                lines, missed = tuple(kept.waiting), kept.missed
            if not lines and not missed:
                return
            self._files.append(run.job, run.id, lines, missed)
            with self._lock:
                self._taken(kept, len(lines))
                kept.missed -= missed

    def _taken(self, kept: _Kept, count: int) -> None:
        self._waiting -= sum(len(line.text) for line in kept.waiting[:count])
        del kept.waiting[:count]

    def _again(self, kept: _Kept) -> None:
        if self._index.get(kept.run.id) is kept:
            self._dirty[kept.run.id] = kept

    def _remove_if_dropped(self, kept: _Kept) -> None:
        """A run that was dropped while it was being written has files again."""
        with self._lock:
            gone = self._index.get(kept.run.id) is not kept
        if gone:
            self._files.remove(kept.run.job, kept.run.id)


def _ended(run: RunView) -> RunView:
    """A record without its mark, as the end of the machine may leave it, is one of a run that was lost."""
    return run if run.over else replace(run, state=JobState.LOST, ended=run.ended or run.started)
