"""The logs of instances: recent lines in memory, all in files, followers told; whoever logs never waits."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from iocmng.runtime.logfiles import LogFiles, LogFormat, encode, level_number
from iocmng.runtime.logwriter import Entry, LogWriter
from iocmng.runtime.ports import Clock, Undo
from iocmng.runtime.streams import bound_instance, route_streams
from iocmng.wire import LogLine

HOST = "HOST"
TASK_LOGGER = "iocmng.task."
KEPT_LINES = 1000
KEPT_CHARACTERS = 256 * 1024
MAX_TEXT = 16_384
MAX_FOLLOWED = 2000
_TAIL = 4096
_STRANGE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_log = logging.getLogger("iocmng.logs")


class LogBook:
    """All logs of one host: by instance name, and `HOST` for what no instance wrote."""

    def __init__(
        self,
        clock: Clock,
        *,
        directory: Path | None = None,
        level: str = "INFO",
        form: LogFormat = LogFormat.TEXT,
        max_mb: float = 50,
        keep: int = 5,
        console: TextIO | None = None,
    ) -> None:
        """Keep lines in memory, in `directory` (`max_mb` a file, `keep` rotated ones), and on `console`."""
        self._clock = clock
        self._level = level_number(level)
        self._lock = threading.Lock()
        self._kept: dict[str, _Recent] = {}
        self._followers: dict[str, tuple[_Follower, ...]] = {}
        self._writers: list[LogWriter] = []
        self._undos: list[Undo] = []
        self._files: LogFiles | None = None
        if directory is not None:
            self._files = LogFiles(directory, form, int(max_mb * 1024 * 1024), keep)
            self._writers.append(LogWriter("iocmng-log-files", self._files.write, _log.error))
        if console is not None:
            self._writers.append(LogWriter("iocmng-log-console", _Console(console).write, _log.error))

    @property
    def lost(self) -> int:
        """Lines that could not be written to files or console, since the start."""
        return sum(writer.lost for writer in self._writers)

    def install(self) -> None:
        """Take what this process logs and what bound threads print, until `close`."""
        root = logging.getLogger()
        before = root.level
        handler = _Handler(self)
        root.addHandler(handler)
        root.setLevel(self._level)
        logging.captureWarnings(True)
        unroute = route_streams(self._printed)

        def undo() -> None:
            unroute()
            logging.captureWarnings(False)
            root.removeHandler(handler)
            root.setLevel(before)

        self._undos.append(undo)

    def close(self, timeout: float = 2.0) -> None:
        """Put logging and streams back and write what is left, for at most `timeout` seconds each."""
        while self._undos:
            self._undos.pop()()
        closed = [writer.close(timeout) for writer in self._writers]
        if self._files is not None and closed[0]:
            self._files.close()

    def add(self, name: str, line: LogLine) -> None:
        """Add a line to the log of `name` ("HOST": the host's). Any thread; never waits for a disk."""
        line = LogLine(line.time, line.level, line.source, _printable(line.text.rstrip("\n")))
        with self._lock:
            recent = self._kept.get(name)
            if recent is None:
                recent = self._kept[name] = _Recent()
            recent.append(line)
            followers = self._followers.get(name, ())
        for writer in self._writers:
            writer.put((name, line))
        for follower in followers:
            if level_number(line.level) >= follower.lowest:
                self._tell(name, follower, line)

    def lines(
        self, name: str, *, since: float = 0.0, level: str = "DEBUG", limit: int = 1000
    ) -> tuple[LogLine, ...]:
        """Recent lines of a log, oldest first; empty for one that nobody wrote."""
        lowest = level_number(level)
        with self._lock:
            recent = tuple(self._kept[name].lines) if name in self._kept else ()
        found = [line for line in recent if line.time >= since and level_number(line.level) >= lowest]
        return tuple(found[-limit:]) if limit > 0 else ()

    def subscribe(self, name: str, follower: Callable[[LogLine], None], *, level: str = "DEBUG") -> Undo:
        """Call `follower` for each new line of a log, on the thread that wrote it; it must only enqueue."""
        entry = _Follower(level_number(level), follower)
        with self._lock:
            self._followers[name] = (*self._followers.get(name, ()), entry)
        return lambda: self._dismiss(name, entry)

    async def follow(self, name: str, *, level: str = "DEBUG") -> AsyncIterator[LogLine]:
        """New lines of a log as they come; a reader that is too slow is told how many it missed."""
        loop = asyncio.get_running_loop()
        lock = threading.Lock()
        waiting: list[LogLine] = []
        wake = asyncio.Event()
        missed = 0

        def take(line: LogLine) -> None:
            nonlocal missed
            with lock:
                if len(waiting) >= MAX_FOLLOWED:
                    missed += 1
                    return
                waiting.append(line)
                first = len(waiting) == 1
            # One call into the loop for a burst of lines, not one for each.
            if first:
                try:
                    loop.call_soon_threadsafe(wake.set)
                except RuntimeError:
                    # The loop is closed, so nobody reads any more.
                    return

        undo = self.subscribe(name, take, level=level)
        try:
            while True:
                await wake.wait()
                wake.clear()
                with lock:
                    lines, skipped = tuple(waiting), missed
                    waiting.clear()
                    missed = 0
                for line in lines:
                    yield line
                if skipped:
                    text = f"{skipped} lines were skipped, the reader is too slow"
                    yield LogLine(self._clock.time(), "WARNING", "iocmng", text)
        finally:
            undo()

    def adjust(self, *, level: str, form: LogFormat, max_mb: float, keep: int) -> None:
        """Change the least level, and the form, size (MiB) and number of files, from now on."""
        self._level = level_number(level)
        if self._undos:
            logging.getLogger().setLevel(self._level)
        if self._files is not None:
            self._files.adjust(form, int(max_mb * 1024 * 1024), keep)

    def set_level(self, name: str, level: str | None) -> None:
        """Set the level of one instance's logger, None for the host's."""
        number = logging.NOTSET if level is None else level_number(level)
        logging.getLogger(TASK_LOGGER + name).setLevel(number)

    def forget(self, name: str) -> None:
        """Drop the lines in memory of an instance that was removed; its files stay."""
        with self._lock:
            self._kept.pop(name, None)

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all lines so far are written; return whether they were within `timeout` seconds each."""
        flushed = [writer.flush(timeout) for writer in self._writers]
        return all(flushed)

    def _tell(self, name: str, follower: _Follower, line: LogLine) -> None:
        try:
            follower.call(line)
        except Exception:  # noqa: BLE001 - a border: a follower's fault must not reach the task that logs
            self._dismiss(name, follower)
            _log.exception("a follower of the log of %s failed and is dropped", name)

    def _dismiss(self, name: str, follower: _Follower) -> None:
        with self._lock:
            rest = tuple(known for known in self._followers.get(name, ()) if known is not follower)
            if rest:
                self._followers[name] = rest
            else:
                self._followers.pop(name, None)

    def _printed(self, instance: str, stream: str, text: str) -> None:
        level = "INFO" if stream == "stdout" else "WARNING"
        if logging.getLogger(TASK_LOGGER + instance).isEnabledFor(level_number(level)):
            self.add(instance, LogLine(self._clock.time(), level, stream, text))


@dataclass(frozen=True, slots=True, eq=False)
class _Follower:
    lowest: int
    call: Callable[[LogLine], None]


class _Recent:
    """The latest lines of one log, bounded in number and in characters."""

    __slots__ = ("_characters", "lines")

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque()
        self._characters = 0

    def append(self, line: LogLine) -> None:
        self.lines.append(line)
        self._characters += len(line.text)
        while len(self.lines) > KEPT_LINES or (self._characters > KEPT_CHARACTERS and len(self.lines) > 1):
            self._characters -= len(self.lines.popleft().text)


class _Handler(logging.Handler):
    """Gives every record to the log of the instance it comes from."""

    def __init__(self, book: LogBook) -> None:
        super().__init__()
        self._book = book

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the base class's lock: one task's slow __str__ must not hold up what another one logs.
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        name = record.name
        if name.startswith(TASK_LOGGER):
            instance, _, source = name[len(TASK_LOGGER) :].partition(".")
            source = source or instance
        else:
            instance, source = bound_instance() or HOST, name
        self._book.add(instance, LogLine(record.created, _level_name(record), source, record_text(record)))


class _Console:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, batch: Sequence[Entry]) -> tuple[int, str]:
        text = b"".join(encode(_with_instance(*entry), LogFormat.TEXT) for entry in batch).decode()
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:
            return len(batch), f"console: {error}"
        return 0, ""


def _with_instance(name: str, line: LogLine) -> LogLine:
    """A line whose source also tells the instance, for where the lines of all stand together."""
    if name in (HOST, line.source):
        return line
    return LogLine(line.time, line.level, f"{name} {line.source}", line.text)


def record_text(record: logging.LogRecord) -> str:
    """What a record says, with its traceback; one that cannot be formatted says so."""
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - a border: the author's format string, arguments and __str__ run here
        text = (
            f"{_shown(record.msg)} with {_shown(record.args)} (cannot be formatted: {type(error).__name__})"
        )
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    return "\n".join(part for part in (text, record.exc_text, record.stack_info) if part)


def _shown(thing: object) -> str:
    try:
        return repr(thing)
    except Exception:  # noqa: BLE001 - a border: the author's __repr__ runs here
        return f"<{type(thing).__name__}>"


def _level_name(record: logging.LogRecord) -> str:
    number = max((known for known in (10, 20, 30, 40, 50) if known <= record.levelno), default=10)
    name = record.levelname
    return name if name.isupper() and name.isidentifier() else logging.getLevelName(number)


def _printable(text: str) -> str:
    """Bound a text, keeping its beginning and its end, and make control characters visible."""
    if len(text) > MAX_TEXT:
        left_out = len(text) - MAX_TEXT
        text = f"{text[: MAX_TEXT - _TAIL]}\n… {left_out} characters left out …\n{text[-_TAIL:]}"
    if _STRANGE.search(text):
        text = _STRANGE.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))
    return text
