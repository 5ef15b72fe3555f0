from __future__ import annotations

from iocmng.runtime.agenda import Agenda
from iocmng.runtime.watchdog import SUPERVISION_LIMIT, Beat, Watchdog
from iocmng.testing.clock import VirtualClock


class Bench:
    """A watchdog without instances, and what it asks and says."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.checked: list[float] = []
        self.beats: list[Beat] = []
        self.agenda = Agenda(self.clock, lambda: None)
        self.watchdog = Watchdog(self.clock, self.agenda, tuple, self.checked.append, self.beats.append)


def test_what_held_the_watchdog_up_is_no_stall_of_others() -> None:
    bench = Bench()
    now = bench.clock.monotonic()
    for late in (0.0, 8.0, -0.001):
        bench.watchdog.tick(late)
    bench.agenda.run_due()
    assert bench.checked == [now, now - 8.0, now]


def test_a_beat_says_whether_the_supervision_answers() -> None:
    bench = Bench()
    bench.watchdog.tick()
    bench.clock.move_to(bench.clock.monotonic() + SUPERVISION_LIMIT + 1.0)
    bench.watchdog.tick()
    bench.agenda.run_due()
    bench.watchdog.tick()
    assert [beat.alive for beat in bench.beats] == [True, False, True]
