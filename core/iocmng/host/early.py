"""Signals that come before a host serves: they end the boot in order."""

from __future__ import annotations

import signal
from types import FrameType


class Stopped(BaseException):
    """A signal came before the host served."""


def stop_on_signals() -> None:
    """Let SIGTERM and SIGINT raise `Stopped` in the main thread, which calls this, until others are set."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped
