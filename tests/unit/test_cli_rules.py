"""`iocmng rules test`: a trace through the rules of a config, with reasons, deadlines and expectations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from iocmng_cli.main import app

RUNNER = CliRunner()
CONFIG = """
arguments:
  inputs:
    p: {link: "ca://X:P", unit: mbar, buffer_size: 3}
    valve: {type: bool, link: "ca://X:VALVE", znam: Closed, onam: Open}
    mode: {type: enum, labels: [OFF, RUN]}
    limit: {value: 5}
  outputs:
    trip: {type: bool, latch: true, znam: Ok, onam: Tripped}
    mean_p: {}
transforms:
  - {output: mean_p, expression: mean(p_buf)}
rule_defaults: {trip: false}
rules:
  - {id: over, condition: p > limit and mode == 1, for: 2, outputs: {trip: true}, actuators: {valve: false},
     message: too much, severity: MAJOR, group: g}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def run(config: Path, trace: str, *arguments: str) -> Result:
    path = config.with_name("trace.csv")
    path.write_text(trace)
    return RUNNER.invoke(app, ["rules", "test", str(config), str(path), *arguments])


def steps(config: Path, trace: str, *arguments: str) -> list[dict[str, Any]]:
    result = run(config, trace, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["steps"]


def writes(step: dict[str, Any], port: str) -> list[Any]:
    return [(one["value"], one["severity"]) for one in step["writes"] if one["port"] == port]


def test_decisions_come_with_their_reasons(config):
    result = run(config, "time,p,mode\n0,1,RUN\n10,6.5,\n13,1,\n")
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "rule over: inactive; p = 1 mbar, limit = 5: p > limit does not hold" in text
    assert (
        "rule over: inactive; p = 6.5 mbar, limit = 5, mode = 1 (RUN): p > limit and mode == 1 hold (for 0 of 2 s)"
        in text
    )
    assert "12.000  a time is over" in text
    assert "valve <- False (rule over)" in text
    assert "trip = 1 (Tripped) MAJOR (too much)" in text
    assert "first g: over" in text
    assert "valve: command withdrawn" in text
    assert "3 lines, ok" in text


def test_json_holds_every_step(config):
    first, started, fired, ended = steps(config, "time,p,mode\n0,1,RUN\n10,6.5,\n13,1,\n")
    assert writes(first, "trip") == [(False, "NO_ALARM")]
    assert (started["time"], started["line"]) == (10, 3)
    assert (fired["time"], fired["line"], writes(fired, "trip")) == (12, None, [(True, "MAJOR")])
    assert fired["commands"] == [{"port": "valve", "value": False, "rule": "over"}]
    assert fired["latched"] == {"trip": True, "g_FIRST": "over"}
    assert (fired["rules"][0]["state"], fired["message"]) == ("active", "too much")
    assert ended["withdrawn"] == ["valve"]


def test_unknown_cells(config):
    trace = "time,p,mode\n0,1,1\n1,INVALID,\n2,2,\n3,disconnected,\n4,?,\n5,nan,\n6,1,\n"
    found = steps(config, trace)
    reasons = {step["line"]: [write["reason"] for write in step["writes"]][:1] for step in found}
    assert reasons == {
        2: [""],
        3: ["p (INVALID)"],
        4: [""],
        5: ["p (not connected)"],
        6: ["p (INVALID)"],
        7: ["p (NaN)"],
        8: [""],
    }
    assert writes(found[1], "trip") == [(None, "INVALID")]
    assert found[1]["rules"][0]["held"] is True


def test_severity_columns(config):
    found = steps(config, "time,p,p.severity,mode\n0,1,MINOR,1\n1,,0,\n2,,invalid,\n")
    assert [writes(step, "mean_p") for step in found] == [
        [(1.0, "MINOR")],
        [(None, "NO_ALARM")],
        [(None, "INVALID")],
    ]


def test_buffers_keep_their_size(config):
    found = steps(config, "time,p\n0,1\n1,2\n2,3\n3,10\n")
    assert [writes(step, "mean_p")[0][0] for step in found] == [1.0, 1.5, 2.0, 5.0]


def test_clear_and_until(config):
    trace = "time,p,mode,CLEAR\n0,6,1,\n5,,,1\n"
    assert [event["kind"] for event in steps(config, trace)[-1]["events"]] == ["kept", "kept"]
    trace = "time,p,mode,CLEAR\n0,6,1,\n5,1,,1\n"
    assert [event["kind"] for event in steps(config, trace)[-1]["events"]] == [
        "inactive",
        "released",
        "released",
    ]
    assert len(steps(config, "time,p,mode\n0,6,1\n")) == 1
    assert steps(config, "time,p,mode\n0,6,1\n", "--until", "2")[-1]["time"] == 2


def test_dates(config):
    trace = "time,p,mode\n2026-05-04T12:00:00Z,6,1\n2026-05-04 14:00:05+02:00,1,\n"
    result = run(config, trace)
    assert result.exit_code == 0, result.output
    assert "2026-05-04 12:00:02.000  a time is over" in result.stdout


def test_expected_outputs(config):
    good = "time,p,mode,trip,g_FIRST\n0,1,1,Ok,\n1,6,,0,\n4,,,true,over\n5,INVALID,,1,\n"
    assert run(config, good).exit_code == 0
    bad = run(config, "time,p,mode,trip,mean_p\n0,1,1,Tripped,1\n1,INVALID,,,1\n")
    assert bad.exit_code == 1
    assert "MISMATCH trip: expected True, shows False" in bad.stdout
    assert "MISMATCH mean_p: expected 1.0, shows 1.0 INVALID (p (INVALID))" in bad.stdout
    assert "not as expected" in bad.stdout


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        ("", "is empty"),
        ("p,mode\n1,1\n", "trace.csv:1: needs one column time"),
        ("time,q\n1,1\n", "trace.csv:1: there is no port 'q'"),
        ("time,p\n# a comment\nsoon,1\n", "trace.csv:3: 'soon' is no time"),
        ("time,p\n2,1\n1,1\n", "trace.csv:3: its time is before"),
        ("time,p\n1,much\n", "trace.csv:2: p: could not convert"),
        ("time,mode\n1,AUTO\n", "trace.csv:2: mode: "),
        ("time,p\n1,2,3\n", "trace.csv:2: has 3 cells for 2 columns"),
        ("time,p,p.severity\n1,2,BAD\n", "trace.csv:2: p.severity: 'BAD' is no severity"),
    ],
)
def test_a_bad_trace_is_told_with_its_line(config, trace, words):
    result = run(config, trace)
    assert result.exit_code != 0
    assert words in " ".join(result.output.split())


