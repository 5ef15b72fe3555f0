"""Restart policy: back-off, limits, and which ends are answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.runtime.policy import ABNORMAL, Cause, GiveUp, Restarts, Retry
from iocmng.spec import RestartPolicy, Supervision

MIDDLE = 0.5
FAILURES = set(Cause) - {Cause.RETURNED}


def delays(policy: Supervision, count: int, *, ran_for: float = 0.0, random: float = MIDDLE) -> list[float]:
    restarts = Restarts()
    found = []
    for number in range(count):
        decision = restarts.decide(policy, Cause.EXCEPTION, float(number), ran_for, random)
        assert isinstance(decision, Retry)
        assert decision.attempt == number + 1
        found.append(decision.delay)
    return found


def test_delay_doubles_to_the_ceiling() -> None:
    assert delays(Supervision(), 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_first_delay_above_the_ceiling_is_the_ceiling() -> None:
    assert delays(Supervision(restart_sec=100, restart_max_sec=60), 2) == [60, 60]


def test_ten_thousand_attempts_do_not_overflow() -> None:
    assert delays(Supervision(), 10_000)[-1] == 60


@given(random=st.floats(0, 1), attempt=st.integers(1, 12))
def test_jitter_is_at_most_ten_percent(random: float, attempt: int) -> None:
    plain = delays(Supervision(), attempt)[-1]
    spread = delays(Supervision(), attempt, random=random)[-1]
    assert plain * 0.9 <= spread <= plain * 1.1 + 1e-9


def test_jitter_reaches_both_ends() -> None:
    assert delays(Supervision(), 1, random=0.0) == [pytest.approx(0.9)]
    assert delays(Supervision(), 1, random=1.0) == [pytest.approx(1.1)]


def test_a_long_run_begins_anew() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.decide(Supervision(), Cause.EXCEPTION, 0.0, 599.9, MIDDLE)
    assert restarts.attempts == 5
    assert restarts.decide(Supervision(), Cause.EXCEPTION, 0.0, 600.0, MIDDLE) == Retry(1.0, 1)


def test_an_operators_reset_forgets_attempts_and_window() -> None:
    policy = Supervision(restart_max=1)
    restarts = Restarts()
    assert isinstance(restarts.decide(policy, Cause.EXCEPTION, 0.0, 0.0, MIDDLE), Retry)
    assert isinstance(restarts.decide(policy, Cause.EXCEPTION, 1.0, 0.0, MIDDLE), GiveUp)
    restarts.reset()
    assert restarts.decide(policy, Cause.EXCEPTION, 2.0, 0.0, MIDDLE) == Retry(1.0, 1)


def test_more_restarts_than_the_window_allows_give_up_and_name_both_numbers() -> None:
    policy = Supervision(restart_max=3, restart_window=60)
    restarts = Restarts()
    for now in (0.0, 10.0, 20.0):
        assert isinstance(restarts.decide(policy, Cause.CYCLE_ERRORS, now, 1.0, MIDDLE), Retry)
    decision = restarts.decide(policy, Cause.CYCLE_ERRORS, 59.9, 1.0, MIDDLE)
    assert isinstance(decision, GiveUp)
    assert decision.failed
    assert "3 restarts within 60 s" in decision.reason
    assert "restart_max allows 3" in decision.reason


def test_restarts_outside_the_window_do_not_count() -> None:
    policy = Supervision(restart_max=3, restart_window=60)
    restarts = Restarts()
    for now in range(0, 3000, 20):
        assert isinstance(restarts.decide(policy, Cause.EXCEPTION, float(now), 1.0, MIDDLE), Retry)


def test_without_limit_nothing_is_remembered_per_restart() -> None:
    restarts = Restarts()
    for now in range(1000):
        restarts.decide(Supervision(restart_max=0), Cause.EXCEPTION, now * 0.001, 0.0, MIDDLE)
    assert not restarts.times


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize(
    ("policy", "answered"),
    [
        (RestartPolicy.NO, set()),
        (RestartPolicy.ON_FAILURE, FAILURES),
        (RestartPolicy.ON_ABNORMAL, ABNORMAL),
        (RestartPolicy.ALWAYS, set(Cause)),
    ],
)
def test_which_ends_are_answered(policy: RestartPolicy, answered: set[Cause], cause: Cause) -> None:
    decision = Restarts().decide(Supervision(restart=policy), cause, 0.0, 0.0, MIDDLE)
    assert isinstance(decision, Retry) is (cause in answered)
    if isinstance(decision, GiveUp):
        assert decision.failed is (cause is not Cause.RETURNED)
        assert str(cause) in decision.reason


def test_always_restarts_a_task_that_returned_cleanly() -> None:
    policy = Supervision(restart=RestartPolicy.ALWAYS)
    assert Restarts().decide(policy, Cause.RETURNED, 0.0, 0.0, MIDDLE) == Retry(1.0, 1)
