"""Which instance's code runs on this thread, and the way of what it prints to that instance's log."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol, TextIO, cast

from iocmng.runtime.ports import Undo

MAX_UNFINISHED = 8192


class Printed(Protocol):
    """A run that keeps what its code prints."""

    def printed(self, stream: str, text: str) -> None:
        """The code has printed a line to `stdout` or `stderr`."""


_bound: ContextVar[str | None] = ContextVar("iocmng_instance", default=None)
_run: ContextVar[Printed | None] = ContextVar("iocmng_run", default=None)
_on_release: list[Callable[[], None]] = []


def bound_instance() -> str | None:
    """The instance whose code runs here, None for the host's own."""
    return _bound.get()


def bound_run() -> Printed | None:
    """The run whose code runs here, None where there is none or where it keeps nothing."""
    return _run.get()


def bind_thread(instance: str, run: Printed | None = None) -> Undo:
    """Count what this thread (or asyncio task) prints and logs from now on to `instance`, and to its `run`.

    The returned call, made on the same thread, ends it and hands on a line that has no newline yet.
    """
    token, run_token = _bound.set(instance), _run.set(run)

    def undo() -> None:
        for release in tuple(_on_release):
            release()
        _bound.reset(token)
        _run.reset(run_token)

    return undo


def keep_binding() -> Callable[[], None]:
    """What this thread is bound to now; the returned call, made on the same thread, binds it to that again."""
    instance, run = _bound.get(), _run.get()

    def again() -> None:
        _bound.set(instance)
        _run.set(run)

    return again


class _Router:
    """Stands in for a standard stream: bound threads write lines to a sink, all others to the stream."""

    def __init__(self, stream: TextIO, sink: Callable[[str, str], None]) -> None:
        self._stream = stream
        self._sink = sink
        self._unfinished: dict[tuple[int, str], str] = {}

    def write(self, text: str) -> int:
        instance = _bound.get()
        if instance is None or not isinstance(text, str):
            return self._stream.write(text)
        key = (threading.get_ident(), instance)
        *lines, rest = (self._unfinished.pop(key, "") + text).split("\n")
        if len(rest) > MAX_UNFINISHED:
            lines.append(rest)
            rest = ""
        if rest:
            self._unfinished[key] = rest
        for line in lines:
            self._sink(instance, line.rstrip("\r"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        # What a bound thread has begun to print waits for its newline: a flush after each dot of a progress
        # display would make a line of each.
        if _bound.get() is None:
            self._stream.flush()

    def release(self) -> None:
        instance = _bound.get()
        if instance is not None and (rest := self._unfinished.pop((threading.get_ident(), instance), "")):
            self._sink(instance, rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def route_streams(sink: Callable[[str, str, str], None]) -> Undo:
    """Put `sys.stdout` and `sys.stderr` behind routers.

    Args:
        sink: Called on the printing thread with instance, stream name (`stdout`, `stderr`) and line.

    Returns:
        A call that puts back what was there.
    """
    undos = [_route(name, sink) for name in ("stdout", "stderr")]

    def undo() -> None:
        for each in undos:
            each()

    return undo


def _route(name: str, sink: Callable[[str, str, str], None]) -> Undo:
    stream = getattr(sys, name)

    def printed(instance: str, line: str) -> None:
        sink(instance, name, line)
        if run := _run.get():
            run.printed(name, line)

    router = _Router(stream, printed)
    setattr(sys, name, cast(TextIO, router))
    _on_release.append(router.release)

    def undo() -> None:
        _on_release.remove(router.release)
        if getattr(sys, name) is router:
            setattr(sys, name, stream)

    return undo
