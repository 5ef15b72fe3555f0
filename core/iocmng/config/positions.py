"""Where a character of a scalar's value stands in the file: quotes, escapes, folding and block scalars."""

from __future__ import annotations

import re

Position = tuple[int, int]

_PROPERTIES = re.compile(r"(?:[&!][^\s]*\s+)+")
_HEADER = re.compile(r"[|>][^\n]*\n?")
_BLANKS = frozenset("ntr vfN_LP\n")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[^\n])")


def inside(text: str, start: Position, value: str, line: int, column: int) -> Position:
    """The place in a file of one character of a scalar.

    Quoting and folding change white space and escapes only, so the place is found by counting all other
    characters. A character that cannot be found so is taken to stand where the scalar begins.

    Args:
        text: The file.
        start: Line and column of the scalar in it, from 1.
        value: What the scalar means.
        line: Line of the character in `value`, from 1.
        column: Column of the character in its line, from 1; beyond the end for what is missing there.
    """
    lines = value.split("\n")
    wanted = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
    count = sum(not character.isspace() for character in value[:wanted])
    at_end = not value[wanted:].strip()
    begin = _offset(text, start)
    place = _walk(text, begin, value, count, at_end=at_end)
    return start if place is None else _position(text, place)


def _offset(text: str, position: Position) -> int:
    line, column = position
    lines = text.split("\n")
    return sum(len(one) + 1 for one in lines[: line - 1]) + column - 1


def _position(text: str, offset: int) -> Position:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _walk(text: str, begin: int, value: str, count: int, *, at_end: bool) -> int | None:
    """Offset of the visible character number `count` of `value`; with `at_end` the offset behind the last one."""
    if properties := _PROPERTIES.match(text, begin):
        begin = properties.end()
    style = text[begin : begin + 1]
    if style in ("|", ">"):
        header = _HEADER.match(text, begin)
        begin = header.end() if header else begin
    elif style in ("'", '"'):
        begin += 1
    seen, place = 0, begin
    for character in value:
        if character.isspace():
            continue
        while blank := _blank(text, place, style):
            place += blank
        length = _length(text, place, style, character)
        if not length:
            return None
        if seen == count and not at_end:
            return place
        seen += 1
        place += length
        if seen == count and at_end:
            return place
    return place


def _blank(text: str, place: int, style: str) -> int:
    """How many characters of the file write white space here, 0 when something visible stands there."""
    if text[place : place + 1].isspace():
        return 1
    if style == '"' and text.startswith("\\", place):
        if text[place + 1 : place + 2] in _BLANKS:
            return 2
        escape = _ESCAPE.match(text, place)
        if escape and len(escape[0]) > 2 and chr(int(escape[0][2:], 16)).isspace():
            return len(escape[0])
    return 0


def _length(text: str, place: int, style: str, character: str) -> int:
    """How many characters of the file write this one; 0 when it is another one that stands there."""
    if style == '"' and (escape := _ESCAPE.match(text, place)):
        return len(escape[0])
    if style == "'" and character == "'":
        return 2 if text.startswith("''", place) else 0
    return int(text.startswith(character, place))
