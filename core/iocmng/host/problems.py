"""What is wrong with a host at present, in words for its list of problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from iocmng.runtime.watchdog import Beat


class Keeper(Protocol):
    """Keeps something on disk."""

    @property
    def problem(self) -> str:
        """What it cannot keep, and why; "" when all is well."""


def present_problems(beat: Beat | None, keepers: Iterable[Keeper | None], lost_lines: int) -> Iterator[str]:
    """Yield what the watchdog, those who keep state on disk and the logs complain of."""
    if beat is not None and beat.hog:
        yield (
            f"thread {beat.hog!r} computes without pause and holds all others up "
            f"(up to {beat.lateness * 1000:.0f} ms); isolation: process will give it a process of its own"
        )
    for keeper in keepers:
        if keeper is not None and keeper.problem:
            yield keeper.problem
    if lost_lines:
        yield f"{lost_lines} log lines could not be written"