def test_a_bad_config_is_told_with_its_place(config):
    config.write_text(CONFIG.replace("p > limit", "p > limt"))
    result = run(config, "time,p\n0,1\n")
    assert result.exit_code == 1
    assert "'limt'" in result.output
    assert "'limit'" in result.output
    as_json = run(config, "time,p\n0,1\n", "--json")
    assert json.loads(as_json.stdout)["ok"] is False
    assert as_json.exit_code == 1


def test_a_config_without_rules_or_at_no_place(config):
    config.write_text("arguments: {inputs: {p: {}}}\n")
    assert run(config, "time,p\n0,1\n").exit_code == 2
    assert run(config.with_name("no.yaml"), "time,p\n0,1\n").exit_code == 2


def test_a_project_is_as_good_as_its_config(config, tmp_path):
    package = tmp_path / "project" / "src" / "thing"
    package.mkdir(parents=True)
    (package / "config.yaml").write_text(CONFIG)
    trace = tmp_path / "trace.csv"
    trace.write_text("time,p\n0,1\n")
    arguments = ["rules", "test", str(tmp_path / "project"), str(trace)]
    assert RUNNER.invoke(app, arguments).exit_code == 0
    (package.parent / "other").mkdir()
    (package.parent / "other" / "config.yaml").write_text(CONFIG)
    assert "several configs" in RUNNER.invoke(app, arguments).output
