"""A fixed rate without drift: cycle k is due at start + k * interval, whatever the cycles before it took."""

from __future__ import annotations

from math import floor, isfinite


class Schedule:
    """Due times of one task's cycles, the first at `start`; times in seconds on one monotonic clock."""

    __slots__ = ("_index", "_interval", "_start")

    def __init__(self, interval: float, start: float) -> None:
        self._interval = _checked(interval)
        self._start = start
        self._index = 0

    @property
    def interval(self) -> float:
        """Seconds between two cycles."""
        return self._interval

    @property
    def due(self) -> float:
        """When the latest cycle handed out was, or is, due."""
        return self._start + self._index * self._interval

    def next(self, now: float) -> tuple[float, int]:
        """Hand out the next cycle, at the end of the one before.

        Returns:
            When it is due, never before `now`, and how many due cycles were skipped because the one before
            (or a clock gap) took too long; the phase is kept.
        """
        self._index += 1
        deadline = self._start + self._index * self._interval
        if deadline >= now:
            return deadline, 0
        skipped = floor((now - deadline) / self._interval) + 1
        self._index += skipped
        deadline = self._start + self._index * self._interval
        # Rounding may leave the product a hair before now; a deadline in the past would run a cycle twice.
        return max(deadline, now), skipped

    def change(self, interval: float, now: float) -> None:
        """Go on with another interval, counted from the latest cycle, or from now if that were overdue."""
        latest = self.due
        self._interval = _checked(interval)
        self._start = latest if latest + interval >= now else now
        self._index = 0


def _checked(interval: float) -> float:
    if not (isfinite(interval) and interval > 0):
        raise ValueError(f"interval {interval!r} is no positive number of seconds")
    return interval
