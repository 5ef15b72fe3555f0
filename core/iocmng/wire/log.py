"""One line of a log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line: time (seconds since 1970-01-01 UTC), level name, who wrote it, text (a traceback keeps its newlines)."""

    time: float
    level: str
    source: str
    text: str
