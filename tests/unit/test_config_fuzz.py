"""No text makes the config reader or the builder raise; whatever is refused has a file."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iocmng.config import InputPort, OutputPort, PluginConfig, parse_config
from iocmng.config.explain import known_keys
from iocmng.logic.check import check_logic
from iocmng.logic.engine import Program
from iocmng.spec import Kind, PluginRef
from iocmng.spec.build import describe, value_findings
from iocmng.wire import Level

GOOD = """\
prefix: BM
parameters: {mode: continuous, interval: 0.5, bands: [0, 1]}
arguments:
  inputs:
    SETPOINT: {type: float, value: 50.0, unit: "%", low: 0, high: 100, fields: {EGU: x}}
  outputs:
    PHASE: {type: enum, labels: [Off, On], alarm: {severity: {On: MINOR}}}
    SPECTRUM: {type: array, length: 16, dtype: int32}
    MEAN: {latch: false, link: 'pva://X:Y'}
    NOTE: {type: string, size: 60}
transforms: [{output: MEAN, expression: mean(SETPOINT) + SETPOINT_severity}]
rule_defaults: {PHASE: Off}
rules:
  - {id: a, condition: SETPOINT > 3, outputs: {PHASE: On}, actuators: {MEAN: 0}, on_invalid: trip}
  - {id: b, condition: "MEAN > 3 or not MEAN_ok", for: 3, message: x, message_pv: NOTE, group: G, severity: MAJOR}
supervision: {restart: no, depends_on: [a]}
"""

SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(codec="ascii"), max_size=50)
    | st.sampled_from(["float", "int", "bool", "string", "enum", "array", "MAJOR", "int8", "STATUS", "$(x)"])
)
LOOSE = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
PORTS = st.dictionaries(
    st.sampled_from(sorted({*InputPort.model_fields, *OutputPort.model_fields, "typo"})),
    LOOSE | st.dictionaries(st.sampled_from(["low", "high", "severity", "EGU", "x y"]), SCALARS, max_size=3),
    max_size=6,
)
SECTIONS = st.dictionaries(
    st.sampled_from(["A", "B", "STATUS", "BUSY", "a-b", "mean"]), PORTS | SCALARS, max_size=3
)
# Mostly right, so that much of it is accepted; a slip in one place or another.
RIGHT = [
    "A > 1",
    "mean(A_buf) + B",
    "B and not A",
    "A_age > 1 or V_ok",
    "clamp(A, 0, B) if V else 1",
    "G_FIRST",
    "C",
]
WRONG = ["", "A +", "D", "'x' == A", "B_buf", "mean()"]
EXPRESSIONS = st.sampled_from([*RIGHT, *WRONG])
VALUES = st.dictionaries(st.sampled_from("BBCCNA"), st.sampled_from([0, 1, 1.5, True, True, "x"]), max_size=2)
RULES = st.fixed_dictionaries(
    {"id": st.sampled_from("abcdefgh"), "condition": EXPRESSIONS},
    optional={
        "outputs": VALUES, "actuators": st.sampled_from([{"V": 1}, {"V": [1, 2]}, {"A": 0}, {"B": 1}]),
        "message_pv": st.sampled_from("NNNB"), "message": st.text(max_size=9), "for": st.sampled_from([0, 1.5, -1]),
        "clear_when": EXPRESSIONS, "group": st.sampled_from(["G", "G", "a b"]), "repeat": st.just(2),
        "on_invalid": st.sampled_from(["hold", "trip", "ignore"]), "severity": st.sampled_from(["MAJOR", "major"]),
    },
)  # fmt: skip
PORTS_OF_LOGIC = {
    "inputs": {
        "A": {"link": "X:A", "trigger": True, "buffer_size": 3},
        "V": {"type": "bool", "link": "ca://X:V"},
    },
    "outputs": {"B": {}, "C": {"link": "Y:C", "latch": False, "fail_safe": 1}, "N": {"type": "string"}},
}
LOGIC = st.fixed_dictionaries(
    {
        "parameters": st.sampled_from([{}, {"mode": "reactive"}, {"A": 1}]),
        "arguments": st.just(PORTS_OF_LOGIC),
    },
    optional={
        "transforms": st.lists(
            st.fixed_dictionaries({"output": st.sampled_from("BCN"), "expression": EXPRESSIONS}), max_size=2
        ),
        "rule_defaults": VALUES,
        "rules": st.lists(RULES, max_size=2, unique_by=lambda one: one["id"]),
    },
)
CONFIGS = st.dictionaries(
    st.sampled_from(sorted(known_keys(PluginConfig, ()))),
    st.fixed_dictionaries({}, optional={"inputs": SECTIONS, "outputs": SECTIONS}) | LOOSE | PORTS,
    max_size=4,
)


def check(text: str, *, lenient: bool) -> None:
    loaded = parse_config(text, "c.yaml", lenient=lenient)
    assert (loaded.config is None) == any(finding.level is Level.ERROR for finding in loaded.findings)
    for finding in loaded.findings:
        assert finding.where.file == "c.yaml"
        assert finding.message
    if loaded.config is None:
        check_logic(loaded, lenient=lenient)
        if loaded.exact and loaded.partial is not None:
            value_findings(loaded.partial, loaded.locate)
        return
    for kind in Kind:
        plugin = PluginRef(name="p", target="m")
        spec, findings = describe(
            loaded.config, plugin, kind=kind, name="p", host_prefix="T", locate=loaded.locate
        )
        assert (spec is None) == any(finding.level is Level.ERROR for finding in findings)
        of_logic = check_logic(loaded, spec, lenient=lenient)
        assert all(finding.where.file == "c.yaml" for finding in of_logic)
        if spec is not None and not any(finding.level is Level.ERROR for finding in of_logic):
            Program.compile(spec)


@settings(max_examples=150, deadline=None)
@given(CONFIGS, st.booleans())
def test_any_mapping(config: dict[str, Any], lenient: bool) -> None:
    check(yaml.safe_dump(config), lenient=lenient)


@settings(max_examples=120, deadline=None)
@given(LOGIC, st.booleans())
def test_what_is_accepted_can_be_compiled(config: dict[str, Any], lenient: bool) -> None:
    check(yaml.safe_dump(config), lenient=lenient)


@settings(max_examples=150, deadline=None)
@given(PORTS, st.sampled_from(["inputs", "outputs"]), st.booleans())
def test_any_port(port: dict[str, Any], section: str, lenient: bool) -> None:
    check(yaml.safe_dump({"arguments": {section: {"A": port}}}), lenient=lenient)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 6), st.text(max_size=4), st.booleans())
def test_any_slip_of_the_hand(position: int, gone: int, typed: str, lenient: bool) -> None:
    check(GOOD[:position] + typed + GOOD[position + gone :], lenient=lenient)
