"""Log files of instances: one per instance, rotated, few open at once; read back also without a host."""

from __future__ import annotations

import json
import logging
import os
import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from iocmng.errors import NotFound
from iocmng.names import did_you_mean
from iocmng.wire import LogLine

OPEN_FILES = 64
_TEXT = re.compile(r"(\S+Z) (\S+) \[([^\]]*)\] (.*)", re.DOTALL)
_LEVELS = logging.getLevelNamesMapping()


class LogFormat(StrEnum):
    """How lines stand in a file."""

    TEXT = "text"
    JSON = "json"


def level_number(name: str) -> int:
    """The number of a level's name; an unknown one counts as INFO."""
    return _LEVELS.get(name.upper(), logging.INFO)


def encode(line: LogLine, form: LogFormat) -> bytes:
    """One line as it stands in a file: text (further lines of it begin with a tab) or one JSON object."""
    when = datetime.fromtimestamp(line.time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if form is LogFormat.JSON:
        plain = {"time": when, "level": line.level, "source": line.source, "text": line.text}
        return json.dumps(plain).encode() + b"\n"
    text = line.text.replace("\n", "\n\t")
    return f"{when} {line.level} [{line.source}] {text}\n".encode("utf-8", "backslashreplace")


def decode(raw: Iterable[bytes]) -> Iterator[LogLine]:
    """Make lines of a file's raw ones, text and JSON mixed; what is torn or foreign is text of its own."""
    pending: LogLine | None = None
    for one in raw:
        text = one.decode("utf-8", "replace").removesuffix("\n")
        if pending is not None and text.startswith("\t"):
            pending = LogLine(pending.time, pending.level, pending.source, f"{pending.text}\n{text[1:]}")
            continue
        if pending is not None:
            yield pending
        time = pending.time if pending else 0.0
        pending = _parsed(text) or LogLine(time, "INFO", "", text)
    if pending is not None:
        yield pending


def read_offline(
    directory: Path, name: str, *, since: float = 0.0, level: str = "DEBUG", limit: int = 1000
) -> tuple[LogLine, ...]:
    """Read an instance's log from its files, oldest first, rotated files included.

    Args:
        directory: The log directory.
        name: The instance, `HOST` for the host.
        since: Nothing before this, seconds since 1970-01-01 UTC.
        level: Nothing below this.
        limit: At most so many, the latest.

    Raises:
        NotFound: There is no such log; the hint has the nearest name.
    """
    paths = _written(directory, name)
    if not paths:
        known = {path.name.removesuffix(".log") for path in directory.glob("*.log")}
        raise NotFound(f"no log of {name!r} in {directory}", hint=did_you_mean(name, known))
    lowest = level_number(level)
    kept: deque[LogLine] = deque(maxlen=limit)
    for path in paths:
        try:
            if path.stat().st_mtime < since:
                continue
            with path.open("rb") as raw:
                kept.extend(
                    line for line in decode(raw) if line.time >= since and level_number(line.level) >= lowest
                )
        except FileNotFoundError:
            # Rotated away between listing and reading.
            continue
    return tuple(kept)


def _written(directory: Path, name: str) -> list[Path]:
    """Files of one log, oldest first."""
    numbered = re.compile(re.escape(name) + r"\.log(?:\.(\d+))?\Z")
    if not directory.is_dir():
        return []
    found = [
        (int(match[1] or 0), path) for path in directory.iterdir() if (match := numbered.match(path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def _parsed(text: str) -> LogLine | None:
    try:
        if text.startswith("{"):
            plain = json.loads(text)
            return LogLine(
                _time(plain["time"]), str(plain["level"]), str(plain["source"]), str(plain["text"])
            )
        if match := _TEXT.match(text):
            return LogLine(_time(match[1]), match[2], match[3], match[4])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return None


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@dataclass(slots=True)
class _Open:
    descriptor: int
    size: int
    torn: bool


class LogFiles:
    """Appends to the files of many logs, with few of them open. One thread only."""

    def __init__(
        self, directory: Path, form: LogFormat, max_bytes: int, keep: int, *, open_files: int = OPEN_FILES
    ) -> None:
        self._directory = directory
        self._form = form
        self._max_bytes = max_bytes
        self._keep = keep
        self._open_files = open_files
        self._open: OrderedDict[str, _Open] = OrderedDict()

    @property
    def open_count(self) -> int:
        """How many files are open now."""
        return len(self._open)

    def adjust(self, form: LogFormat, max_bytes: int, keep: int) -> None:
        """Write otherwise from now on; any thread."""
        self._form, self._max_bytes, self._keep = form, max_bytes, keep

    def write(self, batch: Iterable[tuple[str, LogLine]]) -> tuple[int, str]:
        """Append lines to the logs they belong to.

        Returns:
            How many were lost because of the disk, and the last reason ("" when none was).
        """
        content: dict[str, list[bytes]] = {}
        for name, line in batch:
            content.setdefault(name, []).append(encode(line, self._form))
        lost, problem = 0, ""
        for name, lines in content.items():
            try:
                self._append(name, b"".join(lines))
            except OSError as error:
                lost += len(lines)
                problem = f"{self._path(name)}: {error.strerror or error}"
                self._drop(name)
        return lost, problem

    def close(self) -> None:
        """Close every file; a later write opens again."""
        for name in tuple(self._open):
            self._drop(name)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def _append(self, name: str, content: bytes) -> None:
        opened = self._opened(name)
        if opened.size and opened.size + len(content) > self._max_bytes:
            self._rotate(name)
            opened = self._opened(name)
        if opened.torn:
            content = b"\n" + content
        rest = memoryview(content)
        while rest:
            written = os.write(opened.descriptor, rest)
            opened.size += written
            rest = rest[written:]
        opened.torn = False

    def _opened(self, name: str) -> _Open:
        opened = self._open.get(name)
        if opened is not None:
            if os.fstat(opened.descriptor).st_nlink:
                self._open.move_to_end(name)
                return opened
            # Somebody removed the file: go on in a new one.
            self._drop(name)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path(name), flags, 0o600)
        except FileNotFoundError:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path(name), flags, 0o600)
        size = os.fstat(descriptor).st_size
        # A full disk or a crash may have cut the last line: the next one must not be swallowed by it.
        opened = _Open(descriptor, size, torn=size > 0 and os.pread(descriptor, 1, size - 1) != b"\n")
        self._open[name] = opened
        if len(self._open) > self._open_files:
            self._drop(next(iter(self._open)))
        return opened

    def _rotate(self, name: str) -> None:
        self._drop(name)
        path = self._path(name)
        if not self._keep:
            path.unlink(missing_ok=True)
            return
        for number in range(self._keep - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                os.replace(older, path.with_name(f"{path.name}.{number + 1}"))
        os.replace(path, path.with_name(f"{path.name}.1"))

    def _drop(self, name: str) -> None:
        if opened := self._open.pop(name, None):
            os.close(opened.descriptor)
