"""Config, plugin and settings become one description of an instance."""

from __future__ import annotations

from typing import Any

import pytest

from iocmng.config import SupervisionKeys, parse_config
from iocmng.settings import InstanceSettings
from iocmng.spec import Direction, InstanceSpec, Kind, Mode, OnStall, PluginRef, RecordSpec, RestartPolicy
from iocmng.spec.build import describe, describe_invalid
from iocmng.spec.defaults import job_defaults
from iocmng.wire import Finding, Level

PLUGIN = PluginRef(name="beam-monitor", target="acme:Monitor", version="1.2")


def build(text: str, **given: Any) -> tuple[InstanceSpec | None, list[Finding]]:
    loaded = parse_config(text, "c.yaml")
    assert loaded.config is not None, [str(finding) for finding in loaded.findings]
    options: dict[str, Any] = {"kind": Kind.TASK, "name": "beam-monitor", "host_prefix": "LAB:T", **given}
    return describe(loaded.config, PLUGIN, locate=loaded.locate, **options)


def made(text: str = "", **given: Any) -> InstanceSpec:
    spec, findings = build(text, **given)
    assert spec is not None, [str(finding) for finding in findings]
    return spec


def record(port: str, *, section: str = "outputs") -> RecordSpec:
    return made(f"arguments: {{{section}: {{X: {port}}}}}").ports[0].record


def fault(text: str, **given: Any) -> Finding:
    spec, findings = build(text, **given)
    assert spec is None
    errors = [finding for finding in findings if finding.level is Level.ERROR]
    assert len(errors) == 1, errors
    return errors[0]


def test_names() -> None:
    spec = made("arguments: {outputs: {A: {}}}")
    assert spec.prefix == "BEAM-MONITOR"
    assert spec.pv_prefix == "LAB:T:BEAM-MONITOR"
    assert spec.ports[0].record.name == "LAB:T:BEAM-MONITOR:A"
    assert spec.defaults["STATUS"].name == "LAB:T:BEAM-MONITOR:STATUS"
    assert made("prefix: BM").pv_prefix == "LAB:T:BM"
    assert made("prefix: BM", site=InstanceSettings(plugin="beam-monitor", prefix="X")).pv_prefix == "LAB:T:X"
    assert made("prefix: BM", flat=True).pv_prefix == "LAB:T"
    assert made(host_prefix="").pv_prefix == "BEAM-MONITOR"


@pytest.mark.parametrize(
    ("port", "output", "input_"),
    [
        ("{}", "ai", "ao"),
        ("{type: int}", "longin", "longout"),
        ("{type: int, high: 3000000000}", "int64in", "int64out"),
        ("{type: int, value: -3000000000}", "int64in", "int64out"),
        ("{type: int, alarm: {hihi: 3000000000}}", "int64in", "int64out"),
        ("{type: bool}", "bi", "bo"),
        ("{type: string}", "stringin", "stringout"),
        ("{type: string, size: 40}", "lsi", "lso"),
        ("{type: enum, labels: [a, b]}", "mbbi", "mbbo"),
        ("{type: array, length: 3}", "waveform", "waveform"),
    ],
)
def test_record_types(port: str, output: str, input_: str) -> None:
    assert record(port).record_type == output
    assert not record(port).writable
    assert record(port, section="inputs").record_type == input_
    assert record(port, section="inputs").writable


