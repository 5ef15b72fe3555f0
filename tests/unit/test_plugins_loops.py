"""Changes that come back to where they began, across instances of one host."""

from __future__ import annotations

import time

import pytest

from iocmng.config import parse_config
from iocmng.plugins.loops import trigger_loops
from iocmng.spec import InstanceSpec, Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.wire import Level


def spec(name: str, text: str, *, mode: str = "reactive", code: str = "") -> InstanceSpec:
    loaded = parse_config(f"parameters: {{mode: {mode}}}\n{text}", "c.yaml")
    assert loaded.config is not None, loaded.findings
    plugin = PluginRef(name=name, target=name)
    made, findings = describe(
        loaded.config, plugin, kind=Kind.TASK, name=name, host_prefix="H", class_name=code
    )
    assert made is not None, findings
    return made


def follower(source: str, link: str = "trigger: true") -> str:
    return f"""
arguments:
  inputs: {{IN: {{link: {source}, {link}}}, OTHER: {{link: 'Z:Z', trigger: true}}}}
  outputs: {{OUT: {{}}, FREE: {{}}}}
transforms: [{{output: OUT, expression: IN + 1}}, {{output: FREE, expression: OTHER}}]
"""


RULES = """
arguments:
  inputs: {IN: {link: 'H:B:OUT', trigger: true}}
  outputs: {MID: {}, OUT: {value: 0}}
transforms: [{output: MID, expression: mean(IN)}]
rules: [{id: r, condition: MID > 3 or not IN_ok, outputs: {OUT: 1}}]
"""


def found(*specs: InstanceSpec) -> dict[str, str]:
    faults = list(trigger_loops(specs))
    assert all((one.level, one.code) == (Level.WARNING, "trigger-loop") for _, one in faults)
    assert len({name for name, _ in faults}) == len(faults)
    return {name: one.message for name, one in faults}


def test_two_instances_that_follow_each_other() -> None:
    ring = found(
        spec("a", follower("H:B:OUT")),
        spec("b", follower("ca://H:A:OUT.VAL")),
        spec("c", follower("H:A:OUT")),
    )
    assert set(ring) == {"a", "b"}
    assert ring["a"] == "a: a change goes round: H:A:IN → H:A:OUT → H:B:IN → H:B:OUT → H:A:IN"


def test_rules_and_transforms_lead_through_an_instance() -> None:
    assert set(found(spec("a", RULES), spec("b", follower("H:A:OUT")))) == {"a", "b"}
    assert set(found(spec("a", RULES), spec("b", follower("H:A:MID")))) == {"a", "b"}


def test_an_instance_that_follows_itself() -> None:
    assert set(found(spec("a", follower("H:A:OUT")))) == {"a"}


@pytest.mark.parametrize("source", ["H:A:FREE", "H:A:OUT.HIGH", "X:A:OUT", "H:A:STATUS"])
def test_what_does_not_depend_on_it_closes_no_circle(source: str) -> None:
    assert found(spec("a", follower("H:B:OUT")), spec("b", follower(source))) == {}


def test_a_link_that_does_not_trigger_breaks_it() -> None:
    assert found(spec("a", follower("H:B:OUT")), spec("b", follower("H:A:OUT", "link_mode: poll"))) == {}
    assert found(spec("a", follower("H:B:OUT")), spec("b", follower("H:A:OUT"), mode="continuous")) == {}


POINTS = """
arguments:
  inputs: {{POINT: {{}}, GO: {{link: '{target}', trigger: true}}}}
  outputs: {{OUT: {{link: '{target}'}}}}
transforms: [{{output: OUT, expression: POINT + 1}}]
"""


def test_outputs_that_set_each_others_points() -> None:
    ring = found(spec("a", POINTS.format(target="H:B:POINT")), spec("b", POINTS.format(target="H:A:POINT")))
    assert set(ring) == {"a", "b"}
    assert (
        found(spec("a", POINTS.format(target="H:B:POINT")), spec("b", POINTS.format(target="H:A:OUT"))) == {}
    )


ACTS = """
arguments:
  inputs: {{POINT: {{}}, GATE: {{link: '{target}', trigger: true}}}}
rules: [{{id: r, condition: {reads} > 1, actuators: {{GATE: 0}}, on_invalid: hold}}]
"""


def test_actuators_that_set_each_others_points() -> None:
    one = spec("a", ACTS.format(target="H:B:POINT", reads="POINT"))
    other = spec("b", ACTS.format(target="H:A:POINT", reads="POINT"))
    assert set(found(one, other)) == {"a", "b"}
    assert found(one, spec("b", ACTS.format(target="H:A:POINT", reads="GATE"))) == {}


def test_a_rule_may_read_what_it_commands() -> None:
    assert (
        found(spec("a", ACTS.format(target="H:B:POINT", reads="GATE")), spec("b", POINTS.format(target="X")))
        == {}
    )


def test_code_may_make_everything_of_everything() -> None:
    ports = "arguments: {{inputs: {{IN: {{link: '{0}', trigger: true}}}}, outputs: {{OUT: {{}}}}}}"
    one, other = spec("a", ports.format("H:B:OUT"), code="A"), spec("b", ports.format("H:A:OUT"), code="B")
    assert set(found(one, other)) == {"a", "b"}
    assert found(one, spec("b", ports.format("H:A:OUT"))) == {}


def test_later_rules_follow_earlier_ones() -> None:
    chain = """
arguments:
  inputs: {IN: {link: 'H:B:OUT', trigger: true}}
  outputs: {MID: {value: 0}, OUT: {value: 0}}
rules: [{id: r, condition: IN, outputs: {MID: 1}}, {id: s, condition: MID, outputs: {OUT: 1}}]
"""
    assert set(found(spec("a", chain), spec("b", follower("H:A:OUT")))) == {"a", "b"}
    back = chain.replace("condition: IN", "condition: OUT").replace("condition: MID", "condition: IN")
    assert found(spec("a", back), spec("b", follower("H:A:MID"))) == {}


def test_a_rule_that_reads_its_own_output_is_no_circle() -> None:
    text = RULES.replace("MID > 3 or not IN_ok", "OUT > 1 or IN > 3")
    assert found(spec("a", text), spec("b", follower("H:A:MID", "link_mode: poll"))) == {}


def test_a_long_row_and_a_long_circle() -> None:
    row = [spec(f"i{n}", follower(f"H:I{n - 1}:OUT")) for n in range(1, 100)]
    assert found(*row) == {}
    begin = time.process_time()
    ring = found(*row, spec("i0", follower("H:I99:OUT")))
    assert time.process_time() - begin < 1
    assert len(ring) == 100
    assert len(ring["i0"]) < 200


def test_circles_that_share_a_way_are_told_once() -> None:
    fork = RULES.replace("{MID: {}, OUT: {value: 0}}", "{MID: {}, OUT: {value: 0}, SIDE: {value: 0}}")
    fork = fork.replace("outputs: {OUT: 1}", "outputs: {OUT: 1, SIDE: 1}")
    inputs = "{X: {link: 'H:A:OUT', trigger: on}, Y: {link: 'H:A:SIDE', trigger: on}}"
    both = f"arguments: {{inputs: {inputs}, outputs: {{OUT: {{}}}}}}"
    assert set(
        found(spec("a", fork), spec("b", f"{both}\ntransforms: [{{output: OUT, expression: X + Y}}]"))
    ) == {"a", "b"}
