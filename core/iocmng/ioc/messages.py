"""What EPICS' C library prints while it works, caught as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iocmng.ioc import clib
from iocmng.ioc.readable import readable

_LONGEST = 65_536


@contextmanager
def captured_messages(*streams: int) -> Iterator[Callable[[], str]]:
    """Catch what goes to standard output (1) or error (2) meanwhile; the call it gives returns it so far.

    What other threads write there in the meantime is caught too.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(stream, os.dup(stream)) for stream in streams]
    file = os.memfd_create("messages")
    try:
        for stream in streams:
            os.dup2(file, stream)

        def text() -> str:
            clib.flush_messages()
            clib.flush_streams(None)
            return readable(os.pread(file, _LONGEST, 0).decode(errors="replace"))

        yield text
    finally:
        for stream, original in kept:
            os.dup2(original, stream)
            os.close(original)
        os.close(file)