@pytest.mark.parametrize(
    ("port", "fields"),
    [
        ("{}", {"PREC": "3"}),
        ("{prec: 1, low: -1, high: 2.5}", {"PREC": "1", "LOPR": "-1.0", "HOPR": "2.5"}),
        ("{deadband: 0.5, archive_deadband: 2}", {"PREC": "3", "MDEL": "0.5", "ADEL": "2.0"}),
        (
            "{alarm: {lolo: 1, low: 2, high: 3, hihi: 4, hysteresis: 0.1}}",
            {"PREC": "3", "LOLO": "1.0", "LLSV": "MAJOR", "LOW": "2.0", "LSV": "MINOR", "HIGH": "3.0",
             "HSV": "MINOR", "HIHI": "4.0", "HHSV": "MAJOR", "HYST": "0.1"},
        ),
        ("{alarm: {high: 3, severity: MAJOR}}", {"PREC": "3", "HIGH": "3.0", "HSV": "MAJOR"}),
        ("{alarm: {high: 3, severity: {high: INVALID}}}", {"PREC": "3", "HIGH": "3.0", "HSV": "INVALID"}),
        ("{alarm_on: MAJOR, high: 9}", {"PREC": "3", "HOPR": "9.0", "HIGH": "9.0", "HSV": "MAJOR"}),
        ("{alarm_on: minor, type: int, high: 9}", {"HOPR": "9", "HIGH": "9", "HSV": "MINOR"}),
        ("{type: int, low: 1, high: 5, deadband: 2}", {"LOPR": "1", "HOPR": "5", "MDEL": "2"}),
        ("{type: int, high: 9007199254740993}", {"HOPR": "9007199254740993"}),
        ("{type: bool, alarm_on: MAJOR}", {"OSV": "MAJOR"}),
        ("{type: bool, alarm: {severity: {Off: MINOR}}}", {"ZSV": "MINOR"}),
        ("{type: enum, labels: [a, b], alarm: {severity: {b: MAJOR}}}", {"ONSV": "MAJOR"}),
        ("{type: array, length: 2, prec: 1, high: 5}", {"PREC": "1", "HOPR": "5.0"}),
        ("{type: array, length: 2, dtype: string}", {}),
        ("{type: string}", {}),
        ("{fields: {PREC: 5, EGU: mm, FLNK: 'A:B'}}", {"PREC": "5", "EGU": "mm", "FLNK": "A:B"}),
    ],
)  # fmt: skip
def test_fields(port: str, fields: dict[str, str]) -> None:
    assert dict(record(port).fields) == fields


def test_writable_inputs_are_clamped_when_both_limits_are_given() -> None:
    assert dict(record("{low: 0, high: 5}", section="inputs").fields)["DRVH"] == "5.0"
    assert dict(record("{low: 0, high: 5}", section="inputs").fields)["DRVL"] == "0.0"
    for port in ("{low: 0, high: 5, clamp: no}", "{low: 0}", "{high: 5}"):
        assert "DRVL" not in dict(record(port, section="inputs").fields)
    assert "DRVL" not in dict(record("{low: 0, high: 5}").fields)


def test_other_attributes_of_a_record() -> None:
    made_record = record(
        "{unit: mm, description: 'a length', info: {archive: yes, rate: 2}, access: OPS}", section="inputs"
    )
    assert made_record.unit == "mm"
    assert made_record.description == "a length"
    assert made_record.info == (("archive", "yes"), ("rate", "2"))
    assert made_record.access == "OPS"
    assert made_record.autosave
    assert not record("{autosave: false}", section="inputs").autosave
    assert not record("{}").autosave
    assert record("{type: string, size: 100}").length == 100
    assert record("{type: array, value: [1, 2, 3]}").length == 3
    assert record("{type: bool, znam: Shut, onam: Open}").labels == ("Shut", "Open")


@pytest.mark.parametrize(
    ("port", "value"),
    [
        ("{value: 3}", 3.0),
        ("{}", None),
        ("{type: bool, value: on}", True),
        ("{type: bool, value: 0}", False),
        ("{type: bool, onam: OPEN, value: OPEN}", True),
        ("{type: enum, labels: [Off, On], value: On}", 1),
        ("{type: enum, labels: [a, b], value: 1}", 1),
        ("{type: string, value: yes}", "yes"),
        ("{type: int, value: 3.0}", 3),
        ("{value: .nan}", pytest.approx(float("nan"), nan_ok=True)),
    ],
)
def test_declared_values(port: str, value: object) -> None:
    spec = made(f"arguments: {{outputs: {{X: {port}}}}}")
    assert spec.ports[0].value == value
    assert spec.ports[0].record.value == value


@pytest.mark.parametrize(
    ("port", "says"),
    [
        ("{value: high}", "number"),
        ("{type: int, value: 1.5}", "whole"),
        ("{type: bool, value: 2}", "neither"),
        ("{type: enum, labels: [a, b], value: c}", "known: a, b"),
        ("{type: string, value: 5}", "quote it"),
        ("{type: array, length: 2, value: [1, 2, 3]}", "at most 2"),
        ("{type: array, length: 2, dtype: int8, value: [300]}", "int8"),
        ("{low: 0, high: 1, value: 2}", "outside"),
    ],
)
def test_a_value_that_does_not_fit(port: str, says: str) -> None:
    finding = fault(f"arguments:\n  inputs:\n    X: {port}")
    assert finding.code == "value"
    assert finding.where.line == 3
    assert finding.where.key == "arguments.inputs.X.value"
    assert says in f"{finding.message} {finding.hint}"


