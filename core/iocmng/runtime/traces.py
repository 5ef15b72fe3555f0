"""What code is at: an exception in one line, and the line in which a thread stands."""

from __future__ import annotations

import sys
import threading
from types import FrameType

_WAITING = ("iocmng.", "threading", "cothread.")


def describe(error: BaseException) -> str:
    """An exception in one line, its kind first."""
    try:
        text = str(error).strip()
    except Exception as second:  # noqa: BLE001 - __str__ of a plugin's exception is foreign code
        text = f"its text cannot be made ({type(second).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def stack_line(thread: threading.Thread | None) -> str:
    """The line of code in which a thread stands, "ended" when it has."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None and thread.is_alive() else None
    return "ended" if frame is None else frame_line(frame)


def frame_line(innermost: FrameType) -> str:
    """The line of code that a stack stands at, without what waits on its behalf."""
    frame: FrameType | None = innermost
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_WAITING):
        frame = frame.f_back
    stands = frame or innermost
    return f"{stands.f_code.co_filename}:{stands.f_lineno} in {stands.f_code.co_name}"
