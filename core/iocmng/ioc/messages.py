"""What EPICS' C library prints while it works, caught as text."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iocmng.ioc import clib

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def captured_messages() -> Iterator[Callable[[], str]]:
    """Catch what goes to standard error meanwhile; the call that it gives returns the text after the block.

    What other threads write there in the meantime is caught too.
    """
    clib.flush_messages()
    sys.stderr.flush()
    kept = os.dup(2)
    text = ""
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: text
        finally:
            clib.flush_messages()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text = readable(file.read().decode(errors="replace"))


def readable(raw: str) -> str:
    """Return EPICS' messages without colours, prompts and repeated source lines, joined with "; "."""
    lines = [_COLOUR.sub("", line).strip() for line in raw.splitlines()]
    kept = [line for line in lines if line and not re.match(r"(\d+ \||ERROR:\s*$|\*\*\*)", line)]
    return "; ".join(kept)
