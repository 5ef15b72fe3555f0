"""Rules of a running host, judged by what subscribed clients on CA and PVA and linked targets get to see.

How the previous system (2.6, 2.7) failed with rules, and the test that it does not happen here:

* a rule that stays true makes its output go default → set in every cycle, on the linked external PV too; the actuator
  is rewritten and logged each cycle: `test_a_rule_that_stays_true_is_seen_once`
* rules use the configured default or a stale value as if it were live: `test_unknown_is_not_false`
* reactive tasks never evaluate at the start: `test_a_reactive_task_evaluates_at_its_start_and_when_a_set_point_changes`
* CLEAR while the cause persists disarms the latch: `test_clear_does_not_release_while_the_cause_is_there`
* numpy arrays count as scalars: `test_what_cannot_be_computed_is_unknown_and_counted`
* one exception in an expression or in `execute` ends the task for good: the same, and
  `test_fail_safe_values_reach_the_linked_target`
* typos in modes, types and outputs are accepted: refused at validation, where it costs no host
  (tests/unit/test_config.py, test_logic_check.py)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest
from support.linked import PROVIDERS, World, declared, linked_world, until
from support.other_ioc import OtherIoc
from support.plugins import Package

PREFIX = "LGCSYS"
CYCLES = 20

CYCLIC = """
prefix: CYCLIC
parameters: {interval: 0.05}
arguments:
  inputs: {X: {link: 'ca://OTHER:X'}}
  outputs:
    OUT: {type: bool, link: 'pva://OTHER:CYCLIC_OUT'}
    LOCAL: {type: bool}
    TEXT: {type: string, size: 80}
    VALVE: {type: bool, link: 'ca://OTHER:CYCLIC_VALVE'}
rule_defaults: {OUT: false, LOCAL: false}
rules:
  - id: above
    condition: X > 5
    on_invalid: hold
    message: above the limit
    message_pv: TEXT
    outputs: {OUT: true, LOCAL: true}
    actuators: {VALVE: 1}
"""
QUICK = """
prefix: QUICK
parameters: {mode: reactive}
arguments:
  inputs:
    X: {link: 'pva://OTHER:X', trigger: true}
    LIMIT: {type: float, value: 5.0, autosave: false}
  outputs:
    OUT: {type: bool, link: 'ca://OTHER:QUICK_OUT'}
    LOCAL: {type: bool}
    VALVE: {type: bool, link: 'pva://OTHER:QUICK_VALVE'}
rule_defaults: {OUT: false, LOCAL: false}
rules:
  - id: above
    condition: X > LIMIT
    on_invalid: hold
    message: above the limit
    outputs: {OUT: true, LOCAL: true}
    actuators: {VALVE: 1}
"""
SAFE = """
prefix: SAFE
parameters: {mode: reactive}
arguments:
  inputs: {X: {link: 'ca://OTHER:SAFE_X', trigger: true}}
  outputs: {CLOSED: {type: bool, link: 'pva://OTHER:SAFE_CLOSED', fail_safe: true}}
