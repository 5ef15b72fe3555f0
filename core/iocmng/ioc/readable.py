"""EPICS' printed complaints as one line of text. Pure."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOISE = re.compile(r"(\d+ \||ERROR:\s*$|at or before|\*\*\*|#+\s*$)")
_PREFIX = re.compile(r"^(ERROR|WARNING):?\s+")


def readable(raw: str) -> str:
    """Return EPICS' messages without colours, source lines and places in files, joined with "; "."""
    lines = (_PREFIX.sub("", _COLOUR.sub("", line).strip()) for line in raw.splitlines())
    return "; ".join(" ".join(line.split()) for line in lines if line and not _NOISE.match(line))
