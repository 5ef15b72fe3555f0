"""One life of a task's code: its thread, from the constructor to `cleanup`."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from iocmng.base import TaskBase
from iocmng.lifecycle import TaskStatus
from iocmng.runtime.checkup import Checkup
from iocmng.runtime.coderun import CodeRun, Work
from iocmng.runtime.counters import Counters, Progress
from iocmng.runtime.evaluation.changes import Changes
from iocmng.runtime.evaluation.unit import Unit
from iocmng.runtime.outputs import InstanceGone
from iocmng.runtime.policy import Cause
from iocmng.runtime.schedule import Schedule
from iocmng.runtime.streams import bind_thread
from iocmng.runtime.taskcontext import TaskRunContext
from iocmng.runtime.taskowner import TaskOwner
from iocmng.runtime.traces import describe
from iocmng.spec import Mode

SHOWN_BUSY = 0.005
TASK_SUCCESS, TASK_FAIL, IO_FAILURE, CODE_CRASH = range(4)


class CycleFailures(Exception):
    """So many cycles failed in a row that the run is over; its cause is the last one's exception."""


class TaskRun(CodeRun):
    """Runs the author's object; the supervision tells it when to go, pause and leave."""

    def __init__(self, work: Work, *, counters: Counters, owner: TaskOwner) -> None:
        super().__init__(work)
        self.counters = counters
        self.progress = Progress()
        self.in_cycle = False
        self.paused = True
        self.retired = False
        self._owner = owner
        self._proven = False
        self._wakeup = self._clock.wakeup()
        self._context = TaskRunContext(self, work.spec, self._logger)
        self._requests: deque[tuple[Callable[[], None], Callable[[], None]]] = deque()
        self._show_count = work.panel.writer("CYCLE_COUNT")
        self._show_duration = work.panel.writer("TASK_DURATION")
        self._looping = False
        self._stepped = False
        self._failures = 0
        self._ask = Checkup(counters, self._call, lambda reason: owner.health(self, reason), self._logger)
        self._author: TaskBase | None = None
        self.unit: Unit | None = None
        self.changes = Changes(self._wakeup.set)
        self._hears = False

    def start(self) -> None:
        """Begin."""
        self.outputs.begin(self)
        super().start()

    def leave(self) -> None:
        """Ask the code to end."""
        super().leave()
        if self.unit is not None:
            self.unit.hold()
        self._wakeup.set()

    def retire(self) -> None:
        """End in order on the code's own wish."""
        self.retired = True
        self.leave()

    def pause(self) -> None:
        """Hold the code at its next wait."""
        self.paused = True
        self.progress.expected = False
        if self.unit is not None:
            self.unit.hold()
        self._wakeup.set()

    def resume(self) -> None:
        """Let the code run."""
        self.progress.at = self._clock.monotonic()
        self.paused = False
        if self.unit is not None:
            self.unit.go()
        self._wakeup.set()

    def request(self, begin: Callable[[], None], done: Callable[[], None], room: int) -> bool:
        """Ask a triggered task for one run; False when `room` others wait already.

        `begin` and `done` are called on the run's thread before and after, `done` also when the run never comes.
        """
        if self.leaving or len(self._requests) + self.in_cycle > room:
            return False
        self._requests.append((begin, done))
        self._wakeup.set()
        return True

    def linked(self, complaint: str) -> None:
        """See `UnitOwner.linked`."""
        self._owner.linked(self, complaint)

    def broke(self, error: Exception) -> None:
        """See `UnitOwner.broke`."""
        self._fail(error)
        self.leave()

    def rescue(self) -> None:
        """Let other instances go on when the evaluation of this one's logic hangs."""
        if self.unit is not None:
            self.unit.rescue()

    def say(self, text: str) -> None:
        """Show MESSAGE."""
        self.panel.say(text)

    def declare(self, word: str) -> None:
        """The task's own word on its health."""
        self._ask.declare(word)

    def progressed(self) -> None:
        """The code got somewhere."""
        self.progress.at = self._clock.monotonic()

    def step(self) -> None:
        """Count a cycle of a loop of the author's own."""
        self.progressed()
        self._stepped = True
        self.counters.cycles += 1
        self._show_count(self.counters.cycles)

    def sleep(self, seconds: float) -> bool:
        """Wait on behalf of the author; holds as long as the task is paused."""
        if not self.is_here:
            return super().sleep(seconds)
        end = self._clock.monotonic() + seconds
        self.breathe()
        self._checkup()
        while not self.leaving:
            rest = end - self._clock.monotonic()
            if rest <= 0 and not (self.paused and self._looping):
                break
            self.progress.at = self._clock.monotonic() + max(rest, 0.0)
            self._wakeup.wait(rest if rest > 0 else None)
        self.progressed()
        if self._looping:
            self.progress.expected = True
            self.step()
            self._prove()
            if self.unit is not None:
                self.unit.ask()
                self.aside(self.unit.poll_wait)
        return not self.leaving

    def _main(self) -> None:
        undo = bind_thread(self.spec.name)
        try:
            author: TaskBase = self._make(self._context)
            self._wire(author)
            self._call(author.initialize)
            self._author = author
            author._iocmng_open()
            self._note("run")
            self._owner.initialized(self)
            self._run(author)
        except InstanceGone as gone:
            self._logger.warning("%s", gone)
        except BaseException as error:  # noqa: BLE001 - the border where an author's code runs
            self._fail(error)
        finally:
            self._finish()
            self._note("")
            undo()

    def _wire(self, author: TaskBase) -> None:
        """Open links and logic, when the task has any."""
        if not (self.spec.logic or self.spec.linked):
            return
        self._hears = type(author).on_input_changed is not TaskBase.on_input_changed
        alone = self.spec.mode is Mode.REACTIVE and not self._hears
        self.unit = Unit(self.work, self, self, self.counters, alone=alone)
        self.unit.open(self.changes.put if self._hears else None)

    def _fail(self, error: BaseException) -> None:
        if self.leaving and isinstance(error, asyncio.CancelledError):
            return
        if self.unit is not None:
            # Nothing may be decided while the code cleans up.
            self.unit.hold()
        cause, told = Cause.EXCEPTION, error
        if isinstance(error, CycleFailures):
            cause, told = Cause.CYCLE_ERRORS, error.__cause__ or error
        reason = describe(told)
        trace = "".join(traceback.format_exception(told))
        self._logger.error("%s\n%s", reason, trace)
        self._owner.failed(self, cause, reason, trace)

    def _finish(self) -> None:
        self.progress.expected = False
        author, self._author = self._author, None
        if author is not None:
            try:
                author._iocmng_close()
                self._call(author.cleanup)
            except InstanceGone as gone:
                self._logger.warning("%s", gone)
            except BaseException as error:
                self._logger.exception("cleanup failed: %s", describe(error))
        self.panel.show("BUSY", False)
        while self._requests:
            self._requests.popleft()[1]()
        if self.unit is not None:
            self.unit.close(self._ended)
        else:
            self._ended()

    def _ended(self) -> None:
        self.outputs.close(self)
        self._owner.ended(self)

    def _run(self, author: TaskBase) -> None:
        if self.spec.mode is Mode.TRIGGERED:
            self._triggered(author.triggered)
        elif self.spec.mode is Mode.REACTIVE:
            self._reactive()
        else:
            self._continuous(author.execute)

    def _hold(self) -> None:
        """Wait until the supervision lets the code go on."""
        self.progress.expected = False
        while self.paused and not self.leaving:
            self._wakeup.wait(None)

    def _continuous(self, execute: Callable[[], Any]) -> None:
        schedule: Schedule | None = None
        while not self.leaving:
            if self.paused:
                self._hold()
                schedule = None
                continue
            now = self._clock.monotonic()
            if schedule is None:
                schedule = Schedule(self.spec.interval, now)
            self.progress.at = now
            self.progress.expected = True
            if self.unit is not None:
                self.aside(self.unit.poll_wait)
            self._cycle(execute)
            if self.unit is not None:
                self.unit.ask()
            deadline, missed = schedule.next(self._clock.monotonic())
            if missed:
                self.counters.overruns += missed
                self.panel.show("OVERRUNS", self.counters.overruns)
            while not (self.leaving or self.paused):
                while self._hears and not (self.leaving or self.paused) and self._hear():
                    continue
                rest = deadline - self._clock.monotonic()
                if rest <= 0:
                    break
                self.progress.at = deadline
                self._wakeup.wait(rest)

    def _triggered(self, work: Callable[[], Any]) -> None:
        while not self.leaving:
            if self.paused:
                self._hold()
                continue
            if not self._requests:
                self.progress.expected = False
                self._checkup()
                self._wakeup.wait(max(0.0, self._ask.due - self._clock.monotonic()))
                continue
            self.in_cycle = True
            begin, done = self._requests.popleft()
            self.progressed()
            self.progress.expected = True
            begin()
            try:
                if self.unit is not None:
                    self.aside(self.unit.poll_wait)
                self._cycle(work)
                if self.unit is not None:
                    self._evaluate(self.unit)
            finally:
                done()

    def _evaluate(self, unit: Unit) -> None:
        """Have the logic evaluated, and wait for that: a run is over when its outputs are written."""
        evaluated = self._clock.wakeup()
        undo = self.leaving.subscribe(evaluated.set)
        unit.ask(evaluated.set)
        evaluated.wait(self.spec.timeout)
        undo()

    def _reactive(self) -> None:
        while not self.leaving:
            if self.paused:
                self._hold()
                continue
            self.progress.expected = False
            self._checkup()
            if self._hears and self._hear():
                continue
            self._wakeup.wait(max(0.0, self._ask.due - self._clock.monotonic()))

    def _hear(self) -> bool:
        """Tell the code of one change of a trigger input, when there is one."""
        change = self.changes.take()
        author = self._author
        if change is None or author is None:
            return False
        self.progressed()
        self.progress.expected = True
        self._cycle(lambda: author.on_input_changed(change.port, change.value, change.old))
        if self.unit is not None:
            self.unit.ask()
        return True

    def _cycle(self, work: Callable[[], Any]) -> None:
        """Run the author's code once and show how it went."""
        self.breathe()
        panel, counters = self.panel, self.counters
        started = time.perf_counter()
        self.in_cycle = self._looping = True
        self._stepped = False
        # Two events a cycle that nobody could see are saved; the watchdog shows a cycle that takes longer.
        if counters.last_duration >= SHOWN_BUSY or self.spec.mode is Mode.TRIGGERED:
            panel.show("BUSY", True)
        outcome, error = TASK_SUCCESS, None
        if not self._proven:
            self._note("first cycle")
        try:
            returned = self._call(work)
            if returned is False:
                outcome = TASK_FAIL
            elif isinstance(returned, TaskStatus) and returned is not TaskStatus.SKIPPED:
                outcome = int(returned)
        except InstanceGone:
            raise
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - the border where an author's code runs
            outcome = IO_FAILURE if isinstance(raised, (ConnectionError, TimeoutError)) else CODE_CRASH
            error = raised
        finally:
            self.in_cycle = self._looping = False
            counters.last_duration = max(time.perf_counter() - started, 0.0)
            panel.show("BUSY", False)
        self._prove()
        if not self._stepped:
            counters.cycles += 1
            self._show_count(counters.cycles)
        self._show_duration(counters.last_duration)
        panel.show("TASK_STATUS", outcome)
        self.progressed()
        self._judge(error)
        self._checkup()

    def _prove(self) -> None:
        """A cycle has not ended the process."""
        if not self._proven:
            self._proven = True
            self._note("run")

    def _judge(self, error: BaseException | None) -> None:
        if error is None:
            self._failures = 0
            return
        self._failures += 1
        self.counters.cycle_errors += 1
        self.panel.show("CYCLE_ERRORS", self.counters.cycle_errors)
        limit = self.spec.supervision.cycle_errors
        if self._failures >= limit:
            raise CycleFailures(f"{self._failures} cycles failed in a row") from error
        self._logger.error("cycle failed (%d of %d in a row)", self._failures, limit, exc_info=error)
        self.say(f"cycle failed ({self._failures} of {limit}): {describe(error)}")

    def _checkup(self) -> None:
        """Ask the code how it is, when that is due."""
        if self._author is not None and not self.leaving:
            self._ask.look(self._author, self._clock.monotonic())
