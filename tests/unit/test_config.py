"""config.yaml: what is accepted, and what is said about what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from iocmng.config import LoadedConfig, load_config, parse_config
from iocmng.wire import Finding, Level

GOOD = """\
prefix: BM
description: watches the beam
parameters:
  mode: continuous
  interval: 0.5
  threshold: 75.0
  dry_run: no
  bands: [0, 1]
arguments:
  inputs:
    SETPOINT: {type: float, value: 50.0, unit: "%", prec: 2, low: 0, high: 100}
    GO: {type: bool, znam: Off, onam: On, value: on}
  outputs:
    READING: {type: float, value: 0.0, alarm: {high: 80, hihi: 90, severity: {high: MINOR}}}
    PHASE: {type: enum, labels: [Off, Ramping, On], alarm: {severity: {Ramping: MINOR}}}
    SPECTRUM: {type: array, length: 16, dtype: int32}
    NOTE: {type: string, size: 200}
    EMPTY:
supervision: {restart: no, stall_after: 20}
"""


def find(loaded: LoadedConfig, code: str) -> Finding:
    found = [finding for finding in loaded.findings if finding.code == code]
    assert found, f"no {code} among {[str(finding) for finding in loaded.findings]}"
    return found[0]


def port(text: str, *, section: str = "inputs", lenient: bool = False) -> LoadedConfig:
    return parse_config(f"arguments:\n  {section}:\n    X: {text}\n", "c.yaml", lenient=lenient)


def test_a_good_config() -> None:
    loaded = parse_config(GOOD, "c.yaml")
    assert loaded.findings == ()
    config = loaded.config
    assert config is not None
    assert config.prefix == "BM"
    assert dict(config.parameters.given) == {
        "mode": "continuous", "interval": 0.5, "threshold": 75.0, "dry_run": False, "bands": [0, 1],
    }  # fmt: skip
    assert config.arguments.inputs["GO"].znam == "Off"
    assert config.arguments.inputs["GO"].onam == "On"
    assert config.arguments.outputs["PHASE"].labels == ("Off", "Ramping", "On")
    assert config.arguments.outputs["EMPTY"].type == "float"
    assert config.supervision.restart == "no"


def test_a_config_cannot_be_changed() -> None:
    config = parse_config(GOOD, "c.yaml").config
    assert config is not None
    with pytest.raises(ValueError, match="frozen"):
        config.prefix = "other"


@pytest.mark.parametrize("text", ["", "# nothing\n", "parameters:\narguments:\n  inputs:\n"])
def test_an_empty_config_is_all_defaults(text: str) -> None:
    loaded = parse_config(text, "c.yaml")
    assert loaded.findings == ()
    assert loaded.config is not None
    assert loaded.config.parameters.mode == "continuous"
    assert loaded.config.parameters.interval == 1.0
    assert loaded.config.parameters.timeout == 5.0


@pytest.mark.parametrize(
    ("text", "place", "code", "says", "hint"),
    [
        ("paramters: {}", "1:1", "unknown-key", "'paramters'", "'parameters'"),
        ("supervision: {restart_secs: 1}", "1:15", "unknown-key", "supervision", "'restart_sec'"),
        ("arguments: {input: {}}", "1:13", "unknown-key", "arguments", "'inputs'"),
        ("job: {on_busy: wait}", "1:16", "bad-value", "refuse, queue", ""),
        ("parameters: {mode: Triggered}", "1:20", "bad-value", "triggered", "'triggered'"),
        ("parameters: {interval: fast}", "1:24", "wrong-type", "must be a number", ""),
        ("parameters: {interval: 0}", "1:24", "bad-value", "greater than 0", ""),
        ("parameters: {interval: .nan}", "1:24", "bad-value", "interval", ""),
        ("parameters: {pva: 3}", "1:19", "wrong-type", "true or false", ""),
        ("parameters: 3", "1:13", "wrong-type", "a mapping", ""),
        ("supervision: {cycle_errors: 0}", "1:29", "bad-value", "cycle_errors", ""),
        ("supervision: {restart: never}", "1:24", "bad-value", "on-failure", ""),
        ("supervision: {start_order: 1.5}", "1:28", "wrong-type", "a whole number", ""),
        ("supervision: {depends_on: other}", "1:27", "wrong-type", "a list", ""),
        ("prefix: 12", "1:9", "wrong-type", "must be text", "quote it"),
        ("prefix: HOST", "1:9", "prefix", "host itself", ""),
        ("prefix: 'A B'", "1:9", "prefix", "'A B'", ""),
        ("description: x$(y)", "1:14", "macro", "$(", ""),
        ("parameters: {version: '$(v)'}", "1:23", "macro", "$(", ""),
        ("1: 2", "1:1", "bad-key", "must be text", ""),
        ("- a", "1:1", "wrong-type", "mapping", ""),
        ("a: [", "2:1", "syntax", "not YAML", ""),
        ("description: x\narguments\n  outputs:\n    A: {}", "2:1", "syntax", "expected ':'", "colons"),
        ("arguments:\n\toutputs: {}", "2:1", "syntax", "not YAML", "no tabs"),
        ("prefix: A\nprefix: B", "2:1", "duplicate-key", "line 1", ""),
    ],
)
def test_a_fault_has_place_reason_and_hint(text: str, place: str, code: str, says: str, hint: str) -> None:
    loaded = parse_config(text, "dir/c.yaml")
    finding = find(loaded, code)
    assert loaded.config is None
    assert finding.level is Level.ERROR
    assert str(finding.where) == f"dir/c.yaml:{place}"
    assert says in finding.message
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("text", "key", "code", "says"),
    [
        ("{type: flot}", "type", "bad-value", "float"),
        ("{tpye: float}", "tpye", "unknown-key", "tpye"),
        ("{low: 5, high: 5}", "low", "limits", "not below"),
        ("{type: int, low: 1.5}", "low", "wrong-type", "whole"),
        ("{type: int, high: 9223372036854775808}", "high", "limits", "64 bits"),
        ("{low: .inf}", "low", "bad-value", "finite"),
        ("{prec: 99}", "prec", "bad-value", "prec"),
        ("{alarm: {low: 5, high: 1}}", "alarm.low", "alarm-order", "not below"),
        ("{alarm: {lolo: 5, low: 1}}", "alarm.lolo", "alarm-order", "not below"),
        ("{alarm: {high: 5, high_severity: MAJOR}}", "alarm.high_severity", "unknown-key", "high_severity"),
        ("{alarm: {high: 5, severity: {hihi: MAJOR}}}", "alarm.severity.hihi", "alarm", "no limit"),
        ("{alarm: {high: 5, severity: {top: MAJOR}}}", "alarm.severity.top", "unknown-key", "'top'"),
        ("{alarm: {high: 5, severity: BAD}}", "alarm.severity", "bad-value", "MAJOR"),
        ("{alarm_on: MAJOR}", "alarm_on", "alarm", "needs high"),
        ("{type: bool, alarm_on: MAJOR, alarm: {severity: {On: MINOR}}}", "alarm_on", "alarm", "both"),
        ("{type: bool, alarm: {high: 3}}", "alarm.high", "does-not-apply", "numbers"),
        ("{type: bool, alarm: {severity: {Open: MAJOR}}}", "alarm.severity.Open", "unknown-key", "'Open'"),
        ("{type: bool, labels: [a]}", "labels", "does-not-apply", "enum"),
        ("{type: string, unit: mm}", "unit", "does-not-apply", "float"),
        ("{type: array, length: 3, alarm: {high: 1}}", "alarm", "does-not-apply", "alarm"),
        ("{type: enum}", "", "missing-key", "labels"),
        ("{type: array}", "", "missing-key", "length"),
        ("{type: enum, labels: [a, a]}", "labels[1]", "duplicate-label", "twice"),
        ("{type: enum, labels: [1, 2]}", "labels[0]", "wrong-type", "text"),
        (f"{{type: enum, labels: {[str(n) for n in range(17)]}}}", "labels", "too-long", "16"),
        ("{type: enum, labels: ['" + "x" * 26 + "']}", "labels[0]", "too-long", "25"),
        ("{description: '" + "x" * 41 + "'}", "description", "too-long", "40"),
        ("{description: '" + "é" * 21 + "'}", "description", "too-long", "42 bytes"),
        ("{unit: '" + "x" * 16 + "'}", "unit", "too-long", "15"),
        ("{type: bool, onam: '" + "x" * 26 + "'}", "onam", "too-long", "25"),
        ("{type: string, value: '" + "x" * 40 + "'}", "value", "too-long", "39"),
        ("{description: 'a $(b) c'}", "description", "macro", "macro"),
        ("{description: 'a ${b} c'}", "description", "macro", "macro"),
        ("{type: string, value: '$(b)'}", "value", "macro", "macro"),
        ('{description: "a\\nb"}', "description", "text", "control"),
        ("{type: bool, znam: '$(b)'}", "znam", "macro", "macro"),
        ("{fields: {SCAN: 1 second}}", "fields.SCAN", "owned-field", "SCAN"),
        ("{fields: {ASG: X}}", "fields.ASG", "owned-field", "ASG"),
        ("{fields: {desc: X}}", "fields.desc", "bad-key", "upper case"),
        ("{fields: {EGUL: [1]}}", "fields.EGUL", "wrong-type", "text or a number"),
        ("{info: {'a b': x}}", "info.a b", "bad-key", "info tag"),
        ("{info: {archive: '$(x)'}}", "info.archive", "macro", "macro"),
        ("{access: 'a b'}", "access", "bad-value", "access security"),
        ("{access: IOCMNG_RO}", "access", "bad-value", "belongs to the host"),
        ("{size: 0, type: string}", "size", "bad-value", "size"),
        ("{type: array, length: 0}", "length", "bad-value", "length"),
        ("{type: array, length: 3, dtype: float65}", "dtype", "bad-value", "float64"),
        ("{clamp: 3}", "clamp", "wrong-type", "true or false"),
    ],
)
def test_a_fault_in_a_port(text: str, key: str, code: str, says: str) -> None:
    loaded = port(text)
    finding = find(loaded, code)
    assert loaded.config is None
    assert finding.where.key == "arguments.inputs.X" + (f".{key}" if key else "")
    assert finding.where.line == 3
    assert says in f"{finding.message} {finding.hint}"


def test_an_output_has_no_access_group_and_no_keys_of_inputs() -> None:
    assert "inputs" in find(port("{access: OPS}", section="outputs"), "does-not-apply").message
    assert "autosave" in find(port("{autosave: false}", section="outputs"), "unknown-key").message
    assert "fail_safe" in find(port("{fail_safe: 3}"), "unknown-key").message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("{inputs: {X: {link_mode: monitor}}}", "inputs.X.link_mode"),
        ("{inputs: {X: {trigger: true}}}", "inputs.X.trigger"),
        ("{inputs: {X: {poll_rate: 2}}}", "inputs.X.poll_rate"),
        ("{inputs: {X: {max_age: 2}}}", "inputs.X.max_age"),
        ("{inputs: {X: {age_by: source}}}", "inputs.X.age_by"),
        ("{outputs: {X: {reassert: false}}}", "outputs.X.reassert"),
    ],
)
def test_a_key_about_links_needs_a_link(text: str, key: str) -> None:
    finding = find(parse_config(f"arguments: {text}", "c.yaml"), "needs-link")
    assert finding.level is Level.ERROR
    assert finding.where.key == f"arguments.{key}"
    lenient = parse_config(f"arguments: {text}", "c.yaml", lenient=True)
    assert lenient.config is not None
    assert find(lenient, "needs-link").level is Level.WARNING
    linked = text.replace("X: {", "X: {link: 'P:X', ")
    assert parse_config(f"arguments: {linked}", "c.yaml").findings == ()


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("http://P:X", "scheme 'http'"),
        ("pvs://P:X", "did you mean 'pva'?"),
        ("ca://", "names no PV"),
        ("'P X'", "names no PV"),
    ],
)
def test_a_link_that_leads_nowhere(link: str, says: str) -> None:
    finding = find(parse_config(f"arguments:\n  inputs:\n    X: {{link: {link}}}", "c.yaml"), "link")
    assert (finding.where.line, finding.where.column) == (3, 15)
    assert says in f"{finding.message} {finding.hint}"
    finding = find(parse_config(f"supervision: {{heartbeat_link: {link}}}", "c.yaml"), "link")
    assert finding.where.key == "supervision.heartbeat_link"


@pytest.mark.parametrize(
    "text",
    [
        "rules: []",
        "rules:",
        "isolation: thread\nengine: thread",
        "engine: cothread",
        "arguments: {inputs: {X: {trigger: false, link: null}}}",
        "arguments: {outputs: {X: {latch: no, reassert: yes, latch_dir: rise}}}",
        "supervision: {heartbeat_link: 'PLC:BEAT'}",
    ],
)
def test_what_is_off_anyway_is_accepted(text: str) -> None:
    assert parse_config(text, "c.yaml").findings == ()


def test_all_faults_are_found_at_once() -> None:
    text = """\
