"""Links of a running host to IOCs that are killed, stopped, restarted and slow, seen by clients on CA and PVA.

How the previous system (2.6, 2.7) failed with links, and the test that it does not happen here:

* dead links stretch a cycle, one after the other; a healthy input's interlock waits for them:
  `test_eight_dead_links_do_not_stretch_the_cycle_nor_delay_the_live_one`
* a stale value is used as if it were live: `test_a_hung_source_makes_only_what_has_a_max_age_stale_and_delays_nobody`,
  `test_iocs_that_die_are_shown_and_get_what_they_missed_when_they_are_back`
* the configured default of an input is used as if it had been read:
  `test_eight_dead_links_do_not_stretch_the_cycle_nor_delay_the_live_one` (each dead one declares one that would trip)
* two tasks with the same input name steal each other's monitor: `test_equal_input_names_do_not_disturb_each_other`
* an actuator over CA in reactive mode arrives only at shutdown:
  `test_iocs_that_die_are_shown_and_get_what_they_missed_when_they_are_back`
* a put that waits for a slow target holds up the task: `test_a_slow_target_gets_the_latest_value_and_delays_nothing`
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import pytest
from support.linked import PROVIDERS, World, declared, linked_world, until
from support.other_ioc import OtherIoc

PREFIX = "LNKSYS"
DEAD = 8

FOLLOW = """
prefix: FOLLOW
parameters: {mode: reactive}
arguments:
  inputs:
    P: {link: 'ca://OTHER:P', trigger: true}
    Q: {link: 'pva://OTHER:Q', trigger: true}
  outputs:
    P_SEEN: {type: float}
    Q_HIGH: {type: bool}
transforms: [{output: P_SEEN, expression: P}]
rule_defaults: {Q_HIGH: false}
rules: [{id: high, condition: Q > 5, outputs: {Q_HIGH: true}}]
"""
AGED = """
prefix: AGED
parameters: {interval: 0.1, timeout: 1.0}
arguments:
  inputs:
    YOUNG: {link: 'ca://OTHER:HUNG', link_mode: monitor, max_age: 1.0}
    POLLED: {link: 'pva://OTHER:HUNG', max_age: 1.0}
    ANY: {link: 'ca://OTHER:HUNG', link_mode: monitor}
    QUIET: {link: 'ca://OTHER:QUIET', link_mode: monitor, max_age: 0.6}
    QUIETER: {link: 'pva://OTHER:QUIET', link_mode: monitor, max_age: 0.6}
    LIVE: {link: 'pva://OTHER:LIVE', link_mode: monitor}
  outputs: {YOUNG_SEEN: {}, POLLED_SEEN: {}, ANY_SEEN: {}, QUIET_SEEN: {}, QUIETER_SEEN: {}, LIVE_SEEN: {}}
transforms:
  - {output: YOUNG_SEEN, expression: YOUNG}
  - {output: POLLED_SEEN, expression: POLLED}
  - {output: ANY_SEEN, expression: ANY}
  - {output: QUIET_SEEN, expression: QUIET}
  - {output: QUIETER_SEEN, expression: QUIETER}
  - {output: LIVE_SEEN, expression: LIVE}
"""
VALVES = """
prefix: VALVES
parameters: {mode: reactive}
arguments:
  inputs: {T: {link: 'ca://OTHER:T', trigger: true}}
  outputs:
    BY_CA: {type: bool, link: 'ca://OTHER:BY_CA'}
    BY_PVA: {type: bool, link: 'pva://OTHER:BY_PVA'}
    OVER: {type: bool, link: 'ca://OTHER:OVER'}
    COPY: {type: float, link: 'pva://OTHER:COPY', reassert: false}
transforms: [{output: COPY, expression: T}]
rule_defaults: {OVER: false}
rules:
  - {id: hot, condition: T > 50, on_invalid: hold, actuators: {BY_CA: 1}, outputs: {OVER: true}}
  - {id: cool, condition: T < 20, on_invalid: hold, actuators: {BY_PVA: 1}}
