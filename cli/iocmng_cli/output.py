"""Tables for people and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iocmng.wire import to_plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

UNBOUNDED = 100_000
NARROWEST_TEXT = 16


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and the style it has on a terminal."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: a narrow terminal drops the highest `rank` first (0 stays); `wraps` may break its text."""

    title: str
    rank: int = 0
    right: bool = False
    wraps: bool = False


Row = Sequence[str | Cell]

# A text of a plugin or a client must not move the cursor of an operator's terminal, nor end it with a NUL.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}

_STYLES = {
    "RUN": "green",
    "RUNNING": "cyan",
    "QUEUED": "cyan",
    "SUCCESS": "green",
    "PAUSED": "yellow",
    "INIT": "cyan",
    "STARTING": "cyan",
    "BACKOFF": "yellow",
    "ABORTED": "yellow",
    "SAFE_MODE": "yellow",
    "ERROR": "bold red",
    "STALLED": "bold red",
    "FAILED": "bold red",
    "TIMEOUT": "bold red",
    "LOST": "bold red",
    "INVALID": "magenta",
    "MAJOR": "bold red",
    "MINOR": "yellow",
    "WARNING": "yellow",
    "CRITICAL": "bold red",
    "END": "dim",
    "IDLE": "dim",
    "ACTIVE": "yellow",
    "INACTIVE": "dim",
    "UNDECIDED": "magenta",
    "DEBUG": "dim",
}


def word(text: str) -> Cell:
    """A state, severity or level in its colour."""
    return Cell(text, _STYLES.get(text.upper(), ""))


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Write one JSON value; `indent` None makes it one line, for streams."""
    print(
        json.dumps(to_plain(value), indent=indent, ensure_ascii=not _speaks_unicode()), flush=indent is None
    )


def print_table(columns: Sequence[Column], rows: Iterable[Row], *, empty: str = "") -> None:
    """Write a table to standard output; `empty` instead when there are no rows."""
    known = [[_visible(cell) for cell in row] for row in rows]
    if not known:
        if empty:
            print(empty)
        return
    console = stdout()
    if console.is_terminal:
        console.print(table(columns, known, console.width))
        return
    for line in _plain_lines(columns, known):
        print(line)


def print_fields(fields: Mapping[str, str | Cell], *, indent: str = "") -> None:
    """Write name and value pairs, one a line, those without value left out."""
    shown = {
        name: value for name, value in fields.items() if (value.text if isinstance(value, Cell) else value)
    }
    width = max(map(len, shown), default=0)
    console = stdout()
    for name, value in shown.items():
        cell = _visible(value)
        pad = " " * (len(indent) + width + 2)
        first, *more = cell.text.splitlines() or [""]
        lead = f"{indent}{name:<{width}}  "
        if console.is_terminal:
            from rich.text import Text

            text = Text(lead, style="dim")
            text.append("\n".join([first, *(pad + line for line in more)]), style=cell.style or "not dim")
            console.print(text)
        else:
            print("\n".join([lead + first, *(pad + line for line in more)]))


def colored(text: str, style: str) -> str:
    """The text in a style on a terminal, as it is elsewhere; for lines that must not be broken."""
    console = stdout()
    if not console.is_terminal or console.color_system is None:
        return text
    from rich.style import Style

    return Style.parse(style).render(text)


def heading(text: str) -> None:
    """Write the heading of a section, after an empty line."""
    console = stdout()
    if console.is_terminal:
        from rich.text import Text

        console.print(Text(f"\n{text}", style="bold"))
    else:
        print(f"\n{text}")


def stdout() -> Console:
    """Standard output as it is now; without a terminal it has no colours and no width."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        file=sys.stdout,
        force_terminal=terminal or None,
        width=None if terminal else UNBOUNDED,
        no_color=None if terminal else True,
        highlight=False,
        markup=False,
        emoji=False,
    )


def printable(text: str) -> str:
    """A text from elsewhere as it may stand on a terminal."""
    return text.translate(_CONTROLS)


def stderr(text: str) -> None:
    """Write a remark beside the output."""
    print(text, file=sys.stderr, flush=True)


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Table:
    """A table that fits into `width` characters: empty columns are left out, then those of high rank."""
    from rich.table import Table
    from rich.text import Text

    widths = _widths(columns, rows)
    kept = [i for i, column in enumerate(columns) if not column.rank or any(_text(row[i]) for row in rows)]
    while len(kept) > 1:
        needed = sum(min(widths[i], NARROWEST_TEXT) if columns[i].wraps else widths[i] for i in kept)
        droppable = [i for i in kept if columns[i].rank]
        if needed + 2 * (len(kept) - 1) <= width or not droppable:
            break
        kept.remove(max(droppable, key=lambda i: (columns[i].rank, i)))
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for i in kept:
        column = columns[i]
        made.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis",
            min_width=min(_longest_word(column, rows, i), NARROWEST_TEXT)
            if column.wraps
            else min(widths[i], width),
        )
    for row in rows:
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        made.add_row(*(Text(cells[i].text, style=cells[i].style) for i in kept))
    return made


def _plain_lines(columns: Sequence[Column], rows: Sequence[Row]) -> Iterable[str]:
    widths = _widths(columns, rows)
    for row in ([column.title for column in columns], *rows):
        texts = [" ".join(_text(cell).split("\n")) for cell in row]
        cells = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(texts, widths, columns, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _widths(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    return [max(len(column.title), *(len(_text(row[i])) for row in rows)) for i, column in enumerate(columns)]


def _longest_word(column: Column, rows: Sequence[Row], i: int) -> int:
    """What a column that wraps needs so that no number is broken in its middle."""
    return max(
        len(word)
        for text in (column.title, *(_text(row[i]) for row in rows))
        for word in text.split() or [""]
    )


def _visible(cell: str | Cell) -> Cell:
    text = cell.text if isinstance(cell, Cell) else cell
    return Cell(text.translate(_CONTROLS), cell.style if isinstance(cell, Cell) else "")


def _text(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "ascii").lower().replace("-", "").startswith("utf")
