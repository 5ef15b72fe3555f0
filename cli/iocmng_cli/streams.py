"""Standard output that never fails on a character and ends quietly when its reader has gone."""

from __future__ import annotations

import io
import sys


def tolerate_any_locale() -> None:
    """Write what the locale's encoding cannot hold as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
