"""Lines in which any stack of this process stands, those of cothread's coroutines included."""

from __future__ import annotations

import faulthandler
import re
import tempfile
from collections.abc import Iterator

_LINE = re.compile(r'^  File "(.*)", line (\d+|\?\?\?) in ', re.MULTILINE)


def lines_of_stacks() -> Iterator[tuple[str, str]]:
    """Yield file and line of every frame of the first hundred threads.

    To Python each coroutine of cothread is a thread, all with one identity: `sys._current_frames` knows one of
    them, faulthandler knows all.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as told:
        faulthandler.dump_traceback(told, all_threads=True)
        told.seek(0)
        text = told.read()
    for found in _LINE.finditer(text):
        yield found[1], found[2]
