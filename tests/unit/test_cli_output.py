"""Tables on terminals of any width, in pipes, and JSON."""

from __future__ import annotations

import io
import json
import math
import sys

import pytest

from iocmng.wire import InstanceView
from iocmng_cli.commands.listing import COLUMNS, row
from iocmng_cli.output import Cell, Column, print_fields, print_json, print_table, table, word


@pytest.fixture
def views() -> list[InstanceView]:
    return [
        InstanceView(
            name="beam-monitor",
            kind="task",
            plugin="beam-monitor",
            state="RUN",
            prefix="LAB:BEAM",
            mode="continuous",
            version="1.2.3",
            cycles=12345,
            message="measuring",
        ),
        InstanceView(
            name="rf",
            kind="task",
            plugin="rf",
            state="ERROR",
            message="no answer from µTCA crate 3: timeout after 5 s",
        ),
    ]


def _screen(views: list[InstanceView], width: int) -> list[str]:
    from rich.console import Console

    console = Console(
        file=io.StringIO(), width=width, color_system=None, force_terminal=True, legacy_windows=False
    )
    console.print(table(COLUMNS, [row(view) for view in views], width))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_table_fits_the_terminal_and_keeps_name_and_state(views: list[InstanceView], width: int) -> None:
    lines = _screen(views, width)
    assert all(len(line.rstrip()) <= width for line in lines)
    shown = "\n".join(lines)
    for needed in ("beam-monitor", "rf", "RUN", "ERROR"):
        assert needed in shown


def test_a_narrow_terminal_drops_columns_and_a_wide_one_does_not(views: list[InstanceView]) -> None:
    assert "PREFIX" not in _screen(views, 50)[0]
    wide = _screen(views, 200)[0]
    for title in ("NAME", "KIND", "MODE", "STATE", "CYCLES", "VERSION", "PREFIX", "MESSAGE"):
        assert title in wide
    for empty in ("NOTE", "ERRORS", "RESTARTS"):
        assert empty not in wide


def test_a_pipe_gets_whole_lines_without_colour(
    views: list[InstanceView], capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(COLUMNS, [row(view) for view in views])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "no answer from µTCA crate 3: timeout after 5 s" in lines[2]
    assert "\x1b" not in "".join(lines)
    assert [line == line.rstrip() for line in lines] == [True] * 3


def test_text_that_looks_like_markup_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("A"),), [("[red]x[/red] :smile:",)])
    print_fields({"a": "[bold]y", "left out": ""})
    assert capsys.readouterr().out.splitlines() == ["A", "[red]x[/red] :smile:", "a  [bold]y"]


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("A"),), [], empty="no instances")
    assert capsys.readouterr().out == "no instances\n"


def test_lines_of_a_field_stay_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"name": "x", "abandoned": Cell("one\ntwo", "red")})
    assert capsys.readouterr().out.splitlines() == ["name       x", "abandoned  one", "           two"]


def test_json_holds_what_json_cannot_say_as_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([math.nan, -math.inf, "µ"])
    assert json.loads(capsys.readouterr().out) == ["NaN", "-Infinity", "µ"]


def test_json_is_ascii_where_the_locale_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    print_json({"unit": "µA"}, indent=None)
    stream.flush()
    assert stream.buffer.getvalue() == b'{"unit": "\\u00b5A"}\n'  # type: ignore[attr-defined]


def test_states_have_colours_and_unknown_words_have_none() -> None:
    assert word("ERROR").style
    assert word("something").style == ""


def test_no_text_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("A"),), [("\x1b[2Jnasty\x00",)])
    print_fields({"message": Cell("two\nlines\x07\x9b1m", "bold")})
    said = capsys.readouterr().out
    assert "\\x1b[2Jnasty\\x00" in said
    assert "lines\\x07\\x9b1m" in said
    assert not set(said) & {"\x1b", "\x00", "\x07", "\x9b"}


@pytest.mark.parametrize("width", [44, 50, 80])
def test_a_number_is_never_broken_in_its_middle(width: int) -> None:
    from rich.console import Console

    columns = (Column("PV"), Column("TYPE", rank=2), Column("VALUE", wraps=True), Column("ALARM", wraps=True))
    alarm = "INVALID COMM the task has ended and its last value is what is shown here"
    screen = io.StringIO()
    console = Console(file=screen, width=width, color_system=None, force_terminal=True, legacy_windows=False)
    console.print(table(columns, [("LAB:BEAM:PRESSURE:MEAN", "ai", "1.234568e-06 mbar", alarm)], width))
    assert "1.234568e-06" in screen.getvalue()
