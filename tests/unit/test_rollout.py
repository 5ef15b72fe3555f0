"""Instances that come and go, on fake records and a virtual clock: exchanged, confirmed, taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from iocmng import TaskBase
from iocmng.errors import Refused, SparesShort
from iocmng.lifecycle import Trigger
from iocmng.runtime.instance import Instance
from iocmng.runtime.rollout import Exchange, confirm
from iocmng.runtime.task import TaskInstance
from iocmng.spec import InstanceSpec, Kind
from iocmng.spec.spares import needed
from iocmng.testing.kit import TESTER, Bench
from iocmng.testing.subject import describe_subject
from iocmng.values import Severity
from iocmng.wire import Actor

ACTOR = Actor(via="http", user="tester")
CONFIG: dict[str, Any] = {
    "parameters": {"interval": 1.0},
    "arguments": {
        "inputs": {"LIMIT": {"type": "float", "value": 1.0}},
        "outputs": {"OUT": {"type": "float"}},
    },
}
T = TypeVar("T")


class Writes(TaskBase):
    """Writes what its parameters say; fails from its cycle number `fails` on."""

    def initialize(self) -> None:
        self.number = 0

    def execute(self) -> None:
        self.number += 1
        if 0 < self.parameters.get("fails", 0) <= self.number:
            raise ValueError("no good")
        self.set_pv("OUT", self.parameters.get("writes", 1.0))


class Hangs(TaskBase):
    """Never comes back from its cycle."""

    def execute(self) -> None:
        self._bound._run._clock.wakeup().wait(10_000.0)  # type: ignore[attr-defined]


def describe(name: str, cls: type = Writes, **config: Any) -> InstanceSpec:
    return describe_subject(cls, Kind.TASK, {**CONFIG, **config}, None, name)


@dataclass(frozen=True)
class Coming:
    """What the exchange makes an instance from."""

    spec: InstanceSpec
    cls: type = Writes


class House:
    """A bench with spare records, an exchange, and one instance that stays."""

    def __init__(self, *present: Coming, spares: int = 2) -> None:
        stays = describe("stays")
        self.bench = Bench(
            stays,
            *(one.spec for one in present),
            spares={kind: count * spares for kind, count in needed(stays.records).items()},
        )
        self.supervisor = self.bench.supervisor
        self.told: list[tuple[list[str], list[str]]] = []
        self.exchange: Exchange[Coming] = Exchange(self.supervisor, make=self.make, told=self.heard)
        for one in (Coming(stays), *present):
            self.supervisor.add(self.make(one))
        self.supervisor.start([one.name for one in self.supervisor], [], TESTER)
        self.bench.step(0.0)

    def make(self, coming: Coming) -> Instance:
        return TaskInstance(coming.spec, self.bench.environment, load=lambda: coming.cls)

    def heard(self, appeared: Any, gone: Any) -> None:
        self.told.append(([one.name for one in appeared], [one.name for one in gone]))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine while virtual time goes on beside it."""

        async def beside() -> T:
            task = asyncio.ensure_future(work)
            while not task.done():
                self.bench.step(0.05)
                await asyncio.sleep(0)
            return await task

        return asyncio.run(asyncio.wait_for(beside(), 30.0))

    def end(self) -> None:
        for instance in self.supervisor:
            instance.apply(Trigger.STOP, TESTER)
        self.bench.step(20.0)

    def pv(self, instance: str, port: str) -> Any:
        spec = self.supervisor.get(instance).spec
        name = next(record.name for record in spec.records if record.port == port)
        return self.bench.records.record(name).read()


@pytest.fixture
def house() -> Iterator[House]:
    made = House(Coming(describe("leaves")))
    yield made
    made.end()


def start(house: House, made: list[Instance]) -> None:
    house.supervisor.start([one.name for one in made], [], ACTOR)


def test_one_goes_another_comes_and_the_third_does_not_notice(house: House) -> None:
    stays = house.supervisor.get("stays")
    house.bench.step(3.0)
    cycles = stays.view().cycles
    leaves = house.supervisor.get("leaves")
    gone = [record.name for record in leaves.spec.records]
    assert house.run(house.exchange.stop([leaves], ACTOR)) == []
    made = house.exchange.exchange([leaves], [Coming(describe("comes", parameters={"writes": 5.0}))])
    start(house, made)
    house.bench.step(2.0)
    assert (house.pv("comes", "OUT").value, house.pv("comes", "OUT").severity) == (5.0, Severity.NO_ALARM)
    assert [one.name for one in house.supervisor] == ["comes", "stays"]
    with pytest.raises(KeyError):
        house.bench.records.record(gone[0])
    assert house.told == [([record.name for record in made[0].spec.records], gone)]
    assert stays.view().cycles >= cycles + 2
    assert stays.view().uptime > 3.0


