"""Tasks with code beside their links and rules, over fake records and links and a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from iocmng import TaskBase
from iocmng.errors import LinkError
from iocmng.runtime.evaluation.changes import Change, Changes
from iocmng.testing import run_task
from iocmng.values import Severity

INPUTS = {
    "a": {"link": "ca://SRC:A", "trigger": True, "buffer_size": 3},
    "b": {"type": "string", "link": "pva://SRC:B", "trigger": True},
    "quiet": {"link": "ca://SRC:QUIET", "link_mode": "monitor"},
    "limit": {"value": 1.0},
}


def config(mode: str, **keys: Any) -> dict[str, Any]:
    return {
        "parameters": {"mode": mode, "interval": 1.0},
        "arguments": {"inputs": INPUTS, "outputs": {"double": {}, "over": {"type": "bool"}}},
        "rule_defaults": {"over": False},
        "rules": [{"id": "over", "condition": "double > 10", "outputs": {"over": True}}],
        **keys,
    }


class Listener(TaskBase):
    """Doubles `a`, and remembers what it was told."""

    def initialize(self) -> None:
        self.heard: list[tuple[str, Any, Any]] = []
        Listener.last = self

    def on_input_changed(self, key: str, value: Any, old_value: Any) -> None:
        self.heard.append((key, value, old_value))
        if key == "a":
            self.set_pv("double", 2 * value)
        if value == "boom":
            raise RuntimeError("boom")


Listener.last = None


class TestReactive:
    def test_changes_come_in_order_with_what_was_before(self) -> None:
        with run_task(Listener, config("reactive"), inputs={"a": 1.0, "b": "one"}) as task:
            code = Listener.last
            assert sorted(code.heard) == [("a", 1.0, None), ("b", "one", None), ("limit", 1.0, None)]
            code.heard.clear()
            task.put("a", 2.0)
            task.put("b", "two")
            task.put("a", 2.0)
            task.put("quiet", 7.0)
            task.put("limit", 3.0)
            assert code.heard == [("a", 2.0, 1.0), ("b", "two", "one"), ("limit", 3.0, 1.0)]
            assert code.link_values == {"a": 2.0, "b": "two", "quiet": 7.0}
            assert code.buffers == {"a": [1.0, 2.0, 2.0]}
            assert code.connected == {"a": True, "b": True, "quiet": True}
            assert (code.get_input("quiet"), code.readings["a"].value) == (7.0, 2.0)

    def test_rules_follow_what_the_code_writes(self) -> None:
        with run_task(Listener, config("reactive"), inputs={"a": 1.0}) as task:
            assert (task.get("over"), task.severity("over")) == (False, Severity.NO_ALARM)
            task.put("a", 6.0)
            assert (task.get("double"), task.get("over")) == (12.0, True)

    def test_a_failing_handler_is_a_failing_cycle(self) -> None:
        with run_task(
            Listener, config("reactive", supervision={"cycle_errors": 3}), inputs={"a": 1.0}
        ) as task:
            task.put("b", "boom")
            assert (task.status, task.get("CYCLE_ERRORS"), task.get("TASK_STATUS")) == ("RUN", 1, 3)
            task.put("a", 2.0)
            assert (task.get("double"), task.get("TASK_STATUS")) == (4.0, 0)

    def test_nothing_is_told_while_paused(self) -> None:
        with run_task(Listener, config("reactive"), inputs={"a": 1.0}) as task:
            code = Listener.last
            task.act("pause")
            code.heard.clear()
            task.put("a", 5.0)
            assert code.heard == []
            task.act("resume")
            assert code.heard == [("a", 5.0, 1.0)]
            assert task.get("double") == 10.0


class Cycle(TaskBase):
    """Copies what a polled link says in each cycle."""

    def initialize(self) -> None:
        self.seen: list[Any] = []
        Cycle.last = self

    def execute(self) -> None:
        self.seen.append((self.get_input("a"), self.readings["a"].severity))
        self.set_pv("double", 2 * self.get_input("a"))


Cycle.last = None


class TestContinuous:
    def polled(self) -> dict[str, Any]:
        made = config("continuous")
        made["arguments"] = {
            **made["arguments"],
            "inputs": {"a": {"link": "ca://SRC:A"}, "dead": {"link": "ca://SRC:DEAD"}},
        }
        return made

    def test_a_cycle_has_this_cycles_values(self) -> None:
        with run_task(Cycle, self.polled(), inputs={"a": 1.0}) as task:
            for value in (2.0, 3.0):
                task.put("a", value)
                task.step(1.0)
            assert [value for value, _ in Cycle.last.seen][-3:] == [1.0, 2.0, 3.0]
            task.put("a", 6.0)
            task.step(1.0)
            assert task.get("over") is True
            task.disconnect("a")
            task.step(1.0)
            assert Cycle.last.seen[-1] == (6.0, Severity.INVALID)

    def test_a_link_can_be_written(self) -> None:
        with run_task(Cycle, self.polled(), inputs={"a": 1.0}) as task:
            Cycle.last.link_put("a", 4.5)
            assert task.sent("a") == (4.5,)
            with pytest.raises(KeyError, match="not linked"):
                Cycle.last.link_put("double", 1.0)
            with pytest.raises(LinkError):
                Cycle.last.link_put("dead", 1.0, timeout=0.01)


class TestChanges:
    def test_a_backlog_keeps_the_latest_of_each_input(self) -> None:
        changes = Changes(lambda: None, depth=4)
        for number in range(1, 6):
            changes.put("a", number, number - 1)
        changes.put("b", 1, 0)
        assert (changes.take(), changes.take(), changes.take()) == (
            Change("a", 5, 0),
            Change("b", 1, 0),
            None,
        )
        assert changes.dropped == {"a": 4}
