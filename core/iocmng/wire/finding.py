"""One result of validation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is; only an ERROR makes a plugin INVALID."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Where:
    """A place: a file with 1-based line and column (0 when unknown), and the key path in it."""

    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""

    def __str__(self) -> str:
        position = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{position}" if self.file else self.key


@dataclass(frozen=True, slots=True)
class Finding:
    """What validation has to say: level, stable code, message, place, and the next step."""

    level: Level
    code: str
    message: str
    where: Where = Where()
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if str(self.where) else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.level}: {self.message}{hint} [{self.code}]"
