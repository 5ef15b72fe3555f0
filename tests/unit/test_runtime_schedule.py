"""The fixed-rate schedule: no drift, overruns counted, missed cycles skipped."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.runtime.schedule import Schedule


def test_cycles_keep_the_phase_however_late_each_one_ends() -> None:
    schedule = Schedule(0.1, 1000.0)
    for _ in range(100_000):
        deadline, missed = schedule.next(schedule.due + 0.09)
        assert missed == 0
    assert deadline == pytest.approx(1000.0 + 100_000 * 0.1, abs=1e-9)


def test_a_cycle_that_ends_on_the_next_deadline_misses_nothing() -> None:
    schedule = Schedule(1.0, 0.0)
    assert schedule.next(1.0) == (1.0, 0)
    assert schedule.next(2.0) == (2.0, 0)


def test_an_overrun_skips_what_it_missed_and_keeps_the_phase() -> None:
    schedule = Schedule(1.0, 10.0)
    assert schedule.next(10.2) == (11.0, 0)
    assert schedule.next(13.5) == (14.0, 2)
    assert schedule.next(14.1) == (15.0, 0)


def test_a_suspended_machine_is_one_skip_and_not_a_burst() -> None:
    schedule = Schedule(0.1, 0.0)
    schedule.next(0.01)
    deadline, missed = schedule.next(86_400.05)
    assert deadline == pytest.approx(86_400.1)
    assert missed == 863_999
    assert schedule.next(86_400.11)[1] == 0


@given(
    interval=st.floats(1e-3, 1e4),
    start=st.floats(0, 1e7),
    steps=st.lists(st.floats(0, 1e5), min_size=1, max_size=30),
)
def test_deadlines_rise_never_lie_in_the_past_and_stay_on_the_grid(
    interval: float, start: float, steps: list[float]
) -> None:
    schedule = Schedule(interval, start)
    now = start
    before = start
    for step in steps:
        now += step
        deadline, missed = schedule.next(now)
        assert deadline >= now
        assert deadline >= before
        assert missed >= 0
        assert deadline - now <= interval * (1 + 1e-6) or missed == 0
        beats = (deadline - start) / interval
        assert abs(beats - round(beats)) * interval <= 1e-6 + math.ulp(deadline) * 4
        before = deadline
        now = deadline


def test_a_shorter_interval_counts_from_the_latest_cycle() -> None:
    schedule = Schedule(10.0, 0.0)
    schedule.next(0.5)
    schedule.change(2.0, 11.0)
    assert schedule.next(11.0) == (12.0, 0)
    assert schedule.next(12.5) == (14.0, 0)


def test_a_shorter_interval_that_is_overdue_counts_from_now() -> None:
    schedule = Schedule(60.0, 0.0)
    schedule.next(0.5)
    schedule.change(1.0, 95.25)
    assert schedule.next(95.25) == (96.25, 0)


def test_a_longer_interval_counts_from_the_latest_cycle() -> None:
    schedule = Schedule(1.0, 0.0)
    schedule.next(0.5)
    schedule.change(10.0, 1.5)
    assert schedule.next(1.5) == (11.0, 0)
    assert schedule.interval == 10.0


@pytest.mark.parametrize("interval", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_interval_is_refused_and_named(interval: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        Schedule(interval, 0.0)
    with pytest.raises(ValueError, match="positive number of seconds"):
        Schedule(1.0, 0.0).change(interval, 0.0)
