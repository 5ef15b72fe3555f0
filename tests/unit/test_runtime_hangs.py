"""Tasks that hang: stalls, threads that are given up, starts that take too long."""

from __future__ import annotations

import pytest
from support.tasks import CONFIG, Counting, block, config

from iocmng import TaskBase
from iocmng.errors import Refused
from iocmng.testing import run_task
from iocmng.values import Severity


def test_no_progress_is_a_stall_and_progress_ends_it() -> None:
    class Stuck(TaskBase):
        def execute(self) -> None:
            block(self, 30.0)

    with run_task(Stuck, CONFIG) as task:
        task.step(9.0)
        assert task.status == "RUN"
        beats = [bool(task.get("HEARTBEAT"))]
        task.step(3.0)
        assert task.status == "STALLED"
        assert "no progress for" in task.message
        assert "tasks.py" in task.message
        assert task.severity("DECLARED") is Severity.INVALID
        beats = []
        for _ in range(5):
            task.step(1.0)
            beats.append(bool(task.get("HEARTBEAT")))
        assert len(set(beats)) == 1
        task.step(14.0)
        assert task.status == "RUN"
        assert task.severity("DECLARED") is Severity.NO_ALARM


def test_the_heart_beats_while_it_runs() -> None:
    with run_task(Counting, CONFIG) as task:
        task.step(0.5)
        seen = set()
        for _ in range(4):
            task.step(1.0)
            seen.add(bool(task.get("HEARTBEAT")))
        assert seen == {True, False}


def test_a_stall_restarts_and_names_the_abandoned_thread_when_the_policy_says_so() -> None:
    started = []

    class StuckOnce(TaskBase):
        def execute(self) -> None:
            started.append(self)
            if len(started) == 1:
                block(self, 100.0)
                self.set_pv("WRITTEN", 99)
            self.set_pv("WRITTEN", 2)

    with run_task(StuckOnce, config(on_stall="restart", stall_after=5.0, restart_sec=1.0)) as task:
        task.step(9.0)
        assert task.status == "RUN"
        assert task.get("WRITTEN") == 2.0
        (abandoned,) = task.task.abandoned.where()
        assert abandoned.endswith("in block")
        task.step(100.0)
        assert task.get("WRITTEN") == 2.0
        assert task.task.outputs.refused == 1


def test_a_stall_can_end_the_host() -> None:
    class Stuck(TaskBase):
        def execute(self) -> None:
            block(self, 60.0)

    with run_task(Stuck, config(on_stall="exit", stall_after=5.0)) as task:
        task.step(8.0)
        assert "no progress" in task.bench.exit_demanded


def test_a_thread_that_does_not_leave_is_given_up_and_the_third_one_refused() -> None:
    cleaned = []

    class Deaf(TaskBase):
        def execute(self) -> None:
            block(self, 10_000.0)

        def cleanup(self) -> None:
            cleaned.append(self)

    with run_task(Deaf, config(stop_timeout=2.0)) as task:
        for _ in range(2):
            task.act("stop")
            assert task.status == "RUN"
            task.step(2.0)
            assert task.status == "END"
            assert task.message.startswith("stopped; its thread still hangs at ")
            assert task.message.endswith(" in block")
            assert "gave up a thread" in task.last_error
            if len(task.task.abandoned.where()) < 2:
                task.act("start")
        with pytest.raises(Refused, match="restart the host"):
            task.act("start")
        assert task.status == "ERROR"
        assert cleaned == []
        task.step(10_000.0)


def test_start_timeout_is_a_failure() -> None:
    class Slow(TaskBase):
        def initialize(self) -> None:
            self.sleep(100.0)

        def execute(self) -> None:
            raise AssertionError

    with run_task(Slow, config(start_timeout=5.0)) as task:
        task.step(5.0)
        assert task.status == "BACKOFF"
        assert "initialize() has not returned after 5 s" in task.message


def test_pause_during_initialize_is_kept() -> None:
    class Slow(Counting):
        def initialize(self) -> None:
            super().initialize()
            self.sleep(3.0)

    with run_task(Slow, CONFIG) as task:
        task.put("ENABLE", 0)
        assert task.status == "INIT"
        task.step(5.0)
        assert task.status == "PAUSED"
        assert task.get("CYCLE_COUNT") == 0
        task.put("ENABLE", 1)
        assert task.status == "RUN"
