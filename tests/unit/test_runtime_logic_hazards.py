"""Hazards of links and logic: what is given up, hangs, is paused or restarted shows, writes and loses nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.tasks import block

from iocmng import TaskBase
from iocmng.base import DeclarativeTask
from iocmng.lifecycle import State, Trigger
from iocmng.logic import functions
from iocmng.runtime.task import TaskInstance
from iocmng.spec import Kind
from iocmng.testing import TaskUnderTest, run_task
from iocmng.testing.kit import TESTER, Bench
from iocmng.testing.subject import describe_subject
from iocmng.values import Severity

GOOD, INVALID = Severity.NO_ALARM, Severity.INVALID
SOURCE, TARGET = "ca://SRC:P", "ca://TGT:V"
POLLED = {"p": {"link": SOURCE}}
SAFE = {"valve": {"type": "bool", "link": TARGET, "fail_safe": False}}
BARE = {"valve": {"type": "bool"}}


def monitored(mode: str, **more: Any) -> dict[str, Any]:
    """An input that is subscribed to."""
    return {
        "link": SOURCE,
        "link_mode": "monitor",
        **({"trigger": True} if mode == "reactive" else {}),
        **more,
    }


def valve(
    mode: str = "reactive",
    *,
    condition: str = "p < 5",
    outputs: dict[str, Any] = SAFE,
    interval: float = 1.0,
    rule: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A valve that is open as long as a pressure is low."""
    inputs = more.pop("inputs", {"p": monitored(mode)})
    opened = {"id": "open", "condition": condition, "on_invalid": "hold", "outputs": {"valve": True}}
    return {
        "parameters": {"mode": mode, "interval": interval},
        "arguments": {"inputs": inputs, "outputs": outputs},
        "rule_defaults": {"valve": False},
        "rules": [{**opened, **(rule or {})}],
        **more,
    }


def heater(mode: str = "reactive", **rule: Any) -> dict[str, Any]:
    """The same with an actuator, above a pressure."""
    actuator = {"link": "ca://TGT:A", "link_mode": "monitor"}
    return valve(
        mode,
        inputs={"p": monitored(mode), "act": actuator},
        condition="p > 5",
        rule={"actuators": {"act": 1.0}, **rule},
    )


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[..., Any]], None]:
    """Register a function for one test."""

    def register(name: str, function: Callable[..., Any]) -> None:
        monkeypatch.setitem(functions._registry, name, function)

    return register


class Hang:
    """A function that hangs on the clock of a test at one value, once or always."""

    def __init__(self, seconds: float, *, once: bool = False) -> None:
        self.bench: Bench | None = None
        self._seconds = seconds
        self._left = 1 if once else 1000

    def __call__(self, value: float) -> float:
        if self.bench is not None and value == 1.0 and self._left:
            self._left -= 1
            self.bench.clock.wakeup().wait(self._seconds)
        return 0.0


def watched(task: TaskUnderTest, name: str) -> list[Any]:
    """What a subscriber of an output sees from now on."""
    seen: list[Any] = []
    task.bench.records.watch(
        task.bench.record(name).name, lambda reading: seen.append((reading.value, reading.severity))
    )
    return seen


class TestTargets:
    def test_a_target_that_comes_back_gets_what_it_took_before_the_outage(self) -> None:
        with run_task(
            None, valve(outputs={"valve": {"type": "bool", "link": TARGET}}), inputs={"p": 1.0}
        ) as task:
            task.disconnect("valve")
            task.put("p", 9.0)
            task.put("p", 1.0)
            task.bench.links.serve(TARGET, False)
            task.step()
            assert task.sent("valve") == (True, True)

    def test_what_was_decided_before_a_pause_does_not_come_back_on_a_dead_source(self) -> None:
        with run_task(None, valve(), inputs={"p": 1.0}) as task:
            task.act("pause")
            task.disconnect("p")
            task.act("resume")
            task.step(1.0)
            assert task.sent("valve") == (True, False)
            assert task.severity("valve") is INVALID
            task.reconnect("p")
            assert task.sent("valve") == (True, False, True)


