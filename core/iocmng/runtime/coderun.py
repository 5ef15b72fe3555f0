"""What every run of an author's code has: its thread, its way out, what it works with."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from iocmng.base import Author, Context, make
from iocmng.runtime.cothreads import Anywhere, Cothreads
from iocmng.runtime.evaluation import Latches, RunQueue
from iocmng.runtime.events import EventBus
from iocmng.runtime.leaving import Leaving
from iocmng.runtime.outputs import Outputs
from iocmng.runtime.panel import Panel
from iocmng.runtime.parameters import build
from iocmng.runtime.ports import AuthorLoop, Clock, Record
from iocmng.runtime.traces import stack_line
from iocmng.runtime.wiring import Wiring
from iocmng.spec import Engine, InstanceSpec, Isolation

T = TypeVar("T")
LEAVE_GRACE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run works with.

    Attributes:
        spec: The description in force.
        load: Imports the author's class.
        values: Parameters by name.
        outputs, panel: The instance's ports and default PVs.
        default_record: The record of a default PV.
        authors: Where coroutines run.
        clock: Time.
        note: Keeps on disk what is under way, so that a crash has a name; "" for nothing.
        events: The bus.
        wiring: Links to other PVs.
        evaluation: Evaluates links and logic.
        latches: Keeps latched outputs.
        cothreads: Runs code written for cothread; None where such code has a thread of its own.
    """

    spec: InstanceSpec
    load: Callable[[], type]
    values: Mapping[str, Any]
    outputs: Outputs
    panel: Panel
    default_record: Callable[[str], Record]
    authors: AuthorLoop
    clock: Clock
    note: Callable[[str], None]
    events: EventBus
    wiring: Wiring
    evaluation: RunQueue
    latches: Latches
    cothreads: Cothreads | None = None

    @property
    def scheduler(self) -> Cothreads | None:
        """Where the code runs among others of its kind; None for a thread of its own."""
        wanted = self.spec.engine is Engine.COTHREAD and self.spec.isolation is Isolation.THREAD
        return self.cothreads if wanted else None


class CodeRun:
    """One run of an author's code, in a thread of its own or on cothread's scheduler; `_main` is what runs there.

    Attributes:
        remark: What is to be added to the word on its end.
        retired: Whether the code wished to end.
    """

    remark = ""
    retired = False

    def __init__(self, work: Work) -> None:
        self._scheduler = work.scheduler
        if self._scheduler is not None:
            work = replace(work, clock=self._scheduler.clock)
        self.work = work
        self.spec = work.spec
        self.outputs = work.outputs
        self.panel = work.panel
        self.default_record = work.default_record
        self.authors = work.authors
        self.parameters: Any = work.values
        self.cls: type | None = None
        self.leaving = Leaving()
        self.thread: Anywhere | None = None
        self._load = work.load
        self._clock = work.clock
        self._note = work.note
        self._logger = logging.getLogger(f"iocmng.task.{work.spec.name}")

    @property
    def name(self) -> str:
        """The instance's name."""
        return self.spec.name

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended."""
        return self.thread is not None and self.thread.is_alive()

    def start(self) -> None:
        """Begin."""
        spawn = self._scheduler.spawn if self._scheduler is not None else self._clock.spawn
        self.thread = spawn(self._main, f"{self.spec.kind}-{self.spec.name}")

    @property
    def is_here(self) -> bool:
        """Whether the run's own code is calling, not a thread or cothread that it has made."""
        here = self._scheduler.here() if self._scheduler is not None else threading.current_thread()
        return here is self.thread

    def aside(self, call: Callable[[], T]) -> T:
        """The result of a call that may block, without holding up whom this run shares its thread with."""
        return call() if self._scheduler is None else self._scheduler.aside(call)

    def breathe(self) -> None:
        """Let those go on whom this run shares its thread with."""
        if self._scheduler is not None:
            self._scheduler.breathe()

    def leave(self) -> None:
        """Ask the code to end."""
        self.leaving.set()

    def kill(self) -> bool:
        """End it by force; False when there is no way, or none that has not been tried. Threads have none."""
        return False

    def zeroed(self) -> None:
        """The counters have been set to zero."""

    def rescue(self) -> None:
        """Let others go on that this run holds up; a thread of its own holds nobody up."""

    def where(self) -> str:
        """The line of code in which the thread stands, "ended" when it has."""
        if self.thread is None or isinstance(self.thread, threading.Thread):
            return stack_line(self.thread)
        return self.thread.where()

    def sleep(self, seconds: float) -> bool:
        """Wait on behalf of the author; False as soon as it is time to leave."""
        wakeup = self._clock.wakeup()
        undo = self.leaving.subscribe(wakeup.set)
        try:
            wakeup.wait(seconds)
        finally:
            undo()
        return not self.leaving

    def _main(self) -> None:
        raise NotImplementedError

    def _make(self, context: Context) -> Any:
        """Import the class and make its object, noting what is under way."""
        if self._scheduler is not None:
            self._scheduler.check()
        self._note("import")
        self.cls = self._load()
        self._note("start")
        self.parameters = build(self.cls, self.parameters, owner=self.spec.name)
        author: Author[Any] = make(self.cls, context)
        return author

    def _call(self, method: Callable[[], Any]) -> Any:
        """Call a method of the author's, sync or async."""
        result = method()
        if inspect.iscoroutine(result):
            grace = min(LEAVE_GRACE, self.spec.supervision.stop_timeout / 2)
            return self.aside(lambda: self.authors.run(result, self.leaving, grace))
        return result