prefx: A
parameters: {interval: fast, mode: contnuous}
arguments:
  inputs:
    STATUS: {}
    A: {type: flot, low: 3, high: 1}
    B: {low: 3, high: 1, unt: K}
  outputs:
    A: {}
    C: {alarm: {high: 5, hihi: 1}, link: 'x://Y'}
rules: [{id: a}]
supervision: {restart: sometimes}
"""
    places = [(finding.where.line, finding.code) for finding in parse_config(text, "c.yaml").findings]
    assert sorted(places) == [
        (1, "unknown-key"),
        (2, "bad-value"),
        (2, "wrong-type"),
        (5, "refused-name"),
        (6, "bad-value"),
        (7, "unknown-key"),
        (9, "duplicate-port"),
        (10, "alarm-order"),
        (10, "link"),
        (11, "missing-key"),
        (12, "bad-value"),
    ]


def test_the_prefix_of_a_broken_config_is_still_known() -> None:
    loaded = parse_config("prefix: BM\nprameters: {}\n", "c.yaml")
    assert loaded.config is None
    assert loaded.partial is not None
    assert loaded.partial.prefix == "BM"


@pytest.mark.parametrize("name", ["STATUS", "ENABLE", "CONN_INP", "a-b", "1a", "_a"])
def test_refused_port_names(name: str) -> None:
    loaded = parse_config(f"arguments: {{outputs: {{{name}: {{}}}}}}", "c.yaml")
    assert find(loaded, "refused-name").where.key == f"arguments.outputs.{name}"
    assert loaded.config is None


@pytest.mark.parametrize(
    ("name", "what"), [("gain", "parameter"), ("interval", "parameter"), ("mean", "function")]
)
def test_a_port_with_the_name_of_something_else_is_a_warning(name: str, what: str) -> None:
    loaded = parse_config(f"parameters: {{gain: 2}}\narguments: {{inputs: {{{name}: {{}}}}}}", "c.yaml")
    finding = find(loaded, "name-clash")
    assert finding.level is Level.WARNING
    assert what in finding.message
    assert loaded.config is not None


def test_in_a_directory_unknown_top_level_keys_and_default_names_are_warnings() -> None:
    text = "author: me\narguments: {outputs: {STATUS: {}, A: {}}}\n"
    strict = parse_config(text, "c.yaml")
    assert strict.config is None
    loaded = parse_config(text, "c.yaml", lenient=True)
    assert loaded.config is not None
    assert {(f.level, f.code) for f in loaded.findings} == {
        (Level.WARNING, "unknown-key"),
        (Level.WARNING, "refused-name"),
    }
    assert parse_config("arguments: {outputs: {A: {unt: K}}}", "c.yaml", lenient=True).config is None


def test_in_a_directory_alarm_on_without_high_is_as_before() -> None:
    loaded = port("{alarm_on: MAJOR}", section="outputs", lenient=True)
    assert find(loaded, "alarm").level is Level.WARNING
    assert loaded.config is not None


def test_the_seeds_spellings() -> None:
    loaded = parse_config("pvs:\n  inputs:\n    A: {type: int, valu: 3}\n", "c.yaml")
    assert find(loaded, "deprecated").level is Level.WARNING
    assert str(find(loaded, "unknown-key").where) == "c.yaml:3:20"
    both = parse_config("pvs: {inputs: {A: {}, B: {low: 1}}}\narguments: {inputs: {B: {low: 2}}}", "c.yaml")
    assert both.config is not None
    assert both.config.arguments.inputs["B"].low == 2
    assert set(both.config.arguments.inputs) == {"A", "B"}
    gone = parse_config("parameters: {triggered: true}", "c.yaml")
    assert "mode: triggered" in find(gone, "gone").hint


def test_locate() -> None:
    loaded = parse_config(GOOD, "c.yaml")
    assert str(loaded.locate("parameters", "interval")) == "c.yaml:5:13"
    assert str(loaded.locate("arguments", "inputs", "GO", key=True)) == "c.yaml:12:5"
    assert loaded.locate("supervision", "missing").line == 19


def test_equal_text_is_read_once_and_keeps_its_file() -> None:
    one, two = parse_config(GOOD, "one.yaml"), parse_config(GOOD, "two.yaml")
    assert one.config is two.config
    assert one.locate("prefix").file == "one.yaml"
    assert two.locate("prefix").file == "two.yaml"
    bad = [parse_config("a: 1", name).findings[0].where.file for name in ("x.yaml", "y.yaml")]
    assert bad == ["x.yaml", "y.yaml"]


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"parameters": {"interval": "x"}}')
    assert str(find(load_config(file), "wrong-type").where) == f"{file}:1:29"
    file.write_bytes(b'\xef\xbb\xbf{"prefix": "A"}')
    assert load_config(file).findings == ()
    file.write_bytes(b'{\n"prefix": "\xff"}')
    assert str(find(load_config(file), "unreadable").where) == f"{file}:2:1"
    assert "No such file" in find(load_config(tmp_path / "no.yaml"), "unreadable").message
    assert find(load_config(tmp_path), "unreadable").level is Level.ERROR
    file.write_text("#" * 2_000_001)
    assert "bytes" in find(load_config(file), "unreadable").message