def test_fail_safe_values() -> None:
    port = made("arguments: {outputs: {X: {fail_safe: 5, on_pause: hold}}}").ports[0]
    assert (port.fail_safe, port.hold_on_pause, port.value) == (5.0, True, None)
    assert fault("arguments: {outputs: {X: {type: int, fail_safe: a}}}").where.key.endswith("X.fail_safe")


def test_directions_and_order() -> None:
    spec = made("arguments: {outputs: {Z: {}, A: {}}, inputs: {M: {}}}")
    assert [(port.name, port.direction) for port in spec.ports] == [
        ("M", Direction.INPUT), ("Z", Direction.OUTPUT), ("A", Direction.OUTPUT),
    ]  # fmt: skip
    assert len(spec.records) == len(spec.defaults) + 3


def test_tasks_and_jobs() -> None:
    spec = made("parameters: {mode: triggered, interval: 2, timeout: 3}")
    assert spec.mode is Mode.TRIGGERED
    assert "RUN" in spec.defaults
    assert (spec.interval, spec.timeout) == (2.0, 3.0)
    assert spec.stall_after == 10.0
    job = made("job: {on_busy: queue, lock: crate, run_timeout: 5}", kind=Kind.JOB)
    assert job.defaults.keys() == job_defaults("").keys()
    assert (job.job.on_busy, job.job.lock, job.job.run_timeout) == ("queue", "crate", 5.0)
    assert job.job.keep_runs is None


def test_sections_of_the_other_kind_are_warned_about() -> None:
    assert [f.code for f in build("job: {keep_runs: 3}")[1]] == ["does-not-apply"]
    assert [f.code for f in build("supervision: {restart: always}", kind=Kind.JOB)[1]] == ["does-not-apply"]
    assert build("supervision: {start_order: 3}", kind=Kind.JOB)[1] == []


def test_supervision_of_config_and_site() -> None:
    text = "supervision: {restart: always, restart_max: 3, on_stall: exit, depends_on: [a]}"
    supervision = made(text).supervision
    assert supervision.restart is RestartPolicy.ALWAYS
    assert supervision.on_stall is OnStall.EXIT
    assert supervision.depends_on == ("a",)
    site = InstanceSettings(plugin="beam-monitor", supervision=SupervisionKeys(restart_max=9))
    both = made(text, site=site).supervision
    assert (both.restart, both.restart_max) == (RestartPolicy.ALWAYS, 9)


def test_a_port_takes_the_place_of_a_default_pv() -> None:
    spec, findings = build("arguments: {outputs: {BUSY: {type: string}}}")
    assert spec is not None
    assert "BUSY" not in spec.defaults
    assert spec.ports[0].record.record_type == "stringin"
    assert [(finding.level, finding.code, finding.where.line) for finding in findings] == [
        (Level.NOTE, "takes-default", 1)
    ]


def test_in_a_directory_the_default_pv_keeps_its_refused_name() -> None:
    loaded = parse_config("arguments: {outputs: {STATUS: {}, A: {}}}", "c.yaml", lenient=True)
    assert loaded.config is not None
    spec, findings = describe(
        loaded.config, PLUGIN, kind=Kind.TASK, name="a", host_prefix="L", locate=loaded.locate
    )
    assert spec is not None
    assert [port.name for port in spec.ports] == ["A"]
    assert spec.defaults["STATUS"].record_type == "mbbi"
    assert not findings