"""
SLOW = """
prefix: SLOW
parameters: {mode: reactive}
arguments:
  inputs: {S: {link: 'pva://OTHER:S', trigger: true}}
  outputs:
    SEEN: {type: float}
    BY_CA: {type: float, link: 'ca://OTHER:SLOW_CA'}
    BY_PVA: {type: float, link: 'pva://OTHER:SLOW_PVA'}
transforms:
  - {output: BY_CA, expression: S}
  - {output: BY_PVA, expression: S}
  - {output: SEEN, expression: S}
"""
DEADS = f"""
prefix: DEADS
parameters: {{interval: 0.2, timeout: 2.0}}
arguments:
  inputs:
    ALIVE: {{link: 'ca://OTHER:ALIVE'}}
    {"".join(f"D{n}: {{link: '{PROVIDERS[n % 2]}://OTHER:NOT{n}', value: 99.0}}{chr(10)}    " for n in range(DEAD))}
  outputs: {{TRIPPED: {{type: bool}}, WRONG: {{type: bool, value: false}}}}
rule_defaults: {{TRIPPED: false, WRONG: false}}
rules:
  - {{id: trip, condition: ALIVE > 5, outputs: {{TRIPPED: true}}}}
  - {{id: wrong, condition: '{" or ".join(f"D{n} > 5" for n in range(DEAD))}', outputs: {{WRONG: true}}}}
"""
TWIN = """
prefix: %s
parameters: {mode: reactive}
arguments:
  inputs: {X: {link: '%s', trigger: true}}
  outputs: {SEEN: {type: float}}
