"""What each restart policy makes of each way in which a task's code can end or hang, and that limits hold."""

from __future__ import annotations

from typing import Any

import pytest
from support.tasks import block, config

from iocmng import TaskBase
from iocmng.testing import run_task

POLICIES = ("no", "on-failure", "on-abnormal", "always")
LONG = 60.0


class Faulty(TaskBase):
    """Does where `fault` says what it says, in its first life only; later lives are good."""

    fault = ""
    lives = 0
    cleaned = 0

    def _meet(self, place: str) -> None:
        if type(self).lives > 1 or not self.fault.endswith(place):
            return
        if self.fault.startswith("raise"):
            raise ValueError(self.fault)
        block(self, LONG)

    def initialize(self) -> None:
        type(self).lives += 1
        self._meet("start")

    def execute(self) -> None:
        if self.fault == "return":
            while self.sleep(0.2) and self.cycle_count % 3:
                continue
            return
        if self.fault == "retire" and type(self).lives == 1:
            self.running = False
        self._meet("cycle")

    def cleanup(self) -> None:
        type(self).cleaned += 1
        self._meet("stop")


def faulty(fault: str) -> type[Faulty]:
    return type("Faulty", (Faulty,), {"fault": fault, "__module__": __name__})


def ends(fault: str, policy: str, **supervision: Any) -> tuple[str, int, int]:
    """State after some seconds, lives begun and cleanups."""
    cls = faulty(fault)
    kept = {"restart_sec": 1.0, "start_timeout": 3.0, "stop_timeout": 2.0, "stall_after": 3.0}
    with run_task(cls, config(restart=policy, **kept | supervision)) as task:
        task.step(12.0)
        state, lives, cleaned = task.status, cls.lives, cls.cleaned
        task.step(LONG)
    return state, lives, cleaned


def answered(policy: str, *, by: tuple[str, ...]) -> tuple[str, int]:
    return ("RUN", 2) if policy in by else ("ERROR", 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_exception_in_start(policy: str) -> None:
    state, lives, cleaned = ends("raise in start", policy)
    assert (state, lives) == answered(policy, by=("on-failure", "always"))
    assert cleaned == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_an_exception_in_a_cycle(policy: str) -> None:
    state, lives, cleaned = ends("raise in cycle", policy)
    assert (state, lives) == answered(policy, by=("on-failure", "always"))
    assert cleaned == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_hang_in_start_is_abnormal(policy: str) -> None:
    state, lives, cleaned = ends("hang in start", policy)
    assert (state, lives) == answered(policy, by=("on-failure", "on-abnormal", "always"))
    assert cleaned == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_a_hang_in_a_cycle_is_abnormal_when_a_stall_restarts(policy: str) -> None:
    state, lives, cleaned = ends("hang in cycle", policy, on_stall="restart")
    assert (state, lives) == answered(policy, by=("on-failure", "on-abnormal", "always"))
    assert cleaned == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_a_hang_in_a_cycle_is_an_alarm_and_nothing_more(policy: str) -> None:
    assert ends("hang in cycle", policy)[:2] == ("STALLED", 1)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_loop_that_returns_has_made_its_cycles_and_is_called_again(policy: str) -> None:
    cls = faulty("return")
    with run_task(cls, config(restart=policy)) as task:
        task.step(5.0)
        before = task.get("CYCLE_COUNT")
        assert isinstance(before, int)
        task.step(5.0)
        assert task.status == "RUN"
        assert int(str(task.get("CYCLE_COUNT"))) > before
        assert task.get("RESTARTS") == 0
        assert cls.lives == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_task_that_ends_itself_has_ended(policy: str) -> None:
    assert ends("retire", policy) == ("END", 1, 1)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("fault", ["raise in stop", "hang in stop"])
def test_a_stop_that_fails_or_hangs_still_ends_and_starts_again(fault: str, policy: str) -> None:
    cls = faulty(fault)
    with run_task(cls, config(restart=policy, stop_timeout=2.0)) as task:
        task.step(2.0)
        task.act("stop")
        task.step(5.0)
        assert task.status == "END"
        assert task.get("RESTARTS") == 0
        hangs = fault.startswith("hang")
        assert len(task.task.abandoned.where()) == hangs
        assert ("its thread still hangs at" in task.message) == hangs
        task.act("start")
        task.step(2.0)
        assert task.status == "RUN"
        task.step(LONG)
        assert task.task.abandoned.where() == ()
        assert cls.lives == 2


@pytest.mark.parametrize("fault", ["raise in start", "raise in cycle"])
def test_a_limit_is_told_once_and_holds_until_somebody_resets(fault: str) -> None:
    class Always(faulty(fault)):  # type: ignore[misc]
        def _meet(self, place: str) -> None:
            if self.get_pv("FAIL") and self.fault.endswith(place):
                raise ValueError(self.fault)

    given = config(restart_sec=0.1, restart_max_sec=0.1, restart_max=2, restart_window=60.0)
    with run_task(Always, given) as task:
        task.put("FAIL", True)
        task.act("restart")
        task.step(10.0)
        assert task.status == "ERROR"
        lives = Always.lives
        task.put("FAIL", False)
        task.step(100.0)
        assert task.status == "ERROR"
        assert Always.lives == lives
        told = [event for event in task.events if "restart_max allows 2" in event.text]
        assert [event.data["after"] for event in told if event.kind == "state"] == ["ERROR"]
        task.act("reset")
        task.step(1.0)
        assert task.status == "RUN"
        assert task.get("RESTARTS") == 0
        assert task.last_error == ""


def test_what_stalls_under_exit_names_itself_and_keeps_its_state() -> None:
    with run_task(faulty("hang in cycle"), config(on_stall="exit", stall_after=3.0)) as task:
        task.step(8.0)
        assert task.status == "STALLED"
        assert task.bench.exit_demanded.partition(": ")[2] == task.message
        task.step(LONG)
