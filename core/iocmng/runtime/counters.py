"""What is counted of a task, and how it is known that it makes progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Counters:
    """Counters of a task; `metrics` are the author's own numbers, durations in seconds."""

    cycles: int = 0
    cycle_errors: int = 0
    overruns: int = 0
    restarts: int = 0
    last_duration: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    health: str = ""

    def zero(self) -> None:
        """Start counting again."""
        self.cycles = self.cycle_errors = self.overruns = self.restarts = 0


@dataclass(slots=True)
class Progress:
    """When the code last got anywhere, on the monotonic clock; none is expected while it waits."""

    at: float = 0.0
    expected: bool = False
    stuck: str = ""

    def idle(self, now: float) -> float:
        """Seconds without the progress that is expected, whatever the code itself says."""
        return now - self.at if self.expected else 0.0

    def stalled_for(self, now: float) -> float:
        """Seconds without the progress that is expected; without end when the code says that it is `stuck`."""
        return inf if self.stuck else self.idle(now)
