"""Times and durations as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import datetime

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def since(text: str, now: float | None = None) -> float:
    """Turn `5m`, `1h30m` (ago) or an ISO 8601 time (local by default) into seconds since 1970-01-01 UTC.

    Raises:
        ValueError: It is neither.
    """
    if re.fullmatch(f"(?:{_PART.pattern})+", text):
        ago = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        return (time.time() if now is None else now) - ago
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is neither a duration like 5m or 1h30m nor an ISO 8601 time") from None


def clock(seconds: float) -> str:
    """A point in time as local `YYYY-MM-DD HH:MM:SS`, "" for 0."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S") if seconds else ""


def stamp(seconds: float) -> str:
    """A point in time as local `YYYY-MM-DD HH:MM:SS.mmm`."""
    return datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="milliseconds")


def duration(seconds: float) -> str:
    """A length of time in its two largest units: `3d 4h`, `5m 02s`, `1.4 s`, `12 ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"
