"""Tasks without code: their links and rules, over fake records and links and a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from iocmng.testing import TaskUnderTest, run_task
from iocmng.values import Severity
from iocmng.wire import EventKind

GOOD, MINOR, MAJOR, INVALID = Severity.NO_ALARM, Severity.MINOR, Severity.MAJOR, Severity.INVALID


def interlock(mode: str = "reactive", **keys: Any) -> dict[str, Any]:
    """An interlock on one linked input and one set-point."""
    link_mode = {} if mode == "reactive" else {"link_mode": "monitor"}
    return {
        "parameters": {"mode": mode, "interval": 1.0},
        "arguments": {
            "inputs": {
                "p": {"link": "ca://SRC:P", "trigger": True, **link_mode},
                "limit": {"value": 5.0},
            },
            "outputs": {"trip": {"type": "bool"}, "margin": {}, "valve": {"type": "bool", "link": "ca://TGT:V"}},
        },
        "transforms": [{"output": "margin", "expression": "limit - p"}],
        "rule_defaults": {"trip": False, "valve": True},
        "rules": [
            {"id": "high", "condition": "p > limit", "message": "pressure", "on_invalid": "hold",
             "outputs": {"trip": True, "valve": False}, "severity": "MAJOR"},
        ],
        **keys,
    }  # fmt: skip


def changes(task: TaskUnderTest, name: str) -> list[Any]:
    """Values that a subscriber of an output sees from now on."""
    seen: list[Any] = []
    task.bench.records.watch(
        task.bench.record(name).name, lambda reading: seen.append((reading.value, reading.severity))
    )
    return seen


class TestReactive:
    def test_an_unknown_input_decides_nothing(self) -> None:
        with run_task(None, interlock()) as task:
            assert task.status == "RUN"
            assert task.severity("trip") is INVALID
            assert task.severity("margin") is INVALID
            assert task.sent("valve") == ()
            assert task.get("DEGRADED")
            assert list(task.get("CONN_INP")) == [0]

    def test_an_input_decides_at_once(self) -> None:
        with run_task(None, interlock(), inputs={"p": 3.0}) as task:
            assert (task.get("trip"), task.severity("trip")) == (False, GOOD)
            assert (task.get("margin"), task.get("p"), task.severity("p")) == (2.0, 3.0, GOOD)
            task.put("p", 6.0)
            assert (task.get("trip"), task.severity("trip")) == (True, MAJOR)
            assert task.sent("valve") == (True, False)
            assert task.message == "pressure"
            assert not task.get("DEGRADED")
            assert list(task.get("CONN_INP")) == [1]
            assert [e.data["what"] for e in task.events if e.kind is EventKind.LOGIC] == ["active"]

    def test_a_set_point_decides_at_once(self) -> None:
        with run_task(None, interlock(), inputs={"p": 3.0}) as task:
            task.put("limit", 2.0)
            assert task.get("trip") is True

    def test_one_change_is_one_event(self) -> None:
        with run_task(None, interlock(), inputs={"p": 6.0}) as task:
            seen = changes(task, "trip")
            for value in (6.1, 6.2, 6.3):
                task.put("p", value)
                task.step(1.0)
            task.put("p", 1.0)
            assert seen == [(True, MAJOR), (False, GOOD)]
            assert task.sent("valve") == (False, True)

    def test_a_lost_input_holds_the_decision_and_marks_it(self) -> None:
        with run_task(None, interlock(), inputs={"p": 6.0}) as task:
            task.step(10.0)
            task.disconnect("p")
            assert (task.get("trip"), task.severity("trip"), task.severity("p")) == (True, INVALID, INVALID)
            assert task.get("DEGRADED")
            assert list(task.get("CONN_INP")) == [0]
            task.reconnect("p")
            assert (task.get("trip"), task.severity("trip")) == (True, MAJOR)
            assert not task.get("DEGRADED")
            assert task.sent("valve") == (False,)

    def test_a_trip_says_what_is_unknown(self) -> None:
        config = interlock()
        config["rules"][0].update(on_invalid="trip", settle=0)
        with run_task(None, config, inputs={"p": 3.0}) as task:
            task.disconnect("p")
            assert (task.get("trip"), task.severity("trip")) == (True, MAJOR)
            assert task.reading("trip").message.startswith("p (")

    def test_cycles_are_counted_and_shown(self) -> None:
        with run_task(None, interlock(), inputs={"p": 3.0}) as task:
            before = task.task.evaluations
            for number in range(20):
                task.put("p", float(number))
            task.step(1.0)
            assert task.task.evaluations == before + 20
            assert task.get("CYCLE_COUNT") == task.task.counters.cycles == task.task.evaluations

    def test_a_storm_is_limited(self) -> None:
        with run_task(None, interlock(), inputs={"p": 3.0}) as task:
            for number in range(1200):
                task.put("p", float(number))
            assert task.task.evaluations <= 1000
            task.step(1.1)
            assert task.get("margin") == 5.0 - 1199.0
            assert task.task.counters.overruns > 0


class TestContinuous:
    def test_it_decides_at_its_interval(self) -> None:
        with run_task(None, interlock("continuous"), inputs={"p": 3.0}) as task:
            task.put("p", 6.0)
            assert task.get("p") == 6.0
            assert task.get("trip") is False
            task.step(1.0)
            assert task.get("trip") is True
            before = task.get("CYCLE_COUNT")
            task.step(5.0)
            assert task.get("CYCLE_COUNT") == before + 5

    def test_unchanged_outputs_get_a_fresh_time(self) -> None:
        with run_task(None, interlock("continuous"), inputs={"p": 3.0}) as task:
            before = task.reading("trip").timestamp
            task.step(3.0)
            assert task.reading("trip").timestamp == before + 3.0

    def test_dead_polled_links_do_not_stretch_a_cycle(self) -> None:
        config = interlock("continuous")
        for number in range(8):
            config["arguments"]["inputs"][f"dead{number}"] = {
                "link": f"ca://DEAD:{number}",
                "link_mode": "poll",
            }
        config["arguments"]["inputs"]["live"] = {"link": "ca://LIVE", "link_mode": "poll"}
        with run_task(None, config, inputs={"p": 3.0, "live": 1.0}) as task:
            before = task.get("CYCLE_COUNT")
            task.step(10.0)
            assert task.get("CYCLE_COUNT") == before + 10
            assert task.get("live") == 1.0
            assert task.severity("dead3") is INVALID

    def test_a_pause_shows_that_it_does_not_decide(self) -> None:
        with run_task(None, interlock("continuous"), inputs={"p": 3.0}) as task:
            task.act("pause")
            assert task.severity("trip") is INVALID
            task.put("p", 6.0)
            task.step(2.0)
            assert (task.get("p"), task.severity("p"), task.get("trip")) == (6.0, GOOD, False)
            task.act("resume")
            assert (task.get("trip"), task.severity("trip")) == (True, MAJOR)


class TestTriggered:
    def test_each_run_is_one_evaluation(self) -> None:
        config = interlock("triggered")
        config["arguments"]["inputs"]["q"] = {"link": "ca://SRC:Q", "link_mode": "poll"}
        config["transforms"].append({"output": "twice", "expression": "2 * q"})
        config["arguments"]["outputs"]["twice"] = {}
        with run_task(None, config, inputs={"p": 3.0, "q": 4.0}) as task:
            task.step(5.0)
            assert task.severity("twice") is INVALID
            task.put("RUN", 1)
            task.step(0.1)
            assert (task.get("twice"), task.severity("twice"), task.get("RUN")) == (8.0, GOOD, False)


class TestFailSafe:
    def config(self, **port: Any) -> dict[str, Any]:
        config = interlock()
        config["arguments"]["outputs"]["valve"].update(fail_safe=False, **port)
        return config

    def test_it_reaches_the_target_at_a_stop(self) -> None:
        with run_task(None, self.config(), inputs={"p": 3.0}) as task:
            assert task.sent("valve")[-1] is True
            task.act("stop")
            task.step(1.0)
            assert task.sent("valve")[-1] is False
            assert (task.get("valve"), task.severity("valve")) == (False, INVALID)
            assert task.severity("p") is INVALID

    def test_it_reaches_a_target_that_was_away_at_the_stop(self) -> None:
        with run_task(None, self.config(), inputs={"p": 3.0}) as task:
            task.disconnect("valve")
            task.act("stop")
            task.step(10.0)
            assert (task.status, task.sent("valve")) == ("END", (True,))
            task.reconnect("valve")
            task.step(1.0)
            assert task.sent("valve") == (True, False)
            assert task.bench.links.listeners("ca://TGT:V") == 0

    def test_a_new_run_decides_what_a_late_target_gets(self) -> None:
        with run_task(None, self.config(), inputs={"p": 3.0}) as task:
            task.disconnect("valve")
            task.act("stop")
            task.step(10.0)
            task.act("start")
            task.reconnect("valve")
            task.step(1.0)
            assert task.sent("valve") == (True, True)
            assert task.bench.links.listeners("ca://TGT:V") == 1

    def test_it_reaches_the_target_while_undecided(self) -> None:
        with run_task(None, self.config()) as task:
            assert task.sent("valve") == (False,)
            task.put("p", 3.0)
            assert task.sent("valve") == (False, True)

    def test_a_pause_is_over_without_a_trace(self) -> None:
        config = self.config()
        config["rules"][0]["outputs"].pop("valve")
        config["rules"].append(
            {"id": "warn", "condition": "p > 4", "outputs": {"valve": True}, "severity": "MINOR"}
        )
        with run_task(None, config, inputs={"p": 3.0}) as task:
            task.put("p", 4.5)
            assert (task.get("valve"), task.severity("valve")) == (True, MINOR)
            task.act("pause")
            assert (task.get("valve"), task.sent("valve")[-1]) == (False, False)
            task.act("resume")
            assert (task.get("valve"), task.severity("valve"), task.sent("valve")[-1]) == (True, MINOR, True)

    def test_a_pause_may_hold(self) -> None:
        with run_task(None, self.config(on_pause="hold"), inputs={"p": 3.0}) as task:
            task.act("pause")
            assert task.sent("valve")[-1] is True
            assert task.severity("valve") is INVALID


class TestActuators:
    def config(self, **rule: Any) -> dict[str, Any]:
        config = interlock()
        config["arguments"]["inputs"]["shutter"] = {"type": "bool", "link": "ca://TGT:SHUTTER"}
        config["rules"][0].update(actuators={"shutter": 0}, **rule)
        return config

    def test_they_are_written_once(self) -> None:
        with run_task(None, self.config(), inputs={"p": 3.0, "shutter": 1}) as task:
            for value in (6.0, 7.0, 8.0):
                task.put("p", value)
                task.step(5.0)
            assert task.sent("shutter") == (0,)
            task.put("p", 3.0)
            task.put("p", 6.0)
            assert task.sent("shutter") == (0, 0)

    def test_a_target_that_comes_back_gets_the_command_again(self) -> None:
        with run_task(None, self.config(), inputs={"p": 6.0, "shutter": 1}) as task:
            task.disconnect("shutter")
            task.reconnect("shutter")
            task.step(1.0)
            assert task.sent("shutter") == (0, 0)

    def test_an_old_command_is_not_repeated(self) -> None:
        with run_task(None, self.config(), inputs={"p": 6.0, "shutter": 1}) as task:
            task.put("p", 3.0)
            task.disconnect("shutter")
            task.reconnect("shutter")
            task.step(60.0)
            assert task.sent("shutter") == (0,)

    def test_a_pause_gives_no_command_that_nobody_stands_for(self) -> None:
        with run_task(None, self.config(), inputs={"p": 6.0, "shutter": 1}) as task:
            task.act("pause")
            task.put("p", 3.0)
            task.disconnect("shutter")
            task.reconnect("shutter")
            task.step(5.0)
            task.act("resume")
            task.step(5.0)
            assert task.sent("shutter") == (0,)

    def test_a_pause_is_followed_by_the_command_that_stands(self) -> None:
        with run_task(None, self.config(), inputs={"p": 6.0, "shutter": 1}) as task:
            task.act("pause")
            task.disconnect("shutter")
            task.reconnect("shutter")
            assert task.sent("shutter") == (0,)
            task.act("resume")
            task.step(1.0)
            assert task.sent("shutter") == (0, 0)

    def test_repeat(self) -> None:
        with run_task(None, self.config(repeat=2.0), inputs={"p": 6.0, "shutter": 1}) as task:
            task.step(6.5)
            assert task.sent("shutter") == (0, 0, 0, 0)


class TestLatches:
    def config(self) -> dict[str, Any]:
        config = interlock()
        config["arguments"]["outputs"]["trip"]["latch"] = True
        return config

    def test_clear_releases_what_has_no_cause_any_more(self) -> None:
        with run_task(None, self.config(), inputs={"p": 6.0}) as task:
            task.put("CLEAR", 1)
            assert (task.get("trip"), task.get("CLEAR")) == (True, False)
            assert task.message == "trip kept: high holds"
            task.put("p", 3.0)
            assert task.get("trip") is True
            assert task.task.latched == {"trip": True}
            task.put("CLEAR", 1)
            assert task.get("trip") is False
            assert task.task.latched == {}

    def test_an_unknown_cause_is_no_cause_that_is_gone(self) -> None:
        with run_task(None, self.config(), inputs={"p": 6.0}) as task:
            task.disconnect("p")
            task.put("RESET", 1)
            assert task.get("trip") is True

    @pytest.mark.parametrize("lost", [False, True])
    def test_a_restart_keeps_them(self, lost: bool) -> None:
        with run_task(None, self.config(), inputs={"p": 3.0 if lost else 6.0}) as task:
            task.put("p", 3.0)
            if lost:
                task.bench.latches.lost.add(task.instance.name)
            task.act("restart")
            task.step(1.0)
            assert task.status == "RUN"
            assert task.get("trip") is True
            task.put("CLEAR", 1)
            assert task.get("trip") is False


class TestRunTimeTrouble:
    def test_what_cannot_be_computed_is_unknown_and_counted(self) -> None:
        config = interlock()
        config["transforms"] = [{"output": "margin", "expression": "log(p) / limit"}]
        with run_task(None, config, inputs={"p": 3.0}) as task:
            assert task.severity("margin") is GOOD
            task.put("p", -1.0)
            assert (task.status, task.severity("margin")) == ("RUN", INVALID)
            task.put("p", 3.0)
            task.put("limit", 0.0)
            assert (task.status, task.severity("margin")) == ("RUN", INVALID)
            assert sum(task.task.unknowns.values()) == 2
            task.put("limit", 2.0)
            assert task.severity("margin") is GOOD

    def test_a_restart_listens_anew(self) -> None:
        with run_task(None, interlock(), inputs={"p": 3.0}) as task:
            for _ in range(3):
                task.act("restart")
                task.step(1.0)
            assert task.bench.links.listeners("ca://SRC:P") == 1
            task.put("p", 6.0)
            assert task.get("trip") is True

    def test_views_tell_links_and_rules(self) -> None:
        with run_task(None, interlock(), inputs={"p": 6.0}) as task:
            link = task.task.link_view("p")
            assert link is not None
            assert (link.address, link.mode, link.connected) == ("ca://SRC:P", "monitor", True)
            (rule,) = task.task.rule_views()
            assert (rule.id, rule.state, rule.value) == ("high", "active", True)
            assert task.task.link_view("limit") is None
