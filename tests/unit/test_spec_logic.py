"""Links, latches and logic of a config become specs, with every value as its record takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from iocmng.config import parse_config
from iocmng.names import LinkAddress, Provider
from iocmng.settings.instances import InstanceSettings
from iocmng.spec import (
    AgeBy,
    InstanceSpec,
    Kind,
    LatchDirection,
    LinkMode,
    LinkSpec,
    OnInvalid,
    PluginRef,
    PortSpec,
)
from iocmng.spec.build import describe
from iocmng.values import DType, Severity
from iocmng.wire import Finding, Level

PLUGIN = PluginRef(name="lock", target="acme.lock")


def build(text: str, **options: Any) -> tuple[InstanceSpec | None, list[Finding]]:
    loaded = parse_config(text, "c.yaml")
    assert loaded.config is not None, loaded.findings
    options = {"kind": Kind.TASK, "name": "lock", "host_prefix": "L", "locate": loaded.locate} | options
    return describe(loaded.config, PLUGIN, **options)


def made(text: str, **options: Any) -> InstanceSpec:
    spec, findings = build(text, **options)
    assert spec is not None, findings
    return spec


def ports(spec: InstanceSpec) -> dict[str, PortSpec]:
    return {port.name: port for port in spec.ports}


def fault(text: str, **options: Any) -> Finding:
    spec, findings = build(text, **options)
    errors = [one for one in findings if one.level is Level.ERROR]
    assert spec is None
    assert len(errors) == 1, findings
    return errors[0]


LINKS = """\
arguments:
  inputs:
    PLAIN: {link: 'A:X'}
    CA: {link: 'ca://A:Y', link_mode: monitor, max_age: 3, age_by: source}
    FAST: {link: 'pva://A:Z.HIGH', trigger: true, poll_rate: 0.5}
    READ: {link: 'A:U', link_mode: poll, trigger: true}
    POINT: {buffer_size: 9}
  outputs:
    ECHO: {link: 'B:X', reassert: false}
    SHOW: {}
"""


def test_links_of_ports() -> None:
    found = ports(made(LINKS))
    assert found["PLAIN"].link == LinkSpec(address=LinkAddress(Provider.PVA, "A:X"))
    assert found["CA"].link == LinkSpec(
        address=LinkAddress(Provider.CA, "A:Y"), mode=LinkMode.MONITOR, max_age=3.0, age_by=AgeBy.SOURCE
    )
    assert found["FAST"].link == LinkSpec(
        address=LinkAddress(Provider.PVA, "A:Z.HIGH"), mode=LinkMode.MONITOR, trigger=True, poll_rate=0.5
    )
    assert found["READ"].link is not None
    assert found["READ"].link.mode is LinkMode.POLL
    assert found["ECHO"].link == LinkSpec(address=LinkAddress(Provider.PVA, "B:X"), reassert=False)
    assert (found["POINT"].link, found["POINT"].buffer_size, found["SHOW"].link) == (None, 9, None)
    assert [port.record.record_type for port in found.values()] == ["ai"] * 4 + ["ao", "ai", "ai"]


@pytest.mark.parametrize(
    ("pva", "parameters", "site", "expected"),
    [
        (True, "", {}, "pva"),
        (False, "", {}, "ca"),
        (True, "parameters: {pva: false}", {}, "ca"),
        (True, "parameters: {pva: off}", {}, "ca"),
        (False, "parameters: {pva: true}", {}, "pva"),
        (True, "parameters: {pva: true}", {"pva": False}, "ca"),
    ],
)
def test_the_provider_of_a_link_without_a_scheme(
    pva: bool, parameters: str, site: dict[str, bool], expected: str
) -> None:
    settings = InstanceSettings(plugin="lock", parameters=site)
    found = ports(made(f"{LINKS}{parameters}", pva=pva, site=settings))
    assert str(found["PLAIN"].link and found["PLAIN"].link.address) == f"{expected}://A:X"
    assert str(found["ECHO"].link and found["ECHO"].link.address) == f"{expected}://B:X"
    assert str(found["CA"].link and found["CA"].link.address) == "ca://A:Y"


def test_inputs_of_a_reactive_task_are_monitored_unless_they_say_otherwise() -> None:
    found = ports(made(f"{LINKS}parameters: {{mode: reactive}}"))
    modes = {name: port.link.mode for name, port in found.items() if port.link}
    assert modes == {"PLAIN": "monitor", "CA": "monitor", "FAST": "monitor", "READ": "poll", "ECHO": "poll"}


def test_a_reactive_task_needs_a_trigger() -> None:
    nothing = fault("parameters:\n  mode: reactive\narguments: {inputs: {A: {link: 'X'}}}")
    assert (nothing.code, nothing.where.line, nothing.where.column) == ("no-trigger", 2, 9)
    assert "trigger: true" in nothing.hint
    spec, findings = build("parameters: {mode: reactive}\narguments: {inputs: {A: {}}}")
    assert spec is not None
    assert [(one.level, one.code) for one in findings] == [(Level.WARNING, "no-trigger")]
    assert build("parameters: {mode: reactive}\narguments: {inputs: {A: {link: X, trigger: true}}}")[1] == []
    assert fault("arguments: {inputs: {A: {link: X}}}", requested={"mode": "reactive"}).code == "no-trigger"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{latch: true}", LatchDirection.RISE),
        ("{latch: yes, latch_dir: fall}", LatchDirection.FALL),
        ("{latch: true, latch_dir: any}", LatchDirection.ANY),
        ("{latch: true, latch_dir: 0->1}", LatchDirection.RISE),
        ("{latch: true, latch_dir: 1->0}", LatchDirection.FALL),
        ("{latch: false}", None),
        ("{}", None),
    ],
)
def test_latches(text: str, expected: LatchDirection | None) -> None:
    rule = "rules: [{id: a, condition: '1', outputs: {A: 1}}]"
    assert made(f"arguments: {{outputs: {{A: {text}}}}}\n{rule}").ports[0].latch is expected


LOGIC = """\
arguments:
  inputs: {T: {link: 'S:T'}, V: {type: enum, labels: [SHUT, OPEN], link: 'S:V'}}
  outputs:
    MEAN: {}
    OK: {type: bool, znam: Bad, onam: Good}
    GATE: {type: enum, labels: [OPEN, 'ON', CLOSED]}
    STEPS: {type: array, length: 3, dtype: int32}
    NOTE: {type: string, size: 80}
