"""The watchdog's thread: beats the hearts of instances, looks for stalls, and notices who holds the host up."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from iocmng.runtime.agenda import Agenda
from iocmng.runtime.instance import Instance
from iocmng.runtime.ports import Clock
from iocmng.runtime.task import TaskInstance

PERIOD = 1.0
SUPERVISION_LIMIT = 10.0
LATE = 0.004
KEPT = 60
HOG_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Beat:
    """What one round of the watchdog found.

    Attributes:
        now: Monotonic time, seconds.
        alive: Whether the supervising thread has answered within the last ten seconds.
        lateness: Worst lateness of the watchdog's own waking in the last minute, seconds.
        hog: The thread that computes without pause and holds the others up, or "".
    """

    now: float
    alive: bool
    lateness: float
    hog: str


class Watchdog:
    """Once a second: `tick`. The real host runs it in a thread of its own, the test kit by hand."""

    def __init__(
        self,
        clock: Clock,
        agenda: Agenda,
        instances: Callable[[], Iterable[Instance]],
        check: Callable[[float], None],
        on_beat: Callable[[Beat], None],
    ) -> None:
        self._clock = clock
        self._agenda = agenda
        self._instances = instances
        self._check = check
        self._on_beat = on_beat
        self._answered = clock.monotonic()
        self._lateness: deque[float] = deque(maxlen=KEPT)
        self._wakeup = clock.wakeup()
        self._stopped = False
        self._cpu: dict[int, float] = {}
        self._hog = ""

    def start(self) -> threading.Thread:
        """Tick every second until `stop`."""
        return self._clock.spawn(self._run, "iocmng-watchdog")

    def stop(self) -> None:
        """End."""
        self._stopped = True
        self._wakeup.set()

    def _run(self) -> None:
        due = self._clock.monotonic()
        while not self._stopped:
            due += PERIOD
            if self._wakeup.wait(due - self._clock.monotonic()):
                continue
            late = self._clock.monotonic() - due
            self._lateness.append(late)
            if late > PERIOD:
                due += late
            self._find_hog()
            self.tick(late)

    def tick(self, late: float = 0.0) -> None:
        """One round.

        Args:
            late: Seconds by which it comes late. What held the watchdog up (a suspended machine, a C call that
                keeps all of Python waiting) held the tasks up as well: it is no stall of theirs.
        """
        now = self._clock.monotonic()
        fair = now - max(late, 0.0)
        self._agenda.post(lambda: self._answer(now, fair))
        for instance in self._instances():
            instance.tick()
            if isinstance(instance, TaskInstance) and instance.progressing(fair):
                instance.panel.beat()
        alive = now - self._answered <= SUPERVISION_LIMIT
        self._on_beat(Beat(now, alive, max(self._lateness, default=0.0), self._hog))

    def _answer(self, asked: float, fair: float) -> None:
        """On the supervising thread: it lives, and looks for stalls."""
        self._answered = asked
        self._check(fair)

    def _find_hog(self) -> None:
        """Name the Python thread that used more than 80 % of a core since the last look, when waking comes late."""
        if not self._lateness or self._lateness[-1] < LATE:
            self._cpu, self._hog = {}, ""
            return
        before, self._cpu = self._cpu, thread_cpu()
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        shares = {
            native: (used - before[native]) / PERIOD
            for native, used in self._cpu.items()
            if native in before and native in names
        }
        worst = max(shares, key=lambda native: shares[native], default=None)
        self._hog = names[worst] or "" if worst is not None and shares[worst] > HOG_SHARE else ""


def thread_cpu() -> dict[int, float]:
    """CPU seconds used so far by each thread of this process, by native id (Linux; empty elsewhere)."""
    ticks = os.sysconf("SC_CLK_TCK")
    used: dict[int, float] = {}
    root = Path("/proc/self/task")
    if not root.is_dir():
        return used
    for task in root.iterdir():
        try:
            fields = (task / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            # The thread ended between the listing and the look.
            continue
        used[int(task.name)] = (int(fields[11]) + int(fields[12])) / ticks
    return used
