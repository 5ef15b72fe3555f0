"""What EPICS' C library prints while it works, caught as text."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iocmng.ioc import clib
from iocmng.ioc.readable import readable


@contextmanager
def captured_messages() -> Iterator[Callable[[], str]]:
    """Catch standard output and error meanwhile; the call it gives returns the text after the block.

    What other threads write there in the meantime is caught too.
    """
    clib.flush_messages()
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    text = ""
    with tempfile.TemporaryFile() as file:
        for stream in kept:
            os.dup2(file.fileno(), stream)
        try:
            yield lambda: text
        finally:
            clib.flush_messages()
            clib.flush_streams(None)
            for stream, original in kept.items():
                os.dup2(original, stream)
                os.close(original)
            file.seek(0)
            text = readable(file.read().decode(errors="replace"))
