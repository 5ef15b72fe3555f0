"""YAML and JSON with the place of every key and value."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocmng.config.document import SwitchWord, dotted, plain, read_document

TEXT = """\
a: 1
b:
  - x
  - {c: two, d: [1.5]}
"""


def test_places_are_those_of_the_file() -> None:
    document = read_document(TEXT, "f.yaml")
    assert document.value == {"a": 1, "b": ["x", {"c": "two", "d": [1.5]}]}
    assert str(document.where("b", 1, "c", key=True)) == "f.yaml:4:6"
    assert str(document.where("b", 1, "c")) == "f.yaml:4:9"
    assert str(document.where("b", 1, "d", 0)) == "f.yaml:4:18"
    assert document.where("b", 1, "c").key == "b[1].c"


def test_what_does_not_stand_there_has_the_place_of_its_parent() -> None:
    document = read_document(TEXT, "f.yaml")
    where = document.where("b", 1, "missing", "deeper")
    assert (where.line, where.column) == (4, 5)
    assert where.key == "b[1].missing.deeper"


def test_switch_words_are_kept_until_their_use_is_known() -> None:
    value = read_document("a: on\nb: Off\nc: yes\nd: 'on'\ne: true\nf: [no]").value
    assert value == {"a": "on", "b": "Off", "c": "yes", "d": "on", "e": True, "f": ["no"]}
    assert isinstance(value["a"], SwitchWord)
    assert not isinstance(value["d"], SwitchWord)
    assert plain(value) == {"a": True, "b": False, "c": True, "d": "on", "e": True, "f": [False]}


def test_a_switch_word_as_key_stays_a_word() -> None:
    assert read_document("on: 1\nno: 2").value == {"on": 1, "no": 2}


def test_exponents_without_point_are_numbers_and_dates_are_text() -> None:
    value = read_document("a: 1e-3\nb: 2024-05-01\nc: '1e3'\nd: .inf\ne: 0x10\nf: 1_000").value
    assert value == {"a": 1e-3, "b": "2024-05-01", "c": "1e3", "d": float("inf"), "e": 16, "f": 1000}


def test_merge_keys_and_anchors() -> None:
    value = read_document("base: &b {x: 1, y: 2}\nown:\n  <<: *b\n  y: 3\ntwo: {<<: [*b, {z: 9}]}").value
    assert value["own"] == {"x": 1, "y": 3}
    assert value["two"] == {"x": 1, "y": 2, "z": 9}


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("a: [1", ":2:1", "syntax"),
        ("a: b: c", ":1:5", "syntax"),
        ("a: 1\n\tb: 2", ":2:1", "syntax"),
        ("a: 1\n---\nb: 2", ":2:1", "syntax"),
        ("a: 'x", ":1:6", "syntax"),
        ("a: \x07", ":1:4", "syntax"),
        ("b: *nowhere", ":1:4", "syntax"),
        ("a: 1\nb: 2\na: 3", ":3:1", "duplicate-key"),
        ("a: {b: 1, b: 2}", ":1:11", "duplicate-key"),
        ("x: !!python/object/apply:os.system ['true']", ":1:4", "tag"),
        ("x: !thing 3", ":1:4", "tag"),
        ("x: !!binary aGk=", ":1:4", "tag"),
        ("? [a, b]\n: 1", ":1:3", "bad-key"),
        ("a: {<<: 3}", ":1:9", "bad-key"),
        ("a: &a {b: *a}", "", "too-large"),
        ("[" * 60 + "]" * 60, "", "too-large"),
    ],
)
def test_broken_text_is_a_finding_with_its_place(text: str, place: str, code: str) -> None:
    finding = read_document(text, "f.yaml").findings[0]
    assert finding.code == code
    assert str(finding.where) == f"f.yaml{place}"


def test_anchors_that_multiply_are_stopped() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    document = read_document("\n".join(lines), "f.yaml")
    assert [finding.code for finding in document.findings] == ["too-large"]


def test_json_is_json() -> None:
    document = read_document('{"a": [1, {"b": "x\\/\\ud83d\\ude00"}]}', "f.json", is_json=True)
    assert document.value == {"a": [1, {"b": "x/\U0001f600"}]}
    document = read_document('{"a": [1, {"b": "x"}]}', "f.json", is_json=True)
    assert str(document.where("a", 0)) == "f.json:1:8"
    assert str(document.where("a", 1, "b", key=True)) == "f.json:1:12"


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ('{"a": 1 "b": 2}', ":1:9", "syntax"),
        ("a: 1", ":1:1", "syntax"),
        ('{"a": 1, "a": 2}', "", "duplicate-key"),
    ],
)
def test_broken_json(text: str, place: str, code: str) -> None:
    finding = read_document(text, "f.json", is_json=True).findings[0]
    assert finding.code == code
    assert str(finding.where).startswith(f"f.json{place}")


def test_variables_are_expanded_before_the_type_is_decided() -> None:
    def expand(text: str) -> str:
        if "MISSING" in text:
            raise ValueError("MISSING is not set")
        return text.replace("${PORT}", "8080").replace("${NAME}", "on")

    document = read_document("a: ${PORT}\nb: '${PORT}'\nc: x${NAME}\nd: ${MISSING}", "f.yaml", expand=expand)
    assert document.value == {"a": 8080, "b": "8080", "c": "xon", "d": None}
    assert [str(finding) for finding in document.findings] == [
        "f.yaml:4:4: error: MISSING is not set [unset-variable]"
    ]


def test_paths_read_as_people_write_them() -> None:
    assert dotted(()) == ""
    assert dotted(("rules", 2, "id")) == "rules[2].id"


# YAML 1.1 takes these for line breaks; its own writer does not escape them in keys.
# A text like 1e3, which YAML 1.1's writer leaves without quotes, is a number here.
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")
TEXTS = st.text(
    st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"]), max_size=8
).filter(lambda text: not NUMBER.match(text))
SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)


@given(VALUES)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    document = read_document(yaml.safe_dump(value, allow_unicode=True), "f.yaml")
    assert not document.findings
    assert document.value == value


@given(VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    document = read_document(json.dumps(value), "f.json", is_json=True)
    assert not document.findings
    assert document.value == value


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    read_document(text, "f.yaml")
    read_document(text, "f.json", is_json=True)