class TestGivenUp:
    def test_a_late_failure_does_not_touch_the_next_run(self) -> None:
        started = []

        class Late(TaskBase):
            def execute(self) -> None:
                started.append(self)
                if len(started) == 1:
                    block(self, 60.0)
                    raise OSError("late")
                self.set_pv("out", 1.0)

        config = {
            "parameters": {"interval": 1.0},
            "arguments": {"outputs": {"out": {}}},
            "supervision": {"on_stall": "restart", "stall_after": 5.0},
        }
        with run_task(Late, config) as task:
            task.step(20.0)
            assert (task.status, task.severity("out")) == ("RUN", GOOD)
            task.step(60.0)
            assert (task.status, task.severity("out")) == ("RUN", GOOD)

    def test_a_late_start_does_not_take_the_links_of_the_next_run(self) -> None:
        made = []

        class Slow(TaskBase):
            bench: Bench

            def __init__(self) -> None:
                super().__init__()
                made.append(self)
                if len(made) == 1:
                    self.bench.clock.wakeup().wait(60.0)

            def execute(self) -> None:
                pass

        config = valve("continuous", supervision={"start_timeout": 5.0, "stop_timeout": 2.0})
        with run_task(Slow, config, inputs={"p": 1.0}, start=False) as task:
            Slow.bench = task.bench
            task.act("start")
            task.step(20.0)
            assert (task.get("valve"), task.severity("valve")) == (True, GOOD)
            task.step(60.0)
            assert task.severity("p") is GOOD
            assert list(task.get("CONN_INP")) == [1]
            task.put("p", 9.0)
            task.step(2.0)
            assert task.sent("valve")[-1] is False

    def test_its_links_end(self) -> None:
        started = []

        class Stuck(TaskBase):
            def execute(self) -> None:
                started.append(self)
                if len(started) == 3:
                    block(self, 10_000.0)

        config = valve("continuous", supervision={"on_stall": "restart", "stall_after": 5.0})
        with run_task(Stuck, config, inputs={"p": 1.0}) as task:
            task.step(20.0)
            assert task.status == "RUN"
            assert [task.bench.links.listeners(pv) for pv in (SOURCE, TARGET)] == [1, 1]


class TestHanging:
    @pytest.mark.parametrize("code", [False, True])
    def test_one_that_hangs_does_not_stop_the_others(self, registered: Any, code: bool) -> None:
        class Code(TaskBase):
            def execute(self) -> None:
                pass

        hang = Hang(1000.0)
        registered("hang_at_one", hang)
        # Without code it counts as stalled after an hour only.
        hanging = valve(
            "continuous",
            inputs={"p": {"link": "ca://SRC:X", "link_mode": "monitor"}},
            condition="p + hang_at_one(p) < 5",
            outputs=BARE,
            interval=1.0 if code else 900.0,
        )
        cls = Code if code else DeclarativeTask
        one = describe_subject(cls, Kind.TASK, hanging, None, "one")
        other = describe_subject(DeclarativeTask, Kind.TASK, valve(), None, "other")
        bench = Bench(one, other)
        tasks = [
            TaskInstance(one, bench.environment, load=lambda: cls),
            TaskInstance(other, bench.environment, load=lambda: DeclarativeTask),
        ]
        for pv, value in (("ca://SRC:X", 0.0), (SOURCE, 1.0), (TARGET, False)):
            bench.links.serve(pv, value)
        for task in tasks:
            bench.supervisor.add(task)
            bench.supervisor.act(task.name, Trigger.START, TESTER)
        bench.step(2.0)
        hang.bench = bench
        bench.links.serve("ca://SRC:X", 1.0)
        if tasks[0].unit is not None:
            tasks[0].unit.ask()
        bench.step(2.0)
        bench.links.serve(SOURCE, 9.0)
        bench.step(60.0)
        assert tasks[1].state is State.RUN
        assert bench.links.puts[-1] == (TARGET, False)
        if code:
            assert tasks[0].state is State.STALLED
        bench.links.serve(SOURCE, 1.0)
        bench.step()
        assert bench.links.puts[-1] == (TARGET, True)
        hang.bench = None
        bench.step(2000.0)

    def test_it_stays_stalled_whatever_changes(self, registered: Any) -> None:
        hang = Hang(1000.0)
        registered("hang_at_one", hang)
        with run_task(None, valve(condition="p + hang_at_one(p) < 5"), inputs={"p": 0.0}) as task:
            hang.bench = task.bench
            task.put("p", 1.0)
            seen = set()
            for number in range(30):
                task.step(1.0)
                seen.add(task.status if number > 12 else "STALLED")
                task.bench.links.serve(SOURCE, 2.0 + number)
            assert seen == {"STALLED"}
            hang.bench = None
            task.step(1000.0)
            assert (task.status, task.get("valve")) == ("RUN", False)

    def test_what_was_fail_safe_meanwhile_is_decided_again(self, registered: Any) -> None:
        hang = Hang(20.0, once=True)
        registered("hang_at_one", hang)
        with run_task(None, valve(condition="p + hang_at_one(p) < 5"), inputs={"p": 0.0}) as task:
            hang.bench = task.bench
            task.put("p", 1.0)
            task.step(15.0)
            assert (task.status, task.sent("valve")[-1]) == ("STALLED", False)
            task.step(10.0)
            assert (task.status, task.get("valve"), task.severity("valve")) == ("RUN", True, GOOD)
            assert task.sent("valve")[-1] is True

    def test_a_function_that_exits_does_not_end_the_evaluation_of_others(self, registered: Any) -> None:
        registered("leave", lambda value: sys.exit(int(value)))
        with run_task(None, valve(condition="leave(p) > 1"), inputs={"p": 3.0}) as task:
            assert task.status == "BACKOFF"
            assert "SystemExit(3)" in task.message


