"""Where the coroutine stands that runs on cothread's scheduler."""

from __future__ import annotations

import faulthandler
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_THREAD = re.compile(r"^(?:Current thread|Thread) 0x([0-9a-f]+)")
_LINE = re.compile(r'^  File "(.*)", line (\d+|\?\?\?) in (.*)$')
_OUR_OWN = str(Path(__file__).parents[1])
_SWITCHING = str(Path(__file__).with_name("cothreads.py"))


def running_line(ident: int) -> str:
    """The line of code that holds the scheduler's thread, "" when it waits for something to do.

    Each coroutine is a thread of its own to Python, all with one identity, of which `sys._current_frames` knows
    the oldest only; faulthandler knows all.

    Args:
        ident: Of the thread.
    """
    for stack in _stacks(ident):
        if not stack or _of_cothread(stack[0][0]):
            continue
        file, line, name = next((one for one in stack if not _on_behalf(one[0])), stack[0])
        return f"{file}:{line} in {name}"
    return ""


def _stacks(ident: int) -> Iterator[list[tuple[str, str, str]]]:
    """Files, lines and functions of each coroutine, innermost first."""
    with tempfile.TemporaryFile("w+", errors="replace") as told:
        faulthandler.dump_traceback(told, all_threads=True)
        told.seek(0)
        text = told.read()
    for block in text.split("\n\n"):
        head, *lines = block.splitlines() or [""]
        found = _THREAD.match(head)
        if found is not None and int(found[1], 16) == ident:
            yield [(match[1], match[2], match[3]) for match in map(_LINE.match, lines) if match]


def _of_cothread(file: str) -> bool:
    return Path(file).parent.name == "cothread" or file == _SWITCHING


def _on_behalf(file: str) -> bool:
    return _of_cothread(file) or file.startswith(_OUR_OWN)
