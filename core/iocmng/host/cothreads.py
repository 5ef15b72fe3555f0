"""Code written for cothread: all of it runs on the one thread that has cothread's scheduler."""

from __future__ import annotations

import atexit
import importlib
import logging
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import Any, TypeVar

from iocmng.host.cothread_stacks import running_line
from iocmng.runtime.cothreads import Strand
from iocmng.runtime.ports import Clock, Wakeup
from iocmng.runtime.streams import keep_binding
from iocmng.runtime.traces import describe, frame_line

T = TypeVar("T")
STACK = 1024 * 1024
"""Bytes of stack for a run's code; shared stacks would be copied at each switch."""
HELD = 1.0
"""Seconds without a switch after which the scheduler counts as held up."""
CLOSING = 2.0
"""Seconds in which the scheduler has to end with the process."""
_log = logging.getLogger("iocmng.cothread")


class CothreadWakeup:
    """A Wakeup that lets other code of the scheduler go on while it waits on the scheduler's thread."""

    def __init__(self, scheduler: Scheduler, plain: Wakeup) -> None:
        self._scheduler = scheduler
        self._plain = plain
        self._event: Any = None

    def wait(self, timeout: float | None) -> bool:
        """Wait until set or `timeout` seconds have passed; return whether it was set, and clear it."""
        if not self._scheduler.is_here:
            return self._plain.wait(timeout)
        if timeout is not None and timeout <= 0:
            self._scheduler.breathe()
            return self._plain.wait(0)
        event = self._event = self._scheduler.event()
        # Whoever sets it from here on finds the event.
        if self._plain.wait(0):
            self._event = None
            return True
        try:
            event.Wait(timeout)
        except self._scheduler.timed_out:
            pass
        finally:
            self._event = None
        return self._plain.wait(0)

    def set(self) -> None:
        """Wake the waiting code, or let its next wait return at once."""
        self._plain.set()
        event = self._event
        if event is not None:
            self._scheduler.call(event.Signal)


class CothreadClock:
    """The clock of a host, with waits that suit the scheduler's thread."""

    def __init__(self, scheduler: Scheduler, clock: Clock) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self.time = clock.time
        self.monotonic = clock.monotonic
        self.spawn = clock.spawn

    def wakeup(self) -> Wakeup:
        """A new thing to wait on."""
        return CothreadWakeup(self._scheduler, self._clock.wakeup())


class Piece:
    """A run's code on the scheduler's thread."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.name = name
        self.frame: FrameType | None = None
        self.ended = False
        self._scheduler = scheduler

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self.ended

    def where(self) -> str:
        """The line in which it stands, and who keeps it from going on; "ended" when it has."""
        return "ended" if self.ended else self._scheduler.where(self)


class _Switching:
    """Stands in for cothread's module of coroutines, which has no hook to tell who runs."""

    def __init__(self, scheduler: Scheduler, real: Any) -> None:
        self._scheduler = scheduler
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create(self, parent: Any, function: Callable[[Any], Any], stack_size: int) -> Any:
        """A coroutine that counts to the instance whose code makes it."""
        bind = keep_binding()

        def body(given: Any) -> Any:
            self._scheduler.enters(None)
            bind()
            return function(given)

        return self._real.create(parent, body, stack_size)

    def switch(self, target: Any, given: Any) -> Any:
        """Leave the present coroutine until somebody switches back to it."""
        piece = self._scheduler.present
        if piece is not None:
            piece.frame = sys._getframe(1)
        result = self._real.switch(target, given)
        if piece is not None:
            piece.frame = None
        self._scheduler.enters(piece)
        return result


