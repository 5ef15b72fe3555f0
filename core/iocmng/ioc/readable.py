"""EPICS' printed complaints, and values of records, as one line of text. Pure."""

from __future__ import annotations

import re

from iocmng.spec import RecordSpec
from iocmng.values import Value

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOISE = re.compile(r"(\d+ \||ERROR:\s*$|at or before|\*\*\*|#+\s*$)")
_PREFIX = re.compile(r"^(ERROR|WARNING):?\s+")

_SHOWN = 8


def readable(raw: str) -> str:
    """Return EPICS' messages without colours, source lines and places in files, joined with "; "."""
    lines = (_PREFIX.sub("", _COLOUR.sub("", line).strip()) for line in raw.splitlines())
    return "; ".join(" ".join(line.split()) for line in lines if line and not _NOISE.match(line))


def value_text(spec: RecordSpec, value: Value | None) -> str:
    """Return a value for people: a label, a number, a text, the first elements of an array."""
    if spec.labels and isinstance(value, (bool, int)):
        return spec.labels[value] if value < len(spec.labels) else str(int(value))
    if isinstance(value, float):
        return f"{value:g}"
    if value is None or isinstance(value, (bool, int, str)):
        return str(value)
    elements = ", ".join(str(element) for element in value[:_SHOWN])
    return f"[{elements}{', …' if len(value) > _SHOWN else ''}]"
