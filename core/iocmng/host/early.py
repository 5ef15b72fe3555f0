"""Signals that come before a host serves: they end the boot in order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from types import FrameType

_NUMBERS = (signal.SIGTERM, signal.SIGINT)
_LOOK_AGAIN = 0.002
# Between two lines of these a lock is held that nothing releases when an exception comes there: other threads
# would wait for it for ever, and the interpreter's end for them.
_NOT_HERE = ("<frozen importlib", logging.__file__)


class Stopped(BaseException):
    """A signal came before the host served."""


class _Asked:
    """Whether a signal came, and whether `Stopped` was raised for it."""

    came = False
    raised = False


def stop_on_signals() -> None:
    """Let SIGTERM and SIGINT raise `Stopped` in the main thread, which calls this, until others are set."""
    for number in _NUMBERS:
        signal.signal(number, _stop)
    # One that came while the process was replaced by this one has waited for this.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)


def serve_signals(end: Callable[[], None]) -> None:
    """Let SIGTERM and SIGINT call `end` on the running loop from now on.

    Raises:
        Stopped: One came before, and what it raised was swallowed by the code that it met.
    """
    loop = asyncio.get_running_loop()
    for number in _NUMBERS:
        loop.add_signal_handler(number, end)
    if _Asked.came:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stopped


def release_signals() -> None:
    """Let SIGTERM and SIGINT raise `Stopped` again, while the loop still runs and after it."""
    loop = asyncio.get_running_loop()
    for number in _NUMBERS:
        loop.remove_signal_handler(number)
    stop_on_signals()


def stop_came() -> bool:
    """Whether one of them came while they were to raise `Stopped`, also when that was swallowed."""
    return _Asked.came


def _stop(number: int, frame: FrameType | None) -> None:
    _Asked.came = True
    if _Asked.raised:
        return
    if frame is not None and frame.f_code.co_filename.startswith(_NOT_HERE):
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_AGAIN)
        return
    _Asked.raised = True
    raise Stopped
