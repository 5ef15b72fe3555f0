"""A character of an expression is found in its file, however YAML writes the text."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from iocmng.config.document import read_document

MARK = "HERE"


@pytest.mark.parametrize(
    "text",
    [
        "a: x + HERE",
        "a:   x + HERE  # comment",
        "a: 'x + HERE'",
        "a: 'it''s'' + HERE'",
        'a: "x + HERE"',
        'a: "x\\t\\"\\x41\\u00e9\\\\ + HERE"',
        'a: "x + \\\n   HERE"',
        "a: |\n  x +\n    HERE\n",
        "a: |2-\n    x +\n\n   HERE\n",
        "a: >\n  x +\n\n\n  y\n    + HERE\n",
        "a: >- # note\n  x\n  + HERE",
        "a: x +\n  y\n\n  + HERE",
        "a: 'x\n\n  + HERE'",
        "a: &name x + HERE",
        "a: !!str 'x + HERE'",
        "a: é ü + HERE",
        "{a: x + HERE, b: 3}",
        "- [1, {b: 2, a: 'x + HERE'}]",
        '{"a": "\\u00e9 \\/ + HERE"}',
        "a: HERE",
        "a: |\n  HERE",
        "a: '''HERE'",
    ],
)
def test_a_word_is_found(text: str) -> None:
    document = read_document(text, is_json=text.startswith('{"'))
    path = next(path for path, value in walk(document.value) if isinstance(value, str) and MARK in value)
    value = dict(walk(document.value))[path]
    line = value[: value.index(MARK)].count("\n") + 1
    column = len(value[: value.index(MARK)].rpartition("\n")[2]) + 1
    where = document.inside(value, line, column, *path)
    before = text[: text.index(MARK)]
    assert (where.line, where.column) == (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)


def walk(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], object]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *(found for key, item in items for found in walk(item, (*path, key)))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a: x +", (1, 7)), ("a: 'x +  '", (1, 8)), ("a: |\n  x +\n", (2, 6)), ("a: ''", (1, 5))],
)
def test_what_is_missing_at_the_end_is_placed_behind_it(text: str, expected: tuple[int, int]) -> None:
    document = read_document(text)
    value = document.value["a"]
    where = document.inside(value, 1, len(value) + 1, "a")
    assert (where.line, where.column) == expected


def test_what_has_no_place_of_its_own_gets_the_place_of_its_parent() -> None:
    document = read_document("a: {b: 1}")
    assert str(document.inside("x", 1, 1, "a", "c")) == "a.c"
    assert document.inside("x", 1, 1, "a", "c").column == 4


letters = st.text(alphabet=" ab+()'\"\\\n\t:#é|>-", min_size=1, max_size=40)


@given(letters, st.data(), st.sampled_from(["|", ">", "'", '"', "json"]))
def test_every_visible_character_of_any_style_is_found(value: str, data: st.DataObject, style: str) -> None:
    text = (
        json.dumps({"a": value})
        if style == "json"
        else yaml.dump({"a": value}, default_style=style, width=20, allow_unicode=True)
    )
    document = read_document(text, is_json=style == "json")
    if not isinstance(document.value, dict) or document.value.get("a") != value:
        return
    visible = [index for index, character in enumerate(value) if not character.isspace()]
    if not visible:
        return
    index = data.draw(st.sampled_from(visible))
    line = value[:index].count("\n") + 1
    where = document.inside(value, line, index - value.rfind("\n", 0, index), "a")
    found = text.split("\n")[where.line - 1][where.column - 1 :]
    assert found.startswith(("\\", value[index]))
