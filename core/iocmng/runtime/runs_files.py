"""Where runs lie on disk: one directory a job, and in it a record, a bounded log and the files of each run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from iocmng.runtime.files import parse_object, write_atomic
from iocmng.runtime.runlog import KEEP_CHARACTERS, KEEP_LINES, RunLog
from iocmng.wire import LogLine, RunView, from_plain, to_plain

RECORD, LOG, OUTPUT, PROCESS, BROKEN = ".json", ".log", ".out", ".process", ".corrupt"
KEEP_BROKEN = 5
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
        self._logs: dict[str, _LogState] = {}

    def scan(self) -> tuple[list[RunView], list[str]]:
        """Read all records, by age within a job; and say what was wrong. Leftovers of a crash are removed."""
        runs, problems = [], []
        for folder in sorted(self._folders()):
            for entry in sorted(folder.iterdir()):
                if entry.name.startswith("."):
                    entry.unlink(missing_ok=True)
                elif entry.suffix == RECORD:
                    found = _read(entry)
                    if isinstance(found, RunView):
                        runs.append(found)
                    else:
                        problems.append(found)
        known = {run.id for run in runs}
        for folder in self._folders():
            entries = sorted(folder.iterdir(), reverse=True)
            broken = [entry for entry in entries if entry.suffix == BROKEN]
            stray = [entry for entry in entries if entry.name.partition(".")[0] not in known]
            for entry in (*(one for one in stray if one not in broken), *broken[KEEP_BROKEN:]):
                _remove(entry)
        return runs, problems

    def _folders(self) -> Iterator[Path]:
        return (entry for entry in self.root.iterdir() if entry.is_dir()) if self.root.is_dir() else iter(())

    def files(self, job: str, run_id: str) -> RunFiles:
        """The paths of a run; nothing is made."""
        folder = self._folder(job)
        return RunFiles(folder / run_id, folder / f"{run_id}{OUTPUT}", folder / f"{run_id}{PROCESS}")

    def write(self, run: RunView) -> None:
        """Put a record on disk, in one step.

        Raises:
            OSError: It cannot be written; what was there is as it was.
        """
        path = self._folder(run.job) / f"{run.id}{RECORD}"
        content = json.dumps(to_plain(run), default=repr).encode()
        try:
            write_atomic(path, content, keep=0)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(path, content, keep=0)

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


def _read(path: Path) -> RunView | str:
    try:
        run = from_plain(RunView, parse_object(path.read_bytes()))
        if run.id != path.name.removesuffix(RECORD):
            raise ValueError(f"it is of run {run.id}")
        return run
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