rule_defaults: {CLOSED: false}
rules: [{id: above, condition: X > 5, on_invalid: trip, outputs: {CLOSED: true}}]
"""
FAILING_CODE = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        if self.get_pv("BOOM"):
            raise RuntimeError("boom")
        self.set_pv("OPEN", True)
"""
FAILING = """
prefix: FAILING
parameters: {interval: 0.1}
arguments:
  inputs: {BOOM: {type: bool, value: false, autosave: false}}
  outputs: {OPEN: {type: bool, link: 'ca://OTHER:FAILING_OPEN', fail_safe: false}}
supervision: {restart: 'no'}
"""
LATCH = """
prefix: LATCH
parameters: {mode: reactive}
arguments:
  inputs: {X: {link: 'ca://OTHER:LATCH_X', trigger: true}}
  outputs: {TRIP: {type: bool, latch: true, link: 'pva://OTHER:LATCH_TRIP'}}
rule_defaults: {TRIP: false}
rules: [{id: above, condition: X > 5, message: too hot, outputs: {TRIP: true}}]
"""
UNKNOWN = """
prefix: UNKNOWN
parameters: {mode: reactive}
arguments:
  inputs:
    A: {link: 'ca://OTHER:UNKNOWN_A', trigger: true}
    B: {link: 'ca://OTHER:NOWHERE', trigger: true, value: 9.0}
  outputs: {EITHER: {type: bool}, BOTH: {type: bool}, ALONE: {type: bool, value: false}, TRIPPED: {type: bool}}
rule_defaults: {EITHER: false, BOTH: false, ALONE: false, TRIPPED: false}
rules:
  - {id: either, condition: A > 5 or B > 5, settle: 0.3, outputs: {EITHER: true}}
  - {id: both, condition: A > 5 and B > 5, settle: 0.3, outputs: {BOTH: true}}
  - {id: alone, condition: B > 5, settle: 0.3, outputs: {ALONE: true}}
  - {id: tripped, condition: B > 5, settle: 0.3, on_invalid: trip, outputs: {TRIPPED: true}}
"""
MATHS = """
prefix: MATHS
parameters: {mode: reactive}
arguments:
  inputs:
    A: {link: 'ca://OTHER:MATHS_A', trigger: true}
    B: {link: 'pva://OTHER:MATHS_B', trigger: true}
    MANY: {type: array, length: 16, link: 'pva://OTHER:MATHS_MANY', trigger: true}
  outputs: {RATIO: {}, LOG: {}, MEAN: {}, ANY: {type: bool}, BIG: {type: bool}}
transforms:
  - {output: RATIO, expression: A / B}
  - {output: LOG, expression: log(A)}
  - {output: MEAN, expression: mean(MANY)}
  - {output: ANY, expression: any_of(MANY)}
rule_defaults: {BIG: false}
rules: [{id: big, condition: A / B > 2, outputs: {BIG: true}}]
"""
PACKAGES = [
    declared("cyclic", CYCLIC),
    declared("quick", QUICK),
    declared("safe", SAFE),
    declared("latch", LATCH),
    declared("unknown", UNKNOWN),
    declared("maths", MATHS),
    Package("failing", code=FAILING_CODE, config=FAILING),
]
WATCHED = [
    "CYCLIC:OUT",
    "CYCLIC:LOCAL",
    "CYCLIC:CYCLE_COUNT",
    "QUICK:OUT",
    "QUICK:LOCAL",
    "SAFE:CLOSED",
    "FAILING:OPEN",
    "LATCH:TRIP",
    *(f"UNKNOWN:{name}" for name in ("EITHER", "BOTH", "ALONE", "TRIPPED")),
    *(f"MATHS:{name}" for name in ("RATIO", "LOG", "MEAN", "ANY", "BIG", "STATUS")),
    "OTHER:CYCLIC_OUT",
    "OTHER:QUICK_OUT",
]
RECORDS = (
    "X=float",
    "SAFE_X=float",
    "LATCH_X=float",
    "UNKNOWN_A=float:9.0",
    "MATHS_A=float:6.0",
    "MATHS_B=float:2.0",
    "MATHS_MANY=array:[0.0,0.0,3.0]",
    *(f"{name}=bool" for name in ("CYCLIC_OUT", "CYCLIC_VALVE", "QUICK_OUT", "QUICK_VALVE")),
    *(f"{name}=bool" for name in ("SAFE_CLOSED", "FAILING_OPEN", "LATCH_TRIP")),
)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtherIoc]:
    with OtherIoc(tmp_path_factory.mktemp("other"), *RECORDS) as other:
        yield other


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, other: OtherIoc) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("logic")
    with linked_world(PREFIX, folder, PACKAGES, {"other": other}, WATCHED) as world:
        yield world


def written(other: OtherIoc, name: str, values: list[Any], since: int = 0) -> None:
    """Wait until a record of the other IOC took these values; the same one again is no other."""

    def taken() -> list[Any]:
        return [value for value, _ in groupby(other.changes[name][since:])]

    until(lambda: taken() == values, f"{name} takes {values}, it took {other.changes[name][since:]}")


def cycles(world: World, more: int) -> None:
    """Wait for so many cycles."""
    before = world.show("cyclic").view.cycles
    until(lambda: world.show("cyclic").view.cycles >= before + more, f"{more} cycles")


def messages(world: World, instance: str) -> int:
    """How often its log tells of its rule."""
    return sum("above the limit" in line.text for line in world.client.log(instance))