class TestPaused:
    def test_a_reset_decides_nothing(self) -> None:
        with run_task(None, heater(), inputs={"p": 1.0, "act": 0.0}) as task:
            task.act("pause")
            task.put("p", 9.0)
            task.act("reset")
            task.step(1.0)
            assert (task.status, task.sent("act"), task.get("valve")) == ("PAUSED", (), False)

    def test_a_reset_releases_nothing(self) -> None:
        latching = {"valve": {"type": "bool", "latch": True}}
        with run_task(None, valve(condition="p > 5", outputs=latching), inputs={"p": 9.0}) as task:
            task.act("pause")
            task.put("p", 1.0)
            task.act("reset")
            assert task.task.latched == {"valve": True}
            task.act("resume")
            assert task.get("valve") is True
            task.act("reset")
            assert task.get("valve") is False

    def test_a_polled_source_that_dies_is_seen(self) -> None:
        with run_task(None, valve("continuous", inputs=POLLED), inputs={"p": 1.0}) as task:
            task.step(3.0)
            task.act("pause")
            task.step(1.0)
            task.disconnect("p")
            task.step(5.0)
            assert task.severity("p") is INVALID
            task.reconnect("p")
            task.step(5.0)
            assert task.severity("p") is GOOD
            assert task.status == "PAUSED"

    def test_no_earlier_decision_is_shown_as_good_at_the_end(self) -> None:
        inputs = {**POLLED, "q": {"link": "ca://SRC:Q"}}
        with run_task(
            None, valve("continuous", inputs=inputs, outputs=BARE), inputs={"p": 1.0, "q": 1.0}
        ) as task:
            task.step(3.5)
            task.bench.links.hang("ca://SRC:Q")
            # A cycle has begun, and waits for q.
            task.step(0.55)
            task.act("pause")
            task.step(0.2)
            task.bench.links.serve(SOURCE, 9.0)
            task.step(600.0)
            seen = watched(task, "valve")
            task.act("resume")
            task.step(0.5)
            assert (True, GOOD) not in seen
            assert seen[-1] == (False, GOOD)


class TestRuns:
    def test_nothing_is_commanded_while_failed_code_cleans_up(self) -> None:
        class Failing(TaskBase):
            def execute(self) -> None:
                if self.get_pv("p") > 5:
                    raise OSError("high")

            def cleanup(self) -> None:
                block(self, 5.0)

        with run_task(Failing, heater("continuous", **{"for": 2.0}), inputs={"p": 1.0, "act": 0.0}) as task:
            task.step(2.0)
            task.put("p", 9.0)
            task.step(1.0)
            assert task.status == "BACKOFF"
            task.step(3.0)
            assert (task.get("valve"), task.sent("act")) == (False, ())

    def test_code_cannot_overwrite_what_rules_decide(self) -> None:
        class Bold(TaskBase):
            def execute(self) -> None:
                self.set_pv("valve", True)

        with run_task(Bold, valve("continuous"), inputs={"p": 9.0}) as task:
            task.step(0.5)
            assert True not in task.sent("valve")
            assert "decided by rules" in task.last_error

    def test_restarts_leave_nothing_behind(self) -> None:
        inputs = {"p": monitored("reactive", max_age=5.0)}
        with run_task(None, valve(inputs=inputs), inputs={"p": 1.0}) as task:
            for _ in range(100):
                task.act("restart")
                task.step(0.01)
            assert task.status == "RUN"
            assert [task.bench.links.listeners(pv) for pv in (SOURCE, TARGET)] == [1, 1]
            assert len(task.bench.environment.evaluation._timers) < 100

    def test_changes_beside_a_long_clock_leave_no_timers_behind(self) -> None:
        with run_task(None, valve(rule={"for": 36_000.0}), inputs={"p": 1.0}) as task:
            for number in range(300):
                task.put("p", 1.0 + number / 1000)
                task.step(0.2)
            assert len(task.bench.environment.evaluation._timers) < 100


def test_a_stamp_of_the_future_grows_old_as_well() -> None:
    inputs = {"p": monitored("reactive", max_age=5.0, age_by="source")}
    with run_task(None, valve(inputs=inputs), inputs={"p": 1.0}) as task:
        source = task.bench.links._pv(SOURCE)
        source.publish(replace(source.reading, timestamp=task.bench.clock.time() + 3600.0))
        task.step(1.0)
        assert task.severity("p") is GOOD
        task.step(5.0)
        assert task.severity("p") is INVALID
