"""Whether time stamps can be trusted: the clock is plausible and synchronised."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Iterator

from iocmng.wire import Finding, Level

RELEASED = 1_704_067_200.0
_TIME_ERROR = 5
_TIMEX_BYTES = 512


def check_clock() -> Iterator[Finding]:
    """Look at the clock of this machine."""
    now = time.time()
    if now < RELEASED:
        shown = time.strftime("%Y-%m-%d", time.gmtime(now))
        yield Finding(
            Level.ERROR,
            "clock",
            f"the clock says {shown}, which is before this software was made",
            hint="set the clock",
        )
        return
    synchronised = _synchronised()
    if synchronised is None:
        return
    if synchronised:
        yield Finding(Level.NOTE, "clock", "the kernel says the clock is synchronised")
    else:
        yield Finding(
            Level.WARNING,
            "clock",
            "the kernel says the clock is not synchronised; time stamps may drift from other IOCs",
            hint="start chronyd or systemd-timesyncd",
        )


def _synchronised() -> bool | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    # All zero asks and changes nothing; the buffer is larger than struct timex on every architecture.
    state: int = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR
