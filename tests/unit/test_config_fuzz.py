"""No text makes the config reader or the builder raise; whatever is refused has a file."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from iocmng.config import InputPort, OutputPort, PluginConfig, parse_config
from iocmng.config.explain import known_keys
from iocmng.spec import Kind, PluginRef
from iocmng.spec.build import describe
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
rules: [{id: a, condition: x}]
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
        return
    for kind in Kind:
        plugin = PluginRef(name="p", target="m")
        spec, findings = describe(
            loaded.config, plugin, kind=kind, name="p", host_prefix="T", locate=loaded.locate
        )
        assert (spec is None) == any(finding.level is Level.ERROR for finding in findings)


@settings(max_examples=150, deadline=None)
@given(CONFIGS, st.booleans())
def test_any_mapping(config: dict[str, Any], lenient: bool) -> None:
    check(yaml.safe_dump(config), lenient=lenient)


@settings(max_examples=150, deadline=None)
@given(PORTS, st.sampled_from(["inputs", "outputs"]), st.booleans())
def test_any_port(port: dict[str, Any], section: str, lenient: bool) -> None:
    check(yaml.safe_dump({"arguments": {section: {"A": port}}}), lenient=lenient)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 6), st.text(max_size=4), st.booleans())
def test_any_slip_of_the_hand(position: int, gone: int, typed: str, lenient: bool) -> None:
    check(GOOD[:position] + typed + GOOD[position + gone :], lenient=lenient)
