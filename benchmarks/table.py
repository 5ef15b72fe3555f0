"""What a benchmark gives: figures beside a yardstick and a goal, as a table for a terminal or for a page."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One figure over several runs."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        return f"{number(self.median)} ({number(low)} … {number(high)}) {self.unit}"


def sample(values: Iterable[float], unit: str) -> Sample:
    """Gather one figure's runs."""
    return Sample(tuple(values), unit)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured.
        ours: The figure of this product.
        yardstick: What it is compared with, and that figure; None where nothing compares.
        goal: The largest ratio that is good enough, None where no goal is stated.
    """

    what: str
    ours: Sample
    against: str = ""
    yardstick: Sample | None = None
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the yardstick's, of medians."""
        if self.yardstick is None or not self.yardstick.median:
            return None
        return self.ours.median / self.yardstick.median

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, None without one."""
        if self.goal is None or self.ratio is None:
            return None
        return self.ratio <= self.goal

    def cells(self) -> tuple[str, ...]:
        """The columns of the table."""
        verdict = {True: "met", False: "**missed**", None: ""}[self.met]
        return (
            self.what,
            str(self.ours),
            f"{self.against}: {self.yardstick}" if self.yardstick else self.against,
            f"{number(self.ratio)}" if self.ratio is not None else "",
            f"≤ {self.goal:g}" if self.goal is not None else "",
            verdict,
        )


HEADINGS = ("what", "iocmng: median (min … max)", "yardstick: median (min … max)", "ratio", "goal", "")


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def show(title: str, rows: Sequence[Row]) -> None:
    """Print a table for people."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    print(f"{title} — {machine()}")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for row in rows:
        if row.note:
            print(f"{row.what}: {row.note}")


def markdown(rows: Sequence[Row]) -> str:
    """The table for a document."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    """Processors, kernel, Python and load, without names."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load {load}"
    )
