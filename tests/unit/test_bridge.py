"""Bridge tasks: the handshake, whatever run_task does and whatever happens to the other IOC."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from iocmng.base import DeclarativeTask
from iocmng.bridge import BasePVInterface, BridgeIO, BridgeTask, TaskStatus
from iocmng.bridge.database import database
from iocmng.bridge.interface import make_interface
from iocmng.errors import BadInput
from iocmng.plugins.classcheck import check_handshake
from iocmng.testing import TaskUnderTest, run_task
from iocmng.testing.links import FakeLinks

NAMES = ("Trigger", "Busy", "Heartbeat", "TaskStatus", "TaskDuration")
CONFIG: dict[str, Any] = {"handshake": {"prefixes": {"main": "IOC:"}}}


def pv(name: str) -> str:
    return f"pva://IOC:{name}"


class Steps(BridgeTask):
    """Does what its class attribute says."""

    outcome: Any = TaskStatus.SUCCESS
    takes = 0.0
    runs = 0

    def run_task(self) -> Any:
        type(self).runs += 1
        if self.takes:
            self.sleep(self.takes)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def task(outcome: Any = TaskStatus.SUCCESS, takes: float = 0.0, **keys: Any) -> type[Steps]:
    return type("Steps", (Steps,), {"outcome": outcome, "takes": takes, "runs": 0, **keys})


def serve(links: FakeLinks, **values: Any) -> None:
    for name in NAMES:
        links.serve(pv(name), values.get(name, 0.0 if name == "TaskDuration" else 0))


def started(cls: type[BridgeTask], config: dict[str, Any] = CONFIG, **values: Any) -> TaskUnderTest:
    under_test = run_task(cls, config, start=False)
    serve(under_test.bench.links, **values)
    under_test.act("start")
    under_test.bench.links.puts.clear()
    return under_test


def trigger(under_test: TaskUnderTest) -> None:
    under_test.bench.links.serve(pv("Trigger"), 1)
    under_test.step()


def written(under_test: TaskUnderTest) -> list[tuple[str, Any]]:
    """What the other IOC was given, without heartbeats."""
    return [
        (name.rpartition(":")[2], value)
        for name, value in under_test.bench.links.puts
        if not name.endswith("Heartbeat")
    ]


def beats(under_test: TaskUnderTest) -> list[Any]:
    return [value for name, value in under_test.bench.links.puts if name == pv("Heartbeat")]


def shown(under_test: TaskUnderTest, name: str) -> Any:
    return under_test.bench.links.get(pv(name)).value


def test_a_trigger_leads_through_the_whole_handshake_in_order() -> None:
    with started(task(takes=2.0)) as under_test:
        trigger(under_test)
        assert written(under_test) == [("Busy", 1)]
        under_test.step(2.0)
        assert written(under_test) == [
            ("Busy", 1),
            ("TaskStatus", 0),
            ("TaskDuration", pytest.approx(2.0)),
            ("Busy", 0),
            ("Trigger", 0),
        ]
        assert under_test.get("TASK_STATUS") == 0


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (TaskStatus.LOGIC_FAILURE, 1),
        (TaskStatus.IO_FAILURE, 2),
        (ValueError("no such axis"), 3),
        (SystemExit(0), 3),
        (None, 3),
        (0, 3),
        (True, 3),
        ("done", 3),
    ],
)
def test_whatever_a_task_does_is_told_and_it_goes_on(outcome: Any, status: int) -> None:
    with started(task(outcome)) as under_test:
        for turn in (1, 2):
            trigger(under_test)
            assert shown(under_test, "TaskStatus") == status
            assert (shown(under_test, "Busy"), shown(under_test, "Trigger")) == (0, 0)
            assert under_test.status == "RUN"
            assert under_test.task.counters.cycles == turn
        assert under_test.get("TASK_STATUS") == status
        assert under_test.message
        assert (str(outcome) if isinstance(outcome, ValueError) else "") in under_test.message


def test_a_skipped_cycle_leaves_the_last_duration() -> None:
    with started(task(TaskStatus.SKIPPED), TaskDuration=7.5) as under_test:
        trigger(under_test)
        assert written(under_test) == [("Busy", 1), ("TaskStatus", 4), ("Busy", 0), ("Trigger", 0)]
        assert shown(under_test, "TaskDuration") == 7.5


def test_names_of_the_same_state_are_the_same() -> None:
    assert TaskStatus.DONE is TaskStatus.SUCCESS
    assert TaskStatus.ERROR is TaskStatus.IO_FAILURE


def test_what_a_dead_predecessor_left_is_cleared_at_the_start_and_not_run() -> None:
    cls = task()
    with started(cls, Trigger=1, Busy=1) as under_test:
        assert (shown(under_test, "Busy"), shown(under_test, "Trigger")) == (0, 0)
        under_test.step(3.0)
        assert cls.runs == 0


def test_an_ioc_that_comes_later_is_cleared_then_and_answered() -> None:
    cls = task()
    with run_task(cls, CONFIG) as under_test:
        under_test.step(2.0)
        assert under_test.status == "RUN"
        serve(under_test.bench.links, Trigger=1, Busy=1)
        under_test.step(2.0)
        assert (shown(under_test, "Busy"), shown(under_test, "Trigger"), cls.runs) == (0, 0, 0)
        trigger(under_test)
        assert cls.runs == 1


def test_losing_the_ioc_during_a_cycle_costs_the_cycle_and_nothing_else() -> None:
    cls = task(takes=5.0)
    with started(cls) as under_test:
        trigger(under_test)
        under_test.step(1.0)
        for name in NAMES:
            under_test.bench.links.disconnect(pv(name))
        under_test.step(14.0)
        assert under_test.status == "RUN"
        assert "could not be cleared" in under_test.message
        for name in NAMES:
            under_test.bench.links.reconnect(pv(name))
        under_test.step(2.0)
        assert (shown(under_test, "Busy"), shown(under_test, "Trigger"), cls.runs) == (0, 0, 1)
        trigger(under_test)
        under_test.step(5.0)
        assert (cls.runs, shown(under_test, "TaskStatus")) == (2, 0)


def test_without_busy_the_work_is_not_begun() -> None:
    cls = task()
    with started(cls) as under_test:
        under_test.bench.links.refuse(pv("Busy"))
        trigger(under_test)
        under_test.step(5.0)
        assert cls.runs == 0
        assert shown(under_test, "TaskStatus") == TaskStatus.IO_FAILURE
        under_test.bench.links.refuse(pv("Busy"), False)
        under_test.step(2.0)
        assert shown(under_test, "Trigger") == 0


def test_clearing_is_tried_three_times() -> None:
    with started(task(takes=1.0)) as under_test:
        trigger(under_test)
        under_test.bench.links.sent.clear()
        under_test.bench.links.refuse(pv("Busy"))
        under_test.step(1.9)
        assert [sent for sent in under_test.bench.links.sent if sent[0] == pv("Busy")] == [
            (pv("Busy"), 0)
        ] * 2
        under_test.bench.links.refuse(pv("Busy"), False)
        under_test.step(0.2)
        assert (shown(under_test, "Busy"), shown(under_test, "Trigger")) == (0, 0)


def test_a_status_record_that_is_computed_from_its_raw_value_gets_that() -> None:
    under_test = run_task(task(TaskStatus.LOGIC_FAILURE), CONFIG, start=False)
    links = under_test.bench.links
    serve(links)
    links.serve(pv("TaskStatus.DTYP"), 1, labels=("Soft Channel", "Raw Soft Channel"))
    links.serve(pv("TaskStatus.RVAL"), 0)
    with under_test:
        under_test.act("start")
        trigger(under_test)
        assert links.get(pv("TaskStatus.RVAL")).value == 1
        assert shown(under_test, "TaskStatus") == 0


def test_the_heart_beats_each_second_with_and_without_work() -> None:
    with started(task(takes=3.0)) as under_test:
        under_test.step(3.0)
        trigger(under_test)
        under_test.step(3.0)
        seen = beats(under_test)
        assert 6 <= len(seen) <= 7
        assert all(one != other for one, other in pairwise(seen))


class Hanging(BridgeTask):
    """Its run_task gets nowhere until its host gives it up."""

    def run_task(self) -> TaskStatus:
        wakeup = self._iocmng_host.clock.wakeup()
        wakeup.wait(100.0)
        return TaskStatus.SUCCESS


def hanging(on_stall: str) -> TaskUnderTest:
    handshake = {**CONFIG["handshake"], "max_stall_limit": 5.0, "max_stuck_cycles": 3}
    return started(Hanging, {"handshake": handshake, "supervision": {"on_stall": on_stall}})


def test_a_stalled_cycle_stops_the_heart_and_then_is_a_stall() -> None:
    with hanging("alarm") as under_test:
        trigger(under_test)
        under_test.step(6.5)
        assert len(beats(under_test)) <= 6
        assert under_test.status == "RUN"
        before = len(beats(under_test))
        under_test.step(4.0)
        assert under_test.status == "STALLED"
        assert "heartbeats withheld" in under_test.message
        assert shown(under_test, "Busy") == 1
        assert len(beats(under_test)) == before
        under_test.step(92.0)
        assert under_test.status == "RUN"
        assert shown(under_test, "Busy") == 0


@pytest.mark.parametrize("on_stall", ["exit", "restart"])
def test_a_cycle_that_is_given_up_leaves_a_cleared_handshake_and_its_reason(on_stall: str) -> None:
    with hanging(on_stall) as under_test:
        trigger(under_test)
        under_test.step(11.0)
        assert (shown(under_test, "Busy"), shown(under_test, "Trigger")) == (0, 0)
        assert shown(under_test, "TaskStatus") == TaskStatus.EXCEPTION
        assert any("heartbeats withheld" in event.text for event in under_test.events)
        if on_stall == "exit":
            assert "heartbeats withheld" in under_test.bench.exit_demanded
        else:
            assert under_test.task.counters.restarts == 1
            assert under_test.status == "RUN"
            # The abandoned one comes to its end, and the records belong to the new one.
            under_test.bench.links.puts.clear()
            under_test.step(100.0)
            assert written(under_test) == []


def test_beats_that_nobody_takes_are_a_stall_until_somebody_does() -> None:
    with started(task(), {"handshake": {**CONFIG["handshake"], "max_stuck_cycles": 3}}) as under_test:
        under_test.bench.links.disconnect(pv("Heartbeat"))
        under_test.step(8.0)
        assert under_test.status == "STALLED"
        assert "IOC:Heartbeat does not take heartbeats" in under_test.message
        under_test.bench.links.reconnect(pv("Heartbeat"))
        under_test.step(4.0)
        assert under_test.status == "RUN"


def test_a_trigger_of_its_own_is_asked_at_the_poll_rate() -> None:
    class Periodic(Steps):
        runs = 0

        def trigger(self) -> bool:
            return True

        def get_poll_rate(self) -> float:
            return 2.0

    with started(Periodic) as under_test:
        under_test.step(9.0)
        assert Periodic.runs == 5


def test_a_stop_clears_a_trigger_that_was_not_answered() -> None:
    under_test = started(task())
    with under_test:
        under_test.act("pause")
        trigger(under_test)
        assert shown(under_test, "Trigger") == 1
        under_test.act("stop")
        assert shown(under_test, "Trigger") == 0


def test_run_starts_a_cycle_without_a_trigger() -> None:
    cls = task()
    with started(cls) as under_test:
        under_test.put("RUN", 1)
        assert cls.runs == 1
        assert shown(under_test, "TaskStatus") == 0


def test_the_mode_is_that_of_the_handshake() -> None:
    with pytest.raises(BadInput, match="mode: reactive does not apply"):
        run_task(task(), {**CONFIG, "parameters": {"mode": "reactive"}})


def test_a_bridge_task_without_handshake_says_what_to_add() -> None:
    with run_task(task(), {"parameters": {"mode": "triggered"}}) as under_test:
        under_test.step(0.1)
        assert "has no handshake" in under_test.last_error


@dataclass
class Motor(BasePVInterface):
    position: str = "{main}Pos:RBV"
    pressure: str = "ca://{vacuum}P1"


def test_an_interface_is_filled_from_its_prefixes() -> None:
    made = Motor(prefixes={"main": "M1:", "vacuum": "V:", "spare": "X:"})
    assert (made.trigger, made.position, made.pressure) == ("M1:Trigger", "M1:Pos:RBV", "ca://V:P1")
    assert made.as_dict["task_duration"] == "M1:TaskDuration"
    assert made.pv_to_attr["M1:Pos:RBV"] == "position"


def test_an_interface_may_be_written_as_plain_class_or_constructor() -> None:
    class Plain(BasePVInterface):
        position = "{main}Pos"

    class Made(BasePVInterface):
        def __init__(self, prefixes: dict[str, str]) -> None:
            super().__init__(prefixes=prefixes)
            self.sensor = "{main}Sensor"

    assert Plain(prefixes={"main": "A:"}).as_dict["position"] == "A:Pos"
    assert Made({"main": "A:"}).as_dict["sensor"] == "A:Sensor"


def test_all_missing_prefixes_are_told_at_once() -> None:
    with pytest.raises(BadInput) as told:
        Motor(prefixes={"p1": "X:"})
    assert "main (of trigger, busy" in str(told.value)
    assert "vacuum (of pressure)" in str(told.value)
    assert "given: p1" in str(told.value)


def test_records_of_a_config_take_the_place_of_templates() -> None:
    made = make_interface(Motor, {"main": "M:", "vacuum": "V:"}, {"trigger": "{main}Go", "extra": "{main}X"})
    assert (made.trigger, made.as_dict["extra"]) == ("M:Go", "M:X")
    with pytest.raises(BadInput, match="did you mean 'trigger'"):
        make_interface(Motor, {"main": "M:", "vacuum": "V:"}, {"triger": "{main}Go"})


def test_gets_and_puts_do_not_raise() -> None:
    links = FakeLinks()
    links.serve("pva://A", 1.5)
    links.serve("ca://B", 2)
    pvs = BridgeIO(links)
    assert pvs.pvget("A") == 1.5
    assert pvs.pvget(["A", "ca://B", "C"], timeout=0.1) == {"A": 1.5, "ca://B": 2, "C": None}
    assert pvs.pvget("C", timeout=0.1) is None
    assert pvs.pvput({"A": 3.0, "ca://B": 4})
    assert not pvs.pvput({"A": 5.0, "C": 1}, timeout=0.1)
    assert pvs.pvget("A") == 5.0
    assert not pvs.pvput({"ca://B": "text"})


def test_the_database_has_the_standard_records() -> None:
    text = database()
    assert all(f'"$(P){name}"' in text for name in NAMES)
    assert all(f'"IOC:{name}"' in database("IOC:") for name in NAMES)
    assert "$(P)" not in database("IOC:")


def judged(cls: type, prefixes: dict[str, str] | None, records: dict[str, str] | None = None) -> list[str]:
    return [finding.message for finding in check_handshake(cls, prefixes, records or {})]


def test_class_and_config_are_checked_against_each_other() -> None:
    class Bound(Steps):
        interface_class = Motor

    assert judged(Steps, {"main": "A:"}) == []
    assert judged(Steps, {}) == []
    assert "main (of trigger" in judged(Bound, {"vacuum": "V:"})[0]
    assert "has no record 'triger'" in judged(Steps, {"main": "A:"}, {"triger": "X"})[0]
    assert "has no handshake" in judged(Steps, None)[0]
    assert "is no BridgeTask" in judged(DeclarativeTask, {})[0]
    assert "has no run_task()" in judged(BridgeTask, {})[0]
    assert judged(DeclarativeTask, None) == []
