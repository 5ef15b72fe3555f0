"""Where runs lie on disk: one directory a job, and in it a record, a bounded log and the files of each run."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from iocmng.runtime.files import parse_object, write_atomic
from iocmng.runtime.runlog import KEEP_CHARACTERS, KEEP_LINES, RunLog
from iocmng.wire import LogLine, RunView, from_plain, to_plain

RECORD, LOG, OUTPUT, PROCESS, BROKEN = ".json", ".log", ".out", ".process", ".corrupt"
LIVE, HELD = ".live", ".held"
KEEP_BROKEN = 5
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\Z")
_MARK = "dropped"


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Paths for what a run writes besides its record: they go with it.

    Attributes:
        folder: A directory of its own.
        output: What a script prints, as bytes.
        process: Which process it is, as long as there is one.
    """

    folder: Path
    output: Path
    process: Path


@dataclass(slots=True)
class _LogState:
    lines: int
    size: int
    torn: bool


class RunDirectory:
    """Reads and writes the files; one thread at a time for each run."""

    def __init__(
        self, root: Path, keep_lines: int = KEEP_LINES, keep_characters: int = KEEP_CHARACTERS
    ) -> None:
        self.root = root
        self._keep_lines = max(keep_lines, 1)
        self._keep_characters = keep_characters
        self._opened = time.time()
        self._logs: dict[str, _LogState] = {}
        self._live: set[str] = set()

    def unfinished(self) -> list[RunView]:
        """Runs that were not over when they were written last, oldest first."""
        runs = []
        for mark in self._marks(LIVE):
            run = self._marked(mark)
            if run is not None and not run.over:
                runs.append(run)
            else:
                _remove(mark)
        return sorted(runs, key=_age)

    def hold(self, run: RunView) -> None:
        """Remember a run, over or not, until `let_go`.

        Raises:
            OSError: It cannot be written.
        """
        mark = self.root / HELD / run.id
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.write_bytes(os.fsencode(self._folder(run.job).name))

    def let_go(self, run_id: str) -> None:
        """Remember a run no longer."""
        _remove(self.root / HELD / run_id)

    def held(self) -> list[RunView]:
        """Runs that are remembered."""
        found = [(mark, self._marked(mark)) for mark in self._marks(HELD)]
        for mark, run in found:
            if run is None:
                _remove(mark)
        return [run for _, run in found if run is not None]

    def _marks(self, kind: str) -> list[Path]:
        folder = self.root / kind
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def _marked(self, mark: Path) -> RunView | None:
        found = _read(self.root / os.fsdecode(mark.read_bytes()) / f"{mark.name}{RECORD}")
        return found if isinstance(found, RunView) else None

    def load(self, job: str, known: Container[str]) -> tuple[list[RunView], list[str]]:
        """Read the records of a job, oldest first, and say what was wrong; leftovers of a crash are removed.

        Args:
            job: The job.
            known: Ids of runs that are not to be read.
        """
        folder = self._folder(job)
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        runs, problems = [], []
        for entry in entries:
            if entry.suffix == RECORD and entry.stem not in known:
                found = _read(entry)
                if isinstance(found, RunView):
                    runs.append(found)
                else:
                    problems.append(found)
        ids = {run.id for run in runs}
        broken = [entry for entry in reversed(entries) if entry.suffix == BROKEN]
        stray = [
            entry
            for entry in entries
            if entry.suffix not in (RECORD, BROKEN) and self._is_old(entry)
            # A name that begins with a dot is a file that was never finished.
            if (run := entry.name.partition(".")[0]) not in ids and run not in known
        ]
        for entry in (*stray, *broken[KEEP_BROKEN:]):
            _remove(entry)
        return sorted(runs, key=_age), problems

    def _is_old(self, entry: Path) -> bool:
        try:
            return entry.lstat().st_mtime < self._opened
        except OSError:
            return False

    def job_of(self, run_id: str) -> str | None:
        """The job that has a run on disk, None for none."""
        if not _ID.match(run_id) or not self.root.is_dir():
            return None
        for folder in self.root.iterdir():
            if (folder / f"{run_id}{RECORD}").exists():
                return unquote(folder.name)
        return None

    def files(self, job: str, run_id: str) -> RunFiles:
        """The paths of a run; nothing is made."""
        folder = self._folder(job)
        return RunFiles(folder / run_id, folder / f"{run_id}{OUTPUT}", folder / f"{run_id}{PROCESS}")

    def write(self, run: RunView) -> None:
        """Put a record on disk, in one step; as long as it is not over a mark beside all jobs says so.

        Raises:
            OSError: It cannot be written; what was there is as it was.
        """
        folder = self._folder(run.job)
        content = json.dumps(to_plain(run), default=repr).encode()
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not run.over and run.id not in self._live:
            self._mark(run.id).parent.mkdir(mode=0o700, exist_ok=True)
            self._mark(run.id).write_bytes(os.fsencode(folder.name))
            self._live.add(run.id)
        write_atomic(folder / f"{run.id}{RECORD}", content, keep=0)
        if run.over:
            self._unmark(run.id)

    def _mark(self, run_id: str) -> Path:
        return self.root / LIVE / run_id

    def _unmark(self, run_id: str) -> None:
        self._live.discard(run_id)
        _remove(self._mark(run_id))

    def append(self, job: str, run_id: str, lines: Sequence[LogLine], missed: int = 0) -> None:
        """Add lines to a log, after a mark that `missed` are not there; the oldest go from time to time.

        Raises:
            OSError: It cannot be written; nothing is added.
        """
        path = self._folder(job) / f"{run_id}{LOG}"
        state = self._logs.get(run_id)
        if state is None or not path.exists():
            state = self._logs[run_id] = _measure(path)
        parts = [_encode(line) for line in lines]
        if missed:
            parts.insert(0, json.dumps({_MARK: missed}).encode())
        content = b"".join(part + b"\n" for part in parts)
        if state.torn:
            content = b"\n" + content
        descriptor = _opened(path)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            os.ftruncate(descriptor, state.size)
            raise
        finally:
            os.close(descriptor)
        state.torn = False
        state.lines += len(parts)
        state.size += len(content)
        if state.lines > 2 * self._keep_lines or state.size > 2 * self._keep_characters:
            self._shorten(path, run_id)

    def read(self, job: str, run_id: str) -> RunLog:
        """The log as far as it is on disk."""
        try:
            content = (self._folder(job) / f"{run_id}{LOG}").read_bytes()
        except OSError:
            content = b""
        return self._parsed(content)

    def remove(self, job: str, run_id: str) -> None:
        """Remove everything of a run, as far as that is possible."""
        self._logs.pop(run_id, None)
        self._unmark(run_id)
        folder = self._folder(job)
        for suffix in (RECORD, LOG, OUTPUT, PROCESS, f"{OUTPUT}.1", ""):
            _remove(folder / f"{run_id}{suffix}")

    def forget(self, run_id: str) -> None:
        """A run is over: nothing of it needs to be remembered."""
        self._logs.pop(run_id, None)

    def _folder(self, job: str) -> Path:
        return self.root / quote(job, safe="@ ")

    def _shorten(self, path: Path, run_id: str) -> None:
        log = self._parsed(path.read_bytes())
        parts = [json.dumps({_MARK: log.dropped}).encode(), *map(_encode, log.kept)]
        content = b"".join(part + b"\n" for part in parts)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(content)
        os.replace(temporary, path)
        self._logs[run_id] = _LogState(len(parts), len(content), False)

    def _parsed(self, content: bytes) -> RunLog:
        log = RunLog(self._keep_lines, self._keep_characters)
        for line in content.splitlines():
            found = _decoded(line)
            if isinstance(found, LogLine):
                log.append(found)
            else:
                log.dropped += found
        return log


