"""Words of the command line, times, and texts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.errors import BadInput
from iocmng.wire import Finding, InstanceView, Level, PvView
from iocmng_cli import assignments, text, times


def _pv(kind: str, value: object = None, **more: object) -> PvView:
    return PvView(name="LAB:T:X", type=kind, record_type="ai", value=value, **more)  # type: ignore[arg-type]


def test_an_assignment_is_split_at_its_first_equals_sign() -> None:
    assert assignments.split(["a=1", "expression=x==2", "empty="]) == {
        "a": "1",
        "expression": "x==2",
        "empty": "",
    }


@pytest.mark.parametrize("words", [["gain"], ["=1"], ["a=1", "a=2"]])
def test_a_word_that_is_no_assignment_is_refused(words: list[str]) -> None:
    with pytest.raises(BadInput):
        assignments.split(words)


@pytest.mark.parametrize(
    ("declared", "given_text", "expected"),
    [
        ({"type": "string"}, "1.5", "1.5"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "12", "12"),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "integer"}, "3", 3),
        ({"type": "boolean"}, "on", True),
        ({"type": "boolean"}, "0", False),
        ({"anyOf": [{"type": "boolean"}, {"type": "integer"}]}, "1", 1),
        ({"type": "array"}, "[0, 1]", [0, 1]),
        ({}, "2", 2),
        ({}, "plain text", "plain text"),
        ({}, '{"a": 1}', {"a": 1}),
        ({"enum": ["1", "2"]}, "1", "1"),
    ],
)
def test_a_text_gets_the_type_that_the_schema_declares(
    declared: dict[str, object], given_text: str, expected: object
) -> None:
    assert assignments.typed({"key": given_text}, {"properties": {"key": declared}}) == {"key": expected}


@pytest.mark.parametrize(
    ("pv", "given_text", "expected"),
    [
        (_pv("float"), "2.5", 2.5),
        (_pv("float"), "nan", math.nan),
        (_pv("int"), "0x10", 16),
        (_pv("bool", labels=("Closed", "Open")), "Open", 1),
        (_pv("bool", labels=("Off", "On")), "true", True),
        (_pv("bool", labels=("On", "Off")), "On", 0),
        (_pv("enum", labels=("A", "B", "3")), "3", 2),
        (_pv("enum", labels=("A", "B")), "1", 1),
        (_pv("string"), "12", "12"),
        (_pv("array"), "[1, 2.5]", [1, 2.5]),
        (_pv("array"), "1 2,3", [1, 2, 3]),
        (_pv("array"), "a b", ["a", "b"]),
    ],
)
def test_a_text_becomes_what_the_pv_takes(pv: PvView, given_text: str, expected: object) -> None:
    value = assignments.pv_value(pv, given_text)
    assert value == expected or (value != value and expected != expected)
    assert type(value) is type(expected)


@pytest.mark.parametrize("kind", ["float", "int", "enum", "bool", "array"])
def test_a_text_that_does_not_fit_names_the_pv_and_its_type(kind: str) -> None:
    with pytest.raises(BadInput, match="LAB:T:X takes"):
        assignments.pv_value(_pv(kind, labels=("A", "B") if kind == "enum" else ()), "[nonsense")


def test_a_duration_counts_back_from_now() -> None:
    assert times.since("1h30m", now=10_000.0) == 10_000.0 - 5400
    assert times.since("2026-01-01T00:00:00+00:00") == 1767225600.0


@pytest.mark.parametrize("wrong", ["", "5", "5 minutes", "yesterday", "m5"])
def test_a_time_that_is_neither_duration_nor_iso_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="neither a duration"):
        times.since(wrong)


@given(st.floats(min_value=0, max_value=1e9))
def test_every_duration_reads_in_two_units_at_most(seconds: float) -> None:
    words = times.duration(seconds).split()
    assert 1 <= len(words) <= 2


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.012, "12 ms"), (1.44, "1.44 s"), (302, "5m 02s"), (7260, "2h 01m"), (3 * 86400 + 4 * 3600, "3d 4h")],
)
def test_a_duration_is_short(seconds: float, shown: str) -> None:
    assert times.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (1.23456789012, "1.234568"),
        (math.nan, "NaN"),
        ([1.5, -math.inf], "[1.5, -Infinity]"),
        ([1, 2], "[1, 2]"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, … 100 in all]"),
        ({"a": 1, "b": "x"}, "a=1, b=x"),
    ],
)
def test_a_value_reads_on_one_line(value: object, shown: str) -> None:
    assert text.value_text(value) == shown


def test_a_pv_shows_state_name_or_unit_and_its_alarm() -> None:
    assert text.pv_text(_pv("bool", 1, labels=("Off", "On"))) == "On"
    assert text.pv_text(_pv("bool", True, labels=("Off", "On"))) == "On"
    assert text.pv_text(_pv("float", 2.5, unit="mA")) == "2.5 mA"
    assert (
        text.quality_text(_pv("float", 2.5, severity="MAJOR", status="HIHI", message="hot"))
        == "MAJOR HIHI hot"
    )
    assert text.quality_text(_pv("float", 2.5, severity="NO_ALARM")) == ""


def test_a_broken_plugin_gives_its_worst_finding_as_reason() -> None:
    findings = (
        Finding(Level.WARNING, "w", "only a warning"),
        Finding(Level.ERROR, "e", "the config has no outputs"),
    )
    view = InstanceView(name="x", kind="task", plugin="x", state="INVALID", findings=findings)
    assert text.reason(view) == "the config has no outputs"


def test_a_degraded_instance_says_what_is_not_well_once() -> None:
    view = InstanceView(
        name="x", kind="task", plugin="x", state="RUN", message="running", degraded=True, complaint="no water"
    )
    assert text.reason(view) == "running; no water"
    assert text.said(view) == "running"
    assert text.notes(view) == "degraded"
    assert text.reason(replace(view, message="stops: no water at pump 2")) == "stops: no water at pump 2"
    assert text.reason(replace(view, message="")) == "no water"


def test_a_put_beyond_the_limits_says_what_became_of_it() -> None:
    pv = _pv("float", 1000.0, low=0.0, high=1000.0)
    assert text.limited_text(pv, 2000.0) == "limited to 1000 (low 0, high 1000)"
    assert text.limited_text(pv, 1000.0) == ""
    assert text.limited_text(_pv("float", 2000.0), 2000.0) == ""