class Scheduler:
    """The thread "iocmng-cothread" with cothread's scheduler, started with the first run's code.

    Args:
        clock: Time; makes threads.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock: Clock = CothreadClock(self, clock)
        self.present: Piece | None = None
        self._threads = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._early: list[Callable[[], None]] = []
        self._ident = 0
        self._since = 0.0
        self._cothread: Any = None
        self._problem = ""

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on the scheduler's thread."""
        return threading.get_ident() == self._ident

    def spawn(self, target: Callable[[], None], name: str) -> Strand:
        """Begin a run's code on the scheduler's thread, which is started with the first."""
        piece = Piece(self, name)

        def body() -> None:
            self.enters(piece if self.is_here else None)
            try:
                target()
            finally:
                piece.ended = True

        with self._lock:
            if self._thread is None:
                self._thread = self._threads.spawn(self._run, "iocmng-cothread")
            if self._cothread is None and not self._problem:
                self._early.append(body)
                return piece
        self._begin(body)
        return piece

    def _begin(self, body: Callable[[], None]) -> None:
        if self._problem:
            # In a thread of its own the run finds out, and fails with these words.
            self._threads.spawn(body, "cothread-refused")
        else:
            self.call(lambda: self._cothread.Spawn(body, stack_size=STACK))

    def check(self) -> None:
        """Raise when the scheduler cannot serve.

        Raises:
            RuntimeError: cothread is not installed, or belongs to another thread.
        """
        if self._problem:
            raise RuntimeError(self._problem)

    def here(self) -> Strand | None:
        """Whose code calls this, None for any other."""
        return self.present if self.is_here else None

    def enters(self, piece: Piece | None) -> None:
        """A coroutine begins or goes on; on the scheduler's thread."""
        self.present = piece
        self._since = self._threads.monotonic()

    def event(self) -> Any:
        """A new cothread.Event."""
        return self._cothread.Event()

    @property
    def timed_out(self) -> type[Exception]:
        """What a wait raises whose time is over."""
        raised: type[Exception] = self._cothread.Timedout
        return raised

    def call(self, action: Callable[[], Any]) -> None:
        """Call something on the scheduler's thread, in order."""
        self._cothread.Callback(action)

    def aside(self, call: Callable[[], T]) -> T:
        """The result of a call that may block; other code of the scheduler goes on meanwhile."""
        if not self.is_here:
            return call()
        results: list[T] = []
        errors: list[BaseException] = []
        done, context = self.clock.wakeup(), copy_context()

        def body() -> None:
            try:
                results.append(context.run(call))
            except BaseException as error:  # noqa: BLE001 - it is raised again where the call was made
                errors.append(error)
            finally:
                done.set()

        self._threads.spawn(body, "cothread-aside")
        done.wait(None)
        if errors:
            raise errors[0]
        return results[0]

    def breathe(self) -> None:
        """Let other code of the scheduler go on."""
        if self.is_here:
            self._cothread.Yield()

    def where(self, piece: Piece) -> str:
        """The line in which a piece of code stands, and who keeps it from going on. Any thread."""
        held = self._threads.monotonic() - self._since >= HELD
        holder, running = self.present, running_line(self._ident) if held else ""
        if piece is holder and running:
            return running
        frame = piece.frame
        place = frame_line(frame) if frame is not None else "its beginning"
        if not running:
            return place
        name = holder.name if holder is not None else "a cothread"
        return f"{place}, waits for cothread's scheduler, which {name} holds at {running}"

    def _run(self) -> None:
        cothread, problem = None, ""
        try:
            cothread = self._take_over()
        except Exception as error:  # noqa: BLE001 - importing is foreign code; each run fails with the reason
            problem = f"engine: cothread does not work: {describe(error)}"
            _log.error("%s", problem)
        with self._lock:
            self._cothread, self._problem = cothread, problem
            early, self._early = self._early, []
        for body in early:
            self._begin(body)
        if cothread is not None:
            self._serve(cothread.Event(auto_reset=False))

    def _take_over(self) -> Any:
        """Import cothread, which makes this thread its scheduler's: whoever imports it first has it."""
        cothread = importlib.import_module("cothread")
        inside = importlib.import_module("cothread.cothread")
        owner: int = inside.scheduler_thread_id
        if owner != threading.get_ident():
            names = (thread.name for thread in threading.enumerate() if thread.ident == owner)
            raise RuntimeError(
                f"cothread's scheduler belongs to {next(names, 'a thread that has ended')}, "
                "which imported it without engine: cothread"
            )
        # Now, since it takes the thread that imports it for the scheduler's.
        importlib.import_module("cothread.catools")
        inside._coroutine = _Switching(self, inside._coroutine)  # type: ignore[attr-defined]
        self._ident = threading.get_ident()
        return cothread

    def _serve(self, over: Any) -> None:
        # After catools' own, so that it runs before that: it may only be called on this thread.
        atexit.register(self._close, over)
        over.Wait()
        sys.modules["cothread.catools"]._catools_atexit()

    def _close(self, over: Any) -> None:
        """End the scheduler with the process."""
        atexit.unregister(sys.modules["cothread.catools"]._catools_atexit)
        self.call(over.Signal)
        if self._thread is not None:
            self._thread.join(CLOSING)
