"""Something wrong with a config that its own text tells, with its key path in place of a line."""

from __future__ import annotations

from dataclasses import dataclass

from iocmng.wire import Level


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding whose place is not looked up yet; `at_key` means the key at the end of `path`, not its value."""

    level: Level
    code: str
    message: str
    path: tuple[str | int, ...]
    hint: str = ""
    at_key: bool = False
