"""Several instances under one supervisor: order, dependencies, names, one agenda."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iocmng import TaskBase
from iocmng.errors import NotFound
from iocmng.lifecycle import Trigger
from iocmng.runtime.agenda import Agenda
from iocmng.runtime.supervisor import Supervisor
from iocmng.runtime.task import TaskInstance
from iocmng.spec import Kind
from iocmng.testing.clock import VirtualClock
from iocmng.testing.kit import TESTER, Bench
from iocmng.testing.subject import describe_subject


class Plain(TaskBase):
    """Starts after `delay` seconds."""

    def initialize(self) -> None:
        self.sleep(float(self.parameters.get("delay", 0.0)))

    def execute(self) -> None:
        """Nothing."""


class House:
    """Some instances on one bench."""

    def __init__(self, **supervision: dict[str, Any]) -> None:
        specs = [
            describe_subject(
                Plain,
                Kind.TASK,
                {"parameters": {"delay": 0.0, **keys.pop("parameters", {})}, "supervision": keys},
                None,
                name,
            )
            for name, keys in supervision.items()
        ]
        self.bench = Bench(*specs)
        self.supervisor: Supervisor = self.bench.supervisor
        for spec in specs:
            self.supervisor.add(TaskInstance(spec, self.bench.environment, load=lambda: Plain))

    def states(self) -> dict[str, str]:
        return {one.name: one.view().state for one in self.supervisor}

    def order(self, after: str) -> list[str]:
        return [event.instance for event in self.bench.events if event.data.get("after") == after]


@pytest.fixture
def house() -> Any:
    made: list[House] = []

    def make(**supervision: dict[str, Any]) -> House:
        made.append(House(**supervision))
        return made[-1]

    yield make
    for one in made:
        for instance in one.supervisor:
            instance.apply(Trigger.STOP, TESTER)
        one.bench.step(20.0)


Make = Callable[..., House]


def test_start_order_then_name(house: Make) -> None:
    one = house(late={"start_order": 200}, b={}, a={}, early={"start_order": 1})
    one.supervisor.start(["a", "b", "late", "early"], [], TESTER)
    one.bench.step()
    assert one.order("INIT") == ["early", "a", "b", "late"]


def test_dependencies_run_first_and_are_waited_for(house: Make) -> None:
    one = house(a={"depends_on": ["b"]}, b={"parameters": {"delay": 5.0}})
    one.supervisor.start(["a", "b"], [], TESTER)
    one.bench.step(1.0)
    assert one.states() == {"a": "INIT", "b": "INIT"}
    assert one.supervisor.get("a").message == "waits for b (INIT)"
    one.bench.step(5.0)
    assert one.states() == {"a": "RUN", "b": "RUN"}


def test_a_waiting_instance_can_be_stopped(house: Make) -> None:
    one = house(a={"depends_on": ["b"]}, b={})
    one.supervisor.act("a", Trigger.START, TESTER)
    one.supervisor.act("a", Trigger.STOP, TESTER)
    one.supervisor.act("b", Trigger.START, TESTER)
    one.bench.step(1.0)
    assert one.states() == {"a": "END", "b": "RUN"}


def test_a_shutdown_stops_dependents_first(house: Make) -> None:
    one = house(a={"depends_on": ["b"]}, b={}, c={"start_order": 50}, d={"start_order": 150})
    waves = [[instance.name for instance in wave] for wave in one.supervisor.stop_waves()]
    assert waves == [["d"], ["a"], ["b"], ["c"]]


def test_an_instance_that_takes_its_time_does_not_hold_up_the_others(house: Make) -> None:
    slow = {f"slow{number}": {"parameters": {"delay": 20.0}} for number in range(8)}
    one = house(**slow, zz={})
    one.supervisor.start([*slow, "zz"], [], TESTER)
    one.bench.step(1.0)
    assert one.states()["zz"] == "RUN"
    assert one.supervisor.pending() in slow


def test_an_unknown_name_comes_with_the_nearest(house: Make) -> None:
    one = house(pump={}, valve={})
    with pytest.raises(NotFound, match="did you mean 'pump'"):
        one.supervisor.get("pmp")
    with pytest.raises(NotFound, match="is a task, not a job"):
        one.supervisor.job("pump")


def test_a_verb_is_audited_with_who_asked(house: Make) -> None:
    one = house(pump={})
    one.supervisor.act("pump", Trigger.START, TESTER)
    audit = [event for event in one.bench.events if event.kind == "audit"]
    assert [(event.text, event.actor) for event in audit] == [("start: END -> INIT", TESTER)]


def test_the_agenda_works_off_in_order_and_survives_a_fault() -> None:
    clock = VirtualClock()
    agenda = Agenda(clock, lambda: None)
    done: list[str] = []

    def fail() -> None:
        raise ValueError("fault")

    agenda.after(2.0, lambda: done.append("later"))
    undo = agenda.after(1.0, lambda: done.append("undone"))
    agenda.after(1.0, lambda: done.append("soon"))
    undo()
    agenda.post(fail)
    agenda.post(lambda: done.append("now"))
    agenda.run_due()
    assert (done, agenda.failures) == (["now"], 1)
    clock.move_to(1.5)
    agenda.run_due()
    assert done == ["now", "soon"]
    assert agenda.next_due() == 2.0