def test_parameters_in_layers() -> None:
    text = "parameters: {interval: 1.0, a: 1, b: 1, c: 1, d: 1, deep: {x: 1, y: 1}}"
    environ = {"BEAM_MONITOR_B": "2", "BEAM_MONITOR_C": "2", "BEAM_MONITOR_D": "2", "BEAM_MONITOR_E": "2"}
    spec = made(
        text,
        environ=environ,
        site=InstanceSettings(plugin="beam-monitor", parameters={"c": 3, "d": 3, "e": 3, "deep": {"y": 3}}),
        requested={"d": 4, "interval": 0.5},
        chosen={"f": 5},
    )
    shown = {name: (parameter.value, parameter.origin) for name, parameter in spec.parameters.items()}
    assert shown == {
        "interval": (0.5, "request"),
        "a": (1, "config.yaml"),
        "b": (2, "environment"),
        "c": (3, "site"),
        "d": (4, "request"),
        "deep": ({"x": 1, "y": 3}, "site"),
        "e": (3, "site"),
        "f": (5, "set"),
    }
    assert spec.interval == 0.5
    assert made(text).parameters["deep"].value == {"x": 1, "y": 1}


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [("1", "5", 5), ("1.5", "2", 2.0), ("yes", "off", False), ("true", "0", False), ("abc", "5", "5"),
     ("[1]", "[2, 3]", [2, 3]), ("{a: 1}", "{a: 2}", {"a": 2}), ("null", "x", "x"), ("'1'", "no", "no")],
)  # fmt: skip
def test_a_variable_takes_the_type_of_its_parameter(declared: str, text: str, value: object) -> None:
    spec = made(f"parameters: {{gain: {declared}}}", environ={"BEAM_MONITOR_GAIN": text})
    assert spec.parameters["gain"].value == value
    assert type(spec.parameters["gain"].value) is type(value)


@pytest.mark.parametrize(
    ("declared", "text"), [("1", "x"), ("1", "1.5"), ("yes", "2"), ("[1]", "3"), ("1.5", "[")]
)
def test_a_variable_of_the_wrong_type(declared: str, text: str) -> None:
    finding = fault(f"parameters: {{gain: {declared}}}", environ={"BEAM_MONITOR_GAIN": text})
    assert finding.code == "environment"
    assert "BEAM_MONITOR_GAIN" in finding.message
    assert repr(text) in finding.message


def test_reserved_parameters_are_checked_wherever_they_come_from() -> None:
    finding = fault("", requested={"interval": "fast"})
    assert "'interval' (from request)" in finding.message
    assert "'fast'" in finding.message
    assert fault("", chosen={"mode": "reactive"}).code == "no-trigger"


def test_a_misspelt_parameter_is_warned_about() -> None:
    site = InstanceSettings(plugin="p", parameters={"treshold": 3, "other": 1, "gain": 2})
    spec, findings = build("parameters: {threshold: 1}", site=site, declared=["gain"])
    assert spec is not None
    assert [(f.code, f.hint) for f in findings] == [("unknown-parameter", "did you mean 'threshold'?")]


def test_versions() -> None:
    assert made().version == "1.2"
    assert made("parameters: {version: '2.0-beta'}").version == "2.0-beta"
    assert made("parameters: {version: 2}").version == "2"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "host"}, "prefix"),
        ({"site": InstanceSettings(plugin="p", prefix="A B")}, "prefix"),
        ({"host_prefix": "X" * 40}, "pv-too-long"),
    ],
)
def test_names_that_cannot_be(given: dict[str, Any], code: str) -> None:
    spec, findings = build("", **given)
    assert spec is None
    assert code in {finding.code for finding in findings}


def test_a_pv_name_of_61_characters() -> None:
    room = 60 - len("LAB:T:BEAM-MONITOR:")
    assert made(f"arguments: {{outputs: {{{'X' * room}: {{}}}}}}")
    finding = fault(f"arguments:\n  outputs:\n    {'X' * (room + 1)}: {{}}")
    assert finding.code == "pv-too-long"
    assert "61" in finding.message
    assert (finding.where.line, finding.where.column) == (3, 5)


def test_what_a_refused_plugin_still_shows() -> None:
    spec = describe_invalid(PLUGIN, name="beam-monitor", host_prefix="LAB", prefix="BM")
    assert [record.name for record in spec.records] == [
        "LAB:BM:STATUS",
        "LAB:BM:MESSAGE",
        "LAB:BM:LAST_ERROR",
    ]
    assert describe_invalid(PLUGIN, name="x", host_prefix="LAB", prefix="A B").records == ()
    assert describe_invalid(PLUGIN, name="x", host_prefix="L" * 60).records == ()
    assert describe_invalid(PLUGIN, name="host", host_prefix="LAB").records == ()


def test_instances_of_one_config_share_what_is_equal() -> None:
    text = "arguments: {outputs: {A: {alarm: {high: 3}}}}\n# shared"
    one, two = made(text, name="one"), made(text, name="two")
    assert one.ports[0].record.fields is two.ports[0].record.fields
    assert one.parameters is two.parameters
    assert one.ports[0].record.name != two.ports[0].record.name
