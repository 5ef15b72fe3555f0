"""How often one instance may be evaluated, so that a loop of rules does not take the processor from everyone."""

from __future__ import annotations

LIMIT = 1000
"""Evaluations of one instance in a second."""


class RateLimit:
    """Admits `LIMIT` evaluations in each second; times in seconds on one monotonic clock."""

    __slots__ = ("_count", "_start")

    def __init__(self) -> None:
        self._start = 0.0
        self._count = 0

    def admit(self, now: float) -> float | None:
        """Count one evaluation; or say when the next one is allowed."""
        if now - self._start >= 1.0:
            self._start, self._count = now, 0
        if self._count >= LIMIT:
            return self._start + 1.0
        self._count += 1
        return None