transforms: [{output: SEEN, expression: X}]
"""
PACKAGES = [
    declared("follow", FOLLOW),
    declared("aged", AGED),
    declared("valves", VALVES),
    declared("slow", SLOW),
    declared("deads", DEADS),
    declared("twin-a", TWIN % ("TWINA", "ca://OTHER:XA")),
    declared("twin-b", TWIN % ("TWINB", "ca://OTHER:XB")),
    declared("twin-c", TWIN % ("TWINC", "pva://OTHER:XA")),
]
WATCHED = [
    "FOLLOW:P_SEEN",
    "FOLLOW:Q_HIGH",
    "FOLLOW:DEGRADED",
    *(f"AGED:{name}_SEEN" for name in ("YOUNG", "POLLED", "ANY", "QUIET", "QUIETER", "LIVE")),
    "VALVES:OVER",
    "SLOW:SEEN",
    "DEADS:TRIPPED",
    "DEADS:WRONG",
    "DEADS:CYCLE_COUNT",
    "AGED:CYCLE_COUNT",
    *(f"TWIN{one}:SEEN" for one in "ABC"),
]


IOCS = {
    "steady": (
        "QUIET=float:7.0",
        "LIVE=float",
        "T=float:30.0",
        "S=float",
        "ALIVE=float",
        "XA=float",
        "XB=float",
    ),
    "mortal": ("P=float:1.5", "Q=float:9.0", "BY_CA=bool", "BY_PVA=bool", "OVER=bool", "COPY=float"),
    "troubled": ("HUNG=float:4.0", "SLOW_CA=float", "SLOW_PVA=float"),
}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, OtherIoc]]:
    with ThreadPoolExecutor() as starting:
        started = {
            key: starting.submit(OtherIoc, tmp_path_factory.mktemp(key), *names)
            for key, names in IOCS.items()
        }
    with ExitStack() as stack:
        yield {key: stack.enter_context(one.result(60)) for key, one in started.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, others: dict[str, OtherIoc]) -> Iterator[World]:
    with linked_world(PREFIX, tmp_path_factory.mktemp("links"), PACKAGES, others, WATCHED) as world:
        world.comes("AGED:LIVE_SEEN")
        yield world


def usual_cycle(world: World, instance: str, since: int) -> float:
    """Seconds between two cycles, the median of some: a loaded machine may hold up the others."""
    name = f"{instance}:CYCLE_COUNT"
    until(lambda: len(world.events(name, "ca")) > since + 10, f"cycles of {instance}")
    times = [one["seen"] for one in world.events(name, "ca")[since:]]
    gaps = sorted(after - before for before, after in pairwise(times))
    return float(gaps[len(gaps) // 2])


def test_iocs_that_die_are_shown_and_get_what_they_missed_when_they_are_back(
    world: World, others: dict[str, OtherIoc]
) -> None:
    source, mortal = others["steady"], others["mortal"]
    world.comes("FOLLOW:P_SEEN", 1.5)
    world.comes("FOLLOW:Q_HIGH", 1)
    source.set("T", 60.0)
    until(lambda: mortal.changes["BY_CA"] == [1], f"the command over CA at once: {mortal.changes}")
    until(lambda: mortal.changes["OVER"][-1:] == [1], f"the linked output: {mortal.changes}")
    source.set("T", 10.0)
    until(lambda: mortal.changes["BY_PVA"] == [1], f"the command over PVA at once: {mortal.changes}")
    until(lambda: mortal.changes["OVER"][-1:] == [0], f"the linked output: {mortal.changes}")
    until(lambda: mortal.changes["COPY"][-1:] == [10.0], f"the copy: {mortal.changes}")

    mortal.kill()
    world.comes("FOLLOW:P_SEEN", 1.5, 3)
    world.comes("FOLLOW:Q_HIGH", 1, 3)
    world.comes("FOLLOW:DEGRADED", 1, 1)
    assert [port.link.connected for port in world.show("follow").ports if port.link] == [False, False]
    assert "OTHER:P" in world.show("follow").health
    for values in mortal.changes.values():
        values.clear()
    mortal.start()
    mortal.set("Q", 1.0)
    world.comes("FOLLOW:P_SEEN", 1.5)
    world.comes("FOLLOW:Q_HIGH", 0)
    world.comes("FOLLOW:DEGRADED", 0)
    # The command of the rule that is active still, and the output as it is; not the command that is over, nor the
    # output that is not to be reasserted.
    until(lambda: mortal.changes["BY_PVA"] == [1], f"the active command again: {mortal.changes}")
    until(lambda: mortal.changes["OVER"] == [0], f"the output again: {mortal.changes}")
    source.set("T", 55.0)
    until(lambda: mortal.changes["BY_CA"] == [1], f"the next command: {mortal.changes}")
    until(lambda: mortal.changes["COPY"] == [55.0], f"the copy of the next value only: {mortal.changes}")
    until(lambda: mortal.changes["OVER"] == [0, 1], f"the next value of the output: {mortal.changes}")
    assert mortal.changes["BY_PVA"] == [1]


def test_an_alarm_of_the_source_travels_and_an_invalid_one_is_unknown(
    world: World, others: dict[str, OtherIoc]
) -> None:
    others["steady"].set("XA", 3.0, severity=2)
    for one in "AC":
        world.comes(f"TWIN{one}:SEEN", 3.0, 2)
    others["steady"].set("XA", 4.0, severity=3)
    for one in "AC":
        world.comes(f"TWIN{one}:SEEN", 3.0, 3)
    others["steady"].set("XA", 5.0)
    for one in "AC":
        world.comes(f"TWIN{one}:SEEN", 5.0)


def test_a_hung_source_makes_only_what_has_a_max_age_stale_and_delays_nobody(
    world: World, others: dict[str, OtherIoc]
) -> None:
    kinds = ("YOUNG", "POLLED", "ANY", "QUIET", "QUIETER")
    for kind in kinds:
        world.comes(f"AGED:{kind}_SEEN")
    others["troubled"].hang()
    before = len(world.events("AGED:CYCLE_COUNT", "ca"))
    try:
        # Each value of the live source is seen while the other one hangs, one after the other.
        for step in range(1, 9):
            others["steady"].set("LIVE", float(step))
            world.comes("AGED:LIVE_SEEN", float(step))
        world.comes("AGED:YOUNG_SEEN", 4.0, 3)
        world.comes("AGED:POLLED_SEEN", 4.0, 3)
        # The read that hangs may take the timeout of 1 s.
        assert usual_cycle(world, "AGED", before) < 0.7
        for provider in PROVIDERS:
            invalid = [one["seen"] for one in world.events("AGED:ANY_SEEN", provider) if one["severity"] == 3]
            stale = [one["seen"] for one in world.events("AGED:YOUNG_SEEN", provider) if one["severity"] == 3]
            assert not invalid or invalid[-1] > stale[-1], (
                "only max_age makes a value stale before the connection ends"
            )
    finally:
        others["troubled"].go_on()
    for kind in ("YOUNG", "POLLED", "ANY"):
        world.comes(f"AGED:{kind}_SEEN", 4.0)
    for kind in ("QUIET", "QUIETER"):
        # It never changed, for many times its max_age: the host asked, and it lives.
        for provider in PROVIDERS:
            seen = world.events(f"AGED:{kind}_SEEN", provider)
            since = next(index for index, one in enumerate(seen) if one["severity"] == 0)
            assert {one["severity"] for one in seen[since:]} == {0}, f"{kind} over {provider}: {seen}"


def test_a_slow_target_gets_the_latest_value_and_delays_nothing(
    world: World, others: dict[str, OtherIoc]
) -> None:
    source, target = others["steady"], others["troubled"]
    taken = {name: target.changes[name] for name in ("SLOW_CA", "SLOW_PVA")}
    world.comes("SLOW:SEEN", 0.0)
    until(lambda: all(taken.values()), "the first values are forwarded")
    for name in taken:
        target.slow(name, 1.0)
    for step in range(1, 9):
        source.set("S", float(step))
        world.comes("SLOW:SEEN", float(step))
    assert all(values[-1] != 8.0 for values in taken.values()), "it would not be slow"
    for name, values in taken.items():
        until(lambda values=values: values[-1] == 8.0, f"{name} gets the last value: {values}")  # type: ignore[misc]
        assert values == sorted(values), f"{name} gets them in order"
        assert len(values) < 8, f"{name} gets not all of them"
        target.slow(name, 0.0)


def test_eight_dead_links_do_not_stretch_the_cycle_nor_delay_the_live_one(
    world: World, others: dict[str, OtherIoc]
) -> None:
    others["steady"].set("ALIVE", 1.0)
    world.comes("DEADS:TRIPPED", 0)
    others["steady"].set("ALIVE", 10.0)
    world.comes("DEADS:TRIPPED", 1)
    # Each dead link would cost the timeout of 2 s.
    assert usual_cycle(world, "DEADS", 0) < 1.0
    world.comes("DEADS:WRONG", 0, 3)
    assert {one["value"] for one in world.events("DEADS:WRONG", "pva")} == {0}
    detail = world.show("deads")
    assert detail.view.degraded
    assert sum(port.link.connected for port in detail.ports if port.link) == 1
    others["steady"].set("ALIVE", 1.0)
    world.comes("DEADS:TRIPPED", 0)


def test_equal_input_names_do_not_disturb_each_other(world: World, others: dict[str, OtherIoc]) -> None:
    source = others["steady"]
    source.set("XA", 11.0)
    source.set("XB", 22.0)
    world.comes("TWINA:SEEN", 11.0)
    world.comes("TWINB:SEEN", 22.0)
    world.comes("TWINC:SEEN", 11.0)
    world.client.tasks["twin-a"].stop()
    try:
        world.comes("TWINA:SEEN", 11.0, 3)
        source.set("XA", 12.0)
        source.set("XB", 23.0)
        world.comes("TWINB:SEEN", 23.0)
        world.comes("TWINC:SEEN", 12.0)
        assert world.shows("TWINA:SEEN", 11.0, 3)
    finally:
        world.client.tasks["twin-a"].start()
    world.comes("TWINA:SEEN", 12.0)
    source.set("XA", 13.0)
    world.comes("TWINA:SEEN", 13.0)
    world.comes("TWINC:SEEN", 13.0)