def _age(run: RunView) -> tuple[float, str]:
    return run.started, run.id


def _read(path: Path) -> RunView | str:
    try:
        run = from_plain(RunView, parse_object(path.read_bytes()))
        if run.id != path.name.removesuffix(RECORD):
            raise ValueError(f"it is of run {run.id}")
        return run
    except FileNotFoundError:
        return f"{path} is gone"
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        aside = path.with_suffix(BROKEN)
        with suppress(OSError):
            os.replace(path, aside)
        return f"{path} is no run record ({error}), set aside as {aside.name}"


def _measure(path: Path) -> _LogState:
    try:
        content = path.read_bytes()
    except OSError:
        return _LogState(0, 0, False)
    return _LogState(content.count(b"\n"), len(content), bool(content) and not content.endswith(b"\n"))


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _encode(line: LogLine) -> bytes:
    return json.dumps([line.time, line.level, line.source, line.text]).encode()


def _decoded(raw: bytes) -> LogLine | int:
    """A line, or how many were dropped; a torn one counts as one."""
    try:
        plain: Any = json.loads(raw)
        if isinstance(plain, dict):
            return int(plain[_MARK])
        time, level, source, text = plain
        return LogLine(float(time), str(level), str(source), str(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        return 1 if raw.strip() else 0


def _remove(path: Path) -> None:
    """Remove a file or a whole folder; what a script left behind may be as odd as it likes."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