def test_inputs_keep_their_values_and_nothing_is_valid_before_the_new_one_runs(house: House) -> None:
    leaves = house.supervisor.get("leaves")
    name = next(record.name for record in leaves.spec.records if record.port == "LIMIT")
    house.bench.records.client_put(name, 7.5)
    house.bench.step(1.0)
    house.run(house.exchange.stop([leaves], ACTOR))
    made = house.exchange.exchange([leaves], [Coming(describe("leaves", parameters={"writes": 9.0}))])
    assert house.pv("leaves", "LIMIT").value == 7.5
    assert house.pv("leaves", "OUT").severity is Severity.INVALID
    house.bench.records.client_put(name, 8.5)
    start(house, made)
    house.bench.step(1.0)
    assert (house.pv("leaves", "OUT").value, house.pv("leaves", "OUT").severity) == (9.0, Severity.NO_ALARM)
    assert house.pv("leaves", "LIMIT").value == 8.5


def test_puts_reach_the_instance_that_has_the_name_now(house: House) -> None:
    leaves = house.supervisor.get("leaves")
    name = next(record.name for record in leaves.spec.records if record.port == "ENABLE")
    house.run(house.exchange.stop([leaves], ACTOR))
    start(house, house.exchange.exchange([leaves], [Coming(describe("leaves"))]))
    house.bench.step(1.0)
    house.bench.records.client_put(name, False)
    house.bench.step(0.5)
    assert house.supervisor.get("leaves").view().state == "PAUSED"
    assert leaves.view().state == "END"


def test_too_few_spares_refuse_everything_and_the_old_one_can_be_made_again(house: House) -> None:
    leaves = house.supervisor.get("leaves")
    free = dict(house.bench.records.spares())
    house.run(house.exchange.stop([leaves], ACTOR))
    many = [Coming(describe(f"comes{number}")) for number in range(3)]
    with pytest.raises(SparesShort) as refused:
        house.exchange.exchange([leaves], many)
    assert refused.value.lacking
    start(house, house.exchange.exchange([leaves], [Coming(describe("leaves"))]))
    house.bench.step(1.0)
    assert house.pv("leaves", "OUT").severity is Severity.NO_ALARM
    again = dict(house.bench.records.spares())
    assert sum(again.values()) <= sum(free.values())
    assert house.supervisor.get("stays").view().state == "RUN"


def test_nobody_starts_what_is_about_to_go(house: House) -> None:
    leaves = house.supervisor.get("leaves")
    house.run(house.exchange.stop([leaves], ACTOR))
    for verb in (Trigger.START, Trigger.RESTART):
        with pytest.raises(Refused, match="another version is taking its place"):
            house.supervisor.act("leaves", verb, ACTOR)
    assert leaves.view().state == "END"
    house.supervisor.act("stays", Trigger.RESTART, ACTOR)
    house.supervisor.leaving = frozenset()
    house.supervisor.act("leaves", Trigger.START, ACTOR)
    house.bench.step(1.0)
    assert leaves.view().state == "RUN"


def test_a_thread_that_does_not_end_is_named() -> None:
    house = House(Coming(describe("hangs", Hangs, supervision={"stop_timeout": 0.5}), Hangs))
    try:
        found = house.run(house.exchange.stop([house.supervisor.get("hangs")], ACTOR))
        assert len(found) == 1
        assert found[0].startswith("hangs: ")
        assert "execute" in found[0]
    finally:
        house.end()


@pytest.mark.parametrize("fails", [0, 1, 3])
def test_what_runs_and_stays_is_confirmed(house: House, fails: int) -> None:
    leaves = house.supervisor.get("leaves")
    house.run(house.exchange.stop([leaves], ACTOR))
    made = house.exchange.exchange([leaves], [Coming(describe("leaves", parameters={"fails": fails}))])
    start(house, made)
    found = house.run(confirm(made, 5.0, house.bench.clock))
    assert ("no good" in found) is bool(fails)


def test_one_that_an_operator_stops_or_pauses_is_not_held_against_the_new_version(house: House) -> None:
    leaves = house.supervisor.get("leaves")
    house.run(house.exchange.stop([leaves], ACTOR))
    made = house.exchange.exchange([leaves], [Coming(describe("leaves"))])
    start(house, made)
    house.bench.step(0.1)

    async def stopped_meanwhile() -> str:
        watching = asyncio.ensure_future(confirm(made, 5.0, house.bench.clock))
        await asyncio.sleep(0)
        house.supervisor.act("leaves", Trigger.STOP, ACTOR)
        return await watching

    assert house.run(stopped_meanwhile()) == ""


def test_a_pv_may_go_from_one_instance_to_another_of_a_different_name(house: House) -> None:
    leaves = house.supervisor.get("leaves")
    house.run(house.exchange.stop([leaves], ACTOR))
    spec = describe("heir", parameters={"writes": 4.0})
    inherited = replace(leaves.spec, name="heir", parameters=spec.parameters)
    start(house, house.exchange.exchange([leaves], [Coming(inherited)]))
    house.bench.step(1.0)
    assert house.pv("heir", "OUT").value == 4.0
    assert [one.name for one in house.supervisor] == ["heir", "stays"]
