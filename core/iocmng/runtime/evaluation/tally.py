"""Counts the evaluations of an instance without code as its cycles, and shows them at a bearable rate."""

from __future__ import annotations

from iocmng.runtime.counters import Counters
from iocmng.runtime.panel import Panel

SHOW_EVERY = 0.1
"""Seconds between two looks of CYCLE_COUNT and TASK_DURATION at evaluations that events cause."""
TASK_SUCCESS, TASK_FAIL, IO_FAILURE = range(3)


class Tally:
    """Of one run; on the evaluating thread.

    Args:
        counters: Those of the instance.
        panel: Its default PVs.

    Attributes:
        due: Monotonic time at which what was counted since has to be shown, None when all is.
        links_well: Whether no link has anything to complain of.
        unknowns: How often expressions could not be computed.
    """

    def __init__(self, counters: Counters, panel: Panel) -> None:
        self._counters = counters
        self._panel = panel
        self._seen = 0
        self.due: float | None = None
        self.links_well = True
        self.unknowns = 0

    def event(self, now: float, duration: float) -> None:
        """An event was evaluated, which took so many seconds."""
        self._count(duration)
        if self.due is None:
            self.show()
            self.due = now + SHOW_EVERY

    def cycle(self, duration: float, missed: int) -> None:
        """A cycle was evaluated, after which so many were skipped because it was late."""
        self._count(duration)
        self.overrun(missed)
        self.show()

    def overrun(self, missed: int) -> None:
        """So many evaluations did not take place."""
        if missed:
            self._counters.overruns += missed
            self._panel.show("OVERRUNS", self._counters.overruns)

    def show(self) -> None:
        """Show all."""
        self.due = None
        self._panel.show("CYCLE_COUNT", self._counters.cycles)
        self._panel.show("TASK_DURATION", self._counters.last_duration)
        failed = TASK_FAIL if self.unknowns > self._seen else TASK_SUCCESS
        self._seen = self.unknowns
        self._panel.show("TASK_STATUS", failed if self.links_well else IO_FAILURE)

    def _count(self, duration: float) -> None:
        self._counters.cycles += 1
        self._counters.last_duration = duration
