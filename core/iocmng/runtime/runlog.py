"""The log of one run: its latest lines, bounded in number and in characters, and how many went before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from iocmng.wire import LogLine

KEEP_LINES = 2000
KEEP_CHARACTERS = 1024 * 1024


class RunLog:
    """The latest lines of a run; one thread at a time."""

    __slots__ = ("_characters", "_keep_characters", "_keep_lines", "_lines", "dropped")

    def __init__(self, keep_lines: int = KEEP_LINES, keep_characters: int = KEEP_CHARACTERS) -> None:
        """Keep at most so many lines and characters, one line at least."""
        self._keep_lines = max(keep_lines, 1)
        self._keep_characters = keep_characters
        self._lines: deque[LogLine] = deque()
        self._characters = 0
        self.dropped = 0

    def append(self, line: LogLine) -> None:
        """Add a line; the oldest go where there are too many."""
        self._lines.append(line)
        self._characters += len(line.text)
        while len(self._lines) > self._keep_lines or (
            self._characters > self._keep_characters and len(self._lines) > 1
        ):
            self._characters -= len(self._lines.popleft().text)
            self.dropped += 1

    def extend(self, lines: Iterable[LogLine]) -> None:
        """Add lines."""
        for line in lines:
            self.append(line)

    @property
    def kept(self) -> tuple[LogLine, ...]:
        """The lines that are left, oldest first."""
        return tuple(self._lines)

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """The same for a reader: a first line says how many went before, if any."""
        if not self.dropped:
            return self.kept
        when = self._lines[0].time if self._lines else 0.0
        note = LogLine(when, "WARNING", "iocmng", f"{self.dropped} earlier lines were dropped")
        return (note, *self._lines)