transforms: [{output: MEAN, expression: T * 2}]
rule_defaults: {OK: 1, GATE: ON}
rules:
  - {id: a, condition: T > 1, outputs: {OK: Bad, GATE: CLOSED, STEPS: [1, 2], NOTE: off}, actuators: {V: SHUT}}
  - id: b
    condition: T > 2
    for: 3
    clear_for: 4
    clear_when: T < 1
    on_invalid: trip
    settle: 0
    severity: MAJOR
    group: FAULT
    repeat: 10
    message: too hot
    message_pv: NOTE
    actuators: {V: 0, T: [1, 2.5]}
"""


def test_values_are_as_their_records_take_them() -> None:
    spec = made(LOGIC)
    logic = spec.logic
    assert [(one.output, one.expression) for one in logic.transforms] == [("MEAN", "T * 2")]
    assert logic.rule_defaults == {"OK": True, "GATE": 1}
    first, second = logic.rules
    steps = first.outputs["STEPS"]
    assert isinstance(steps, np.ndarray)
    assert (steps.dtype, steps.tolist()) == (np.dtype("int32"), [1, 2])
    assert {name: value for name, value in first.outputs.items() if name != "STEPS"} == {
        "OK": False, "GATE": 2, "NOTE": "off",
    }  # fmt: skip
    assert first.actuators == {"V": "SHUT"}
    assert (first.on_invalid, first.settle, first.severity) == (OnInvalid.HOLD, 5.0, Severity.NO_ALARM)
    assert second.actuators == {"V": 0, "T": [1, 2.5]}
    assert (second.hold_for, second.clear_for, second.clear_when) == (3.0, 4.0, "T < 1")
    assert (second.on_invalid, second.settle, second.severity) == (OnInvalid.TRIP, 0.0, Severity.MAJOR)
    assert (second.group, second.repeat, second.message, second.message_pv) == (
        "FAULT",
        10.0,
        "too hot",
        "NOTE",
    )
    assert logic.outputs == {"MEAN", "OK", "GATE", "STEPS", "NOTE"}


def test_default_pvs_of_links_and_groups() -> None:
    spec = made(LOGIC)
    connections = spec.defaults["CONN_INP"]
    assert (connections.record_type, connections.length, connections.dtype) == ("waveform", 2, DType.UINT8)
    assert (spec.defaults["CONN_INP_NAMES"].record_type, spec.defaults["CONN_INP_NAMES"].length) == (
        "lsi",
        255,
    )
    assert not {"CONN_OUT", "CONN_OUT_NAMES"} & spec.defaults.keys()
    assert spec.defaults["FAULT_FIRST"].name == "L:LOCK:FAULT_FIRST"
    assert spec.defaults["FAULT_FIRST"].record_type == "stringin"
    assert "CYCLE_COUNT" in made(f"{LINKS}parameters: {{mode: reactive}}").defaults
    both = made(LINKS).defaults
    assert (both["CONN_INP"].length, both["CONN_OUT"].length) == (4, 1)
    assert not any(name.startswith("CONN") for name in made("").defaults)
    many = "".join(f"    {'INPUT' * 6}{number}: {{link: X}}\n" for number in range(10))
    assert made(f"arguments:\n  inputs:\n{many}").defaults["CONN_INP_NAMES"].length == 319


def test_names_of_default_pvs_count_for_the_length() -> None:
    group = "G" * 50
    text = f"rules: [{{id: a, condition: '1', group: {group}}}]"
    assert fault(text).code == "pv-too-long"
    assert "_FIRST" in fault(text).message


def test_a_port_may_be_the_pv_of_a_group() -> None:
    rule = "rules: [{id: a, condition: '1', group: G}]"
    spec, findings = build(f"arguments: {{outputs: {{G_FIRST: {{type: string}}}}}}\n{rule}")
    assert spec is not None
    assert "G_FIRST" not in spec.defaults
    assert [one.code for one in findings] == ["takes-default"]
    _, findings = build(f"arguments: {{inputs: {{G_FIRST: {{type: string}}}}}}\n{rule}")
    assert [(one.code, one.where.line) for one in findings if one.level is Level.ERROR] == [("group", 2)]
    assert fault("rules: [{id: a, condition: '1', group: a b}]").code == "group"


@pytest.mark.parametrize(
    ("text", "code", "place", "says"),
    [
        ("rule_defaults: {GAET: OPEN}", "unknown-output", (9, 17), "did you mean 'GATE'?"),
        ("rule_defaults: {T: 3}", "unknown-output", (9, 17), "is an input"),
        ("rule_defaults: {GATE: OPENED}", "output-value", (9, 23), "did you mean 'OPEN'?"),
        ("transforms: [{output: MEEN, expression: '1'}]", "unknown-output", (9, 23), "'MEAN'"),
        ("rules: [{id: a, condition: '1', outputs: {GATE: 3}}]", "output-value", (9, 49), "rule a: GATE"),
        (
            "rules: [{id: a, condition: '1', outputs: {MEAN: high}}]",
            "output-value",
            (9, 49),
            "needs a number",
        ),
        ("rules: [{id: a, condition: '1', outputs: {MEAN: }}]", "output-value", (9, 49), "NoneType"),
        ("rules: [{id: a, condition: '1', outputs: {NOTE: 3}}]", "output-value", (9, 49), "quote it"),
        (
            "rules: [{id: a, condition: '1', outputs: {STEPS: [1, 2, 3, 4]}}]",
            "output-value",
            (9, 50),
            "4 elem",
        ),
        ("rules: [{id: a, condition: '1', actuators: {W: 3}}]", "unknown-actuator", (9, 45), "known: T, V"),
        ("rules: [{id: a, condition: '1', actuators: {GATE: 3}}]", "actuator-unlinked", (9, 45), "add link:"),
        ("rules: [{id: a, condition: '1', actuators: {V: {a: 3}}}]", "output-value", (9, 48), "a list"),
        ("rules: [{id: a, condition: '1', actuators: {V: }}]", "output-value", (9, 48), "None"),
        ("rules: [{id: a, condition: '1', message_pv: NOTES}]", "unknown-output", (9, 45), "'NOTE'"),
        ("rules: [{id: a, condition: '1', message_pv: MEAN}]", "message-pv", (9, 45), "type float"),
    ],
)
def test_references_and_values_are_checked(text: str, code: str, place: tuple[int, int], says: str) -> None:
    head = LOGIC.partition("transforms:")[0]
    finding = fault(f"{head}{text}\n")
    assert (finding.code, finding.level) == (code, Level.ERROR)
    assert (finding.where.line, finding.where.column) == place
    assert says in f"{finding.message} {finding.hint}"


@pytest.mark.parametrize("link", ["L:LOCK:A", "ca://L:LOCK:A", "pva://L:LOCK:A.VAL"])
@pytest.mark.parametrize("section", ["inputs", "outputs"])
def test_a_link_to_itself(link: str, section: str) -> None:
    finding = fault(f"arguments:\n  {section}:\n    A:\n      link: {link}")
    assert (finding.code, finding.where.line, finding.where.column) == ("link-self", 4, 13)


def test_links_to_other_records_are_no_links_to_itself() -> None:
    assert build("arguments: {inputs: {A: {link: 'L:LOCK:B'}, B: {link: 'L:LOCK:B.HIGH'}}}")[1] == []


def test_jobs_have_no_links_and_no_rules() -> None:
    text = "arguments: {inputs: {A: {link: X}}}\nrules: [{id: a, condition: A > 1}]"
    spec, findings = build(text, kind=Kind.JOB)
    assert spec is None
    assert [(one.code, one.where.key) for one in findings] == [
        ("does-not-apply", "rules"),
        ("does-not-apply", "arguments.inputs.A.link"),
    ]


def test_a_broken_port_is_told_once() -> None:
    text = "arguments: {outputs: {A: {value: x}}}\nrules: [{id: a, condition: '1', outputs: {A: 1}}]"
    assert fault(text).code == "value"


def test_a_port_that_is_not_served_cannot_be_written() -> None:
    text = "arguments: {outputs: {STATUS: {}}}\nrules: [{id: a, condition: '1', outputs: {STATUS: 1}}]"
    loaded = parse_config(text, "c.yaml", lenient=True)
    assert loaded.config is not None
    spec, findings = describe(loaded.config, PLUGIN, kind=Kind.TASK, name="a", host_prefix="L")
    assert spec is None
    assert "unknown-output" in {one.code for one in findings}