def test_a_rule_that_stays_true_is_seen_once(world: World, other: OtherIoc) -> None:
    names = [f"{one}:{port}" for one in ("CYCLIC", "QUICK") for port in ("OUT", "LOCAL")]
    names += ["OTHER:CYCLIC_OUT", "OTHER:QUICK_OUT"]
    other.set("X", 0.0)
    for name in names:
        world.comes(name, 0)
    cycles(world, 2)
    before = {(name, provider): len(world.events(name, provider)) for name in names for provider in PROVIDERS}
    targets = {name: len(values) for name, values in other.changes.items()}
    told = {one: messages(world, one) for one in ("cyclic", "quick")}
    for value in (10.0, 11.0, 12.0):
        other.set("X", value)
        for name in names:
            world.comes(name, 1)
        cycles(world, CYCLES // 2)
    other.set("X", 0.0)
    for name in names:
        world.comes(name, 0)
    cycles(world, 2)
    for (name, provider), since in before.items():
        seen = [one["value"] for one in world.events(name, provider)[since:]]
        assert seen == [1, 0], f"{name} over {provider}: {seen}"
    for one in ("CYCLIC", "QUICK"):
        assert other.changes[f"{one}_OUT"][targets[f"{one}_OUT"] :] == [1, 0]
        assert other.changes[f"{one}_VALVE"][targets[f"{one}_VALVE"] :] == [1]
        assert messages(world, one.lower()) == told[one.lower()] + 1


def test_a_reactive_task_evaluates_at_its_start_and_when_a_set_point_changes(
    world: World, other: OtherIoc
) -> None:
    other.set("X", 3.0)
    world.comes("QUICK:LOCAL", 0)
    world.client.tasks["quick"].stop()
    world.comes("QUICK:LOCAL", 0, 3)
    other.set("X", 10.0)
    world.client.tasks["quick"].start()
    world.comes("QUICK:LOCAL", 1)
    world.client.put_pv("quick:LIMIT", 20.0)
    world.comes("QUICK:LOCAL", 0)
    world.client.put_pv("quick:LIMIT", 5.0)
    world.comes("QUICK:LOCAL", 1)
    other.set("X", 0.0)
    world.comes("QUICK:LOCAL", 0)


def test_fail_safe_values_reach_the_linked_target(world: World, other: OtherIoc) -> None:
    world.comes("SAFE:CLOSED", 0)
    until(lambda: other.changes["SAFE_CLOSED"][-1:] == [0], f"{other.changes}")
    safe = world.client.tasks["safe"]
    for leave, back in ((safe.stop, safe.start), (safe.pause, safe.resume)):
        since = len(other.changes["SAFE_CLOSED"])
        leave()
        world.comes("SAFE:CLOSED", 1, 3)
        written(other, "SAFE_CLOSED", [1], since)
        back()
        world.comes("SAFE:CLOSED", 0)
        written(other, "SAFE_CLOSED", [1, 0], since)
    world.comes("FAILING:OPEN", 1)
    until(lambda: other.changes["FAILING_OPEN"][-1:] == [1], f"{other.changes}")
    since = len(other.changes["FAILING_OPEN"])
    world.client.put_pv("failing:BOOM", 1)
    world.comes("FAILING:OPEN", 0, 3)
    written(other, "FAILING_OPEN", [0], since)
    assert world.show("failing").view.state == "ERROR"
    world.client.put_pv("failing:BOOM", 0)
    world.client.tasks["failing"].start()
    world.comes("FAILING:OPEN", 1)
    written(other, "FAILING_OPEN", [0, 1], since)


def test_clear_does_not_release_while_the_cause_is_there(world: World, other: OtherIoc) -> None:
    other.set("LATCH_X", 0.0)
    world.comes("LATCH:TRIP", 0)
    since = len(other.changes["LATCH_TRIP"])
    other.set("LATCH_X", 10.0)
    world.comes("LATCH:TRIP", 1)
    world.client.put_pv("latch:CLEAR", 1)
    until(lambda: "TRIP kept" in world.show("latch").view.message, "MESSAGE says what is kept")
    assert world.show("latch").latched == {"TRIP": True}
    other.set("LATCH_X", 0.0)
    until(lambda: world.show("latch").rules[0].state == "inactive", "the cause is gone")
    assert world.shows("LATCH:TRIP", 1), "the latch was not disarmed by a CLEAR that came too early"
    world.client.put_pv("latch:CLEAR", 1)
    world.comes("LATCH:TRIP", 0)
    written(other, "LATCH_TRIP", [1, 0], since)


def test_latches_survive_the_end_of_the_host(world: World, other: OtherIoc) -> None:
    other.set("LATCH_X", 0.0)
    world.comes("LATCH:TRIP", 0)
    other.set("LATCH_X", 10.0)
    world.comes("LATCH:TRIP", 1)
    other.set("LATCH_X", 0.0)
    until(lambda: world.show("latch").rules[0].state == "inactive", "the cause is gone")
    before = {provider: len(world.events("LATCH:TRIP", provider)) for provider in PROVIDERS}
    for kill in (False, True):
        world.restart_host(kill=kill)
        until(lambda: world.client.pv("latch:TRIP").severity == "NO_ALARM", "it runs again")
        assert world.client.pv("latch:TRIP").value
        assert world.show("latch").latched == {"TRIP": True}
    until(
        lambda: all(len(world.events("LATCH:TRIP", one)) > before[one] for one in PROVIDERS),
        "clients are back",
    )
    world.comes("LATCH:TRIP", 1)
    for provider, since in before.items():
        good = {one["value"] for one in world.events("LATCH:TRIP", provider)[since:] if one["severity"] == 0}
        assert good == {1}, f"over {provider} nobody ever saw it released"
    world.client.put_pv("latch:CLEAR", 1)
    world.comes("LATCH:TRIP", 0)


def test_unknown_is_not_false(world: World, other: OtherIoc) -> None:
    other.set("UNKNOWN_A", 9.0)
    world.comes("UNKNOWN:EITHER", 1)
    world.comes("UNKNOWN:BOTH", ..., 3)
    other.set("UNKNOWN_A", 1.0)
    world.comes("UNKNOWN:BOTH", 0)
    world.comes("UNKNOWN:EITHER", 1, 3)
    world.comes("UNKNOWN:ALONE", 0, 3)
    world.comes("UNKNOWN:TRIPPED", 1, None)
    for provider in PROVIDERS:
        assert {one["value"] for one in world.events("UNKNOWN:ALONE", provider)} == {0}
        assert 0 not in {one["severity"] for one in world.events("UNKNOWN:ALONE", provider)}
    decisions = {rule.id: rule for rule in world.show("unknown").rules}
    assert decisions["alone"].state == "undecided"
    assert decisions["either"].held
    assert decisions["both"].value is False
    other.set("UNKNOWN_A", 9.0)
    world.comes("UNKNOWN:EITHER", 1)


def test_what_cannot_be_computed_is_unknown_and_counted(world: World, other: OtherIoc) -> None:
    other.set("MATHS_A", 6.0)
    other.set("MATHS_B", 2.0)
    world.comes("MATHS:RATIO", 3.0)
    world.comes("MATHS:BIG", 1)
    world.comes("MATHS:MEAN", 1.0)
    world.comes("MATHS:ANY", 1)
    counted = dict(world.show("maths").unknowns)
    other.set("MATHS_B", 0.0)
    world.comes("MATHS:RATIO", 3.0, 3)
    world.comes("MATHS:BIG", 1, 3)
    other.set("MATHS_A", -1.0)
    world.comes("MATHS:LOG", ..., 3)
    other.set("MATHS_MANY", [0.0, 0.0])
    world.comes("MATHS:ANY", 0)
    found = world.show("maths")
    assert found.view.state == "RUN"
    for name in ("RATIO", "LOG", "big"):
        assert found.unknowns[name] > counted.get(name, 0)
    other.set("MATHS_B", 4.0)
    other.set("MATHS_A", 4.0)
    other.set("MATHS_MANY", [0.0, 0.0, 3.0])
    world.comes("MATHS:RATIO", 1.0)
    world.comes("MATHS:BIG", 0)
    world.comes("MATHS:ANY", 1)
    for provider in PROVIDERS:
        assert {one["value"] for one in world.events("MATHS:STATUS", provider)[-1:]} == {1}
