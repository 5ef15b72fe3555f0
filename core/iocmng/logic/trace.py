"""Recorded readings: a CSV with a time and a column per port."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iocmng.errors import BadInput
from iocmng.names import did_you_mean
from iocmng.spec.convert import convert
from iocmng.spec.instance import InstanceSpec, PortSpec
from iocmng.values import DType, PortType, Reading, Severity, Status

TIME_COLUMNS = ("time", "timestamp")
CLEAR_COLUMN = "CLEAR"
SEVERITY_SUFFIX = ".severity"
_UNKNOWN = {
    "INVALID": Reading(None, Severity.INVALID, Status.UDF),
    "?": Reading(None, Severity.INVALID, Status.UDF),
    "DISCONNECTED": Reading(None, Severity.INVALID, Status.COMM, connected=False),
}
_TRUTHS = {"true": True, "false": False, "on": True, "off": False, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a trace.

    Attributes:
        line: Its number in the file.
        time: Seconds: as written, or since 1970-01-01 UTC.
        readings: Ports that have a cell in it; a value None with INVALID keeps the last value of the port.
        severities: Severities of ports that have one in it.
        expected: Cells of outputs that the logic writes: what they are to show.
        clear: Whether latches are cleared at that time.
    """

    line: int
    time: float
    readings: Mapping[str, Reading]
    severities: Mapping[str, Severity]
    expected: Mapping[str, Reading]
    clear: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """All lines of a trace; `absolute` when its times are dates."""

    rows: tuple[Row, ...]
    absolute: bool

    def when(self, time: float) -> str:
        """A time as the trace writes it."""
        if self.absolute:
            return datetime.fromtimestamp(time, UTC).isoformat(sep=" ", timespec="milliseconds")[:23]
        return f"{time:.3f}"


def read_trace(path: Path, spec: InstanceSpec, writes: frozenset[str]) -> Trace:
    """Read a trace for an instance.

    Args:
        path: A CSV file with a header; `#` begins a comment line.
        spec: The instance, whose ports may be columns.
        writes: Outputs that its logic writes.

    Raises:
        BadInput: It is no such file: names the line, the column and what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise BadInput(f"trace {path} cannot be read: {why}") from None
    lines = [
        (number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"
    ]
    if not lines:
        raise BadInput(f"trace {path} is empty", hint="the first line names the columns: time, then ports")
    numbers = [number for number, _ in lines]
    cells = list(csv.reader((line for _, line in lines), skipinitialspace=True))
    reader = _Reader(path, spec, writes, numbers[0], [cell.strip() for cell in cells[0]])
    rows = tuple(reader.rows(zip(numbers[1:], cells[1:], strict=False)))
    return Trace(rows, reader.absolute)


class _Reader:
    def __init__(
        self, path: Path, spec: InstanceSpec, writes: frozenset[str], line: int, header: Sequence[str]
    ) -> None:
        self.path = path
        self.ports = {port.name: port for port in spec.ports}
        self.writes = writes
        self.header = header
        self.absolute = False
        found = [index for index, name in enumerate(header) if name.lower() in TIME_COLUMNS]
        if len(found) != 1:
            raise self._error(
                line, f"needs one column {' or '.join(TIME_COLUMNS)}; it has {', '.join(header)}"
            )
        self.time = found[0]
        for index, name in enumerate(header):
            base = name.removesuffix(SEVERITY_SUFFIX)
            if index == self.time or name == CLEAR_COLUMN or base in self.ports or name in writes:
                continue
            raise self._error(line, f"there is no port {base!r}", did_you_mean(base, self.ports))

    def _error(self, line: int, message: str, hint: str = "") -> BadInput:
        return BadInput(f"{self.path}:{line}: {message}", hint=hint)

    def rows(self, lines: Iterator[tuple[int, list[str]]] | Any) -> Iterator[Row]:
        before = -math.inf
        for line, cells in lines:
            if len(cells) > len(self.header):
                raise self._error(line, f"has {len(cells)} cells for {len(self.header)} columns")
            row = self._row(line, [cell.strip() for cell in cells])
            if row.time < before:
                raise self._error(
                    line, "its time is before that of the line above it", "sort the lines by time"
                )
            before = row.time
            yield row

    def _row(self, line: int, cells: Sequence[str]) -> Row:
        readings: dict[str, Reading] = {}
        severities: dict[str, Severity] = {}
        expected: dict[str, Reading] = {}
        clear = False
        for name, cell in zip(self.header, cells, strict=False):
            if not cell or name == self.header[self.time]:
                continue
            try:
                if name == CLEAR_COLUMN and name not in self.ports:
                    clear = bool(_truth(cell))
                elif name.endswith(SEVERITY_SUFFIX):
                    severities[name.removesuffix(SEVERITY_SUFFIX)] = _severity(cell)
                else:
                    into = expected if name in self.writes else readings
                    into[name] = _reading(self.ports.get(name), cell)
            except (TypeError, ValueError, KeyError) as error:
                raise self._error(line, f"{name}: {error.args[0] if error.args else error}") from None
        time = cells[self.time] if self.time < len(cells) else ""
        return Row(line, self._time(line, time), readings, severities, expected, clear)

    def _time(self, line: int, text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            pass
        else:
            if math.isfinite(seconds):
                return seconds
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            hint = "write seconds, or a date and time like 2026-05-04T12:00:00Z"
            raise self._error(line, f"{text!r} is no time", hint) from None
        self.absolute = True
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _reading(port: PortSpec | None, cell: str) -> Reading:
    if (unknown := _UNKNOWN.get(cell.upper())) is not None:
        return unknown
    if port is None:
        return Reading(cell)
    return Reading(convert(port.record, _value(port, cell)))


def _value(port: PortSpec, cell: str) -> Any:
    match port.record.type:
        case PortType.STRING:
            return cell
        case PortType.ARRAY:
            items = cell.replace(";", " ").split()
            return items if port.record.dtype is DType.STRING else [_number(item) for item in items]
        case PortType.BOOL | PortType.ENUM if cell in port.record.labels:
            return cell
        case PortType.BOOL:
            return _truth(cell)
    return _number(cell)


def _truth(cell: str) -> Any:
    known = _TRUTHS.get(cell.lower())
    return _number(cell) if known is None else known


def _number(cell: str) -> int | float:
    try:
        return int(cell)
    except ValueError:
        return float(cell)


def _severity(cell: str) -> Severity:
    if cell.isdigit():
        return Severity(int(cell))
    try:
        return Severity[cell.upper()]
    except KeyError:
        raise ValueError(f"{cell!r} is no severity; {did_you_mean(cell, Severity.__members__)}") from None
