"""Links and logic of one running instance: when they are evaluated, and with what."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from iocmng.logic.decisions import LogicEventKind, Snapshot, Step
from iocmng.logic.engine import Program
from iocmng.runtime.counters import Counters, Progress
from iocmng.runtime.evaluation.carryout import CarryOut
from iocmng.runtime.evaluation.cycles import Cycles
from iocmng.runtime.evaluation.intake import Heard, Intake
from iocmng.runtime.evaluation.linkview import both_ways
from iocmng.runtime.evaluation.rate import RateLimit
from iocmng.runtime.evaluation.tally import Tally
from iocmng.runtime.outputs import InstanceGone
from iocmng.runtime.panel import show_unconnected
from iocmng.spec import Direction, Mode
from iocmng.values import Reading, Value
from iocmng.wire import LinkView, RuleView

if TYPE_CHECKING:
    from iocmng.runtime.coderun import Work

FLUSH = 1.0
"""Seconds that values on their way to other IOCs get at a stop."""


class UnitOwner(Protocol):
    """Who hears of a unit; called on the evaluating thread, must only enqueue."""

    def linked(self, complaint: str) -> None:
        """What is wrong with the links, "" when nothing is."""

    def broke(self, error: Exception) -> None:
        """Evaluating failed, which is a fault of this program."""


class Unit:
    """One per run of an instance that has links or logic. Methods are for any thread unless they say otherwise.

    Args:
        work: What the run works with.
        token: The run, for its writes.
        owner: Hears of it.
        counters: Counts cycles when it is `alone`.
        alone: There is no code whose cycles count, and call for evaluations.

    Raises:
        BadInput: An expression is wrong.
    """

    def __init__(
        self, work: Work, token: object, owner: UnitOwner, counters: Counters, *, alone: bool
    ) -> None:
        spec = work.spec
        self.queued = False
        self.due: float | None = None
        self.progress = Progress()
        self.evaluations = 0
        self._work = work
        self._token = token
        self._owner = owner
        self._tally = Tally(counters, work.panel)
        self._clock = work.clock
        self._deadline: float | None = None
        self._rate = RateLimit()
        self._going = self._closing = self._held = False
        self._asked = self._everything = False
        self._targets = True
        self._clear = ""
        self._then: Callable[[], None] | None = None
        self._waiting: deque[Callable[[], None]] = deque()
        self._complaint = ""
        self._opened = False
        self._program = Program.compile(spec) if spec.logic else None
        kept = work.latches.load(spec.name)
        self._state = (
            self._program.start(self._clock.monotonic(), latched=kept.values, lost=kept.lost)
            if self._program
            else None
        )
        linked = [port for port in spec.ports if port.link is not None]
        self._inputs = (
            work.wiring.inputs(spec, self._changed)
            if any(port.direction is Direction.INPUT for port in linked)
            else None
        )
        self._outputs = work.wiring.outputs(spec, self._target_changed) if linked else None
        self._intake = Intake(spec, work.outputs, self._inputs)
        self._carry = CarryOut(work, token, self._outputs)
        self._carry.latched = kept.values
        self._counts = alone
        self._reactive = spec.mode is Mode.REACTIVE
        self._ticking = alone and spec.mode is Mode.CONTINUOUS
        self._cycles = Cycles(spec, self._inputs, self._submit, ticking=self._ticking)

    @property
    def latched(self) -> Mapping[str, Value]:
        """Outputs that hold a value until CLEAR."""
        return self._carry.latched

    @property
    def buffers(self) -> Mapping[str, list[Value]]:
        """All ring buffers by port, oldest value first."""
        return {
            port.name: list(self._intake.samples(port.name))
            for port in self._work.spec.ports
            if port.buffer_size
        }

    @property
    def readings(self) -> Mapping[str, Reading]:
        """What linked inputs say."""
        return {
            port.name: self._intake.readings[port.name]
            for port in self._work.spec.ports
            if port.link is not None and port.name in self._intake.readings
        }

    @property
    def connected(self) -> Mapping[str, bool]:
        """Whether the PV of each linked port answers."""
        targets = self._outputs.connected if self._outputs is not None else {}
        return {**targets, **self._intake.connected}

    @property
    def unknowns(self) -> Mapping[str, int]:
        """How often an expression could not be computed, by transform or rule."""
        return dict(self._state.unknowns) if self._state is not None else {}

    def open(self, heard: Heard | None = None) -> None:
        """Begin to listen; `heard` is told of changes of trigger inputs."""
        if heard is not None:
            self._intake.heard = heard
        if self._outputs is not None:
            self._work.outputs.forward_to(self._token, self._outputs.forward)
        self._intake.open()
        self._show_connections()
        # Links tell of changes while they are being made.
        self._opened = True
        self._submit()

    def go(self) -> None:
        """The instance is in RUN: evaluate everything now, and from now on."""
        self._everything = True
        # A first evaluation before polled inputs were asked for would decide nothing.
        self._asked = not self._ticking and self._work.spec.mode is not Mode.TRIGGERED
        self._cycles.restart(self._clock.monotonic())
        self._going, self._held = True, False
        self._submit()

    def hold(self) -> None:
        """The instance is paused: readings are still taken in, nothing is decided."""
        self._going, self._held = False, True
        if self._outputs is not None:
            self._outputs.pause()
        self._submit()

    def ask(self, done: Callable[[], None] | None = None) -> None:
        """Evaluate once, a cycle of the code is over; `done` is called after that, on the evaluating thread."""
        if done is not None:
            self._waiting.append(done)
        self._asked = True
        self._submit()

    def run(self, begin: Callable[[], None], done: Callable[[], None], room: int) -> bool:
        """Do one cycle of an instance that waits for such; False when `room` others wait already."""
        if len(self._waiting) > room:
            return False
        begin()
        self._waiting.append(done)
        self._cycles.want()
        self._submit()
        return True

    def touch(self, port: str) -> None:
        """A set-point was written."""
        self._intake.touch(port)
        self._submit()

    def clear(self, *, reset: bool) -> None:
        """Release latches whose cause is gone; `reset` also zeroes counters and looks after links at once."""
        self._clear = "reset" if reset or self._clear == "reset" else "clear"
        self._submit()

    def put(self, port: str, value: Value, timeout: float) -> None:
        """Write the PV that a port is linked to, and wait until it has taken the value.

        Raises:
            KeyError: The port is not linked.
            LinkError: The PV did not take it.
        """
        if self._outputs is None:
            raise KeyError(f"{self._work.spec.name}: port {port!r} is not linked")
        self._outputs.put(port, value, timeout)

    def poll_wait(self) -> None:
        """Read polled inputs that are due; on the thread of the code, which waits at most its `timeout`."""
        if self._inputs is not None and self._cycles.polls:
            self._inputs.poll_wait()
            self._intake.take()
            self._intake.show()

    def close(self, then: Callable[[], None]) -> None:
        """End links and evaluation; `then` is called when that is done, on another thread."""
        self._going, self._closing = False, True
        self._then = then
        self._opened = True
        self._submit()

    def drop(self) -> None:
        """The run has been given up, and may never end: nothing is read, decided or written for it any more."""
        self._going = False
        if self._inputs is not None:
            self._inputs.close()
        if self._outputs is not None:
            # What is fail-safe is on its way, perhaps.
            self._clock.spawn(partial(self._outputs.close, FLUSH), f"links-{self._work.spec.name}")

    def where(self) -> str:
        """Where the evaluation stands."""
        return self._work.evaluation.where(self)

    def rescue(self) -> None:
        """Let the others go on when this one hangs."""
        self._work.evaluation.rescue(self)

    def link_view(self, port: str) -> LinkView | None:
        """The link of a port, None without one."""
        known = {one.name: one for one in self._work.spec.ports}.get(port)
        if known is None or known.link is None:
            return None
        target = self._outputs.view(port) if self._outputs is not None else None
        if known.direction is Direction.OUTPUT or self._inputs is None:
            return target
        return both_ways(self._inputs.view(port), target)

    def rule_views(self) -> tuple[RuleView, ...]:
        """What each rule decides now, and why."""
        if self._program is None or self._state is None:
            return ()
        now = self._clock.monotonic()
        return self._program.explain(self._state, self._snapshot(), now)

    def _submit(self) -> None:
        if not self._opened:
            return
        if not self.progress.expected:
            self.progress.at = self._clock.monotonic()
            self.progress.expected = True
        self._work.evaluation.submit(self)

    def _changed(self, port: str) -> None:
        self._submit()

    def _target_changed(self) -> None:
        self._targets = True
        self._submit()

    def broke(self, error: Exception) -> None:
        """See `Evaluated.broke`."""
        self.progress.expected = False
        self._owner.broke(error)

    def evaluate(self, now: float) -> float | None:
        """See `Evaluated.evaluate`; on the evaluating thread."""
        self.progress.at, self.progress.expected = now, True
        try:
            return self._evaluate(now)
        except InstanceGone:
            # The run is over; `close` comes, or has come.
            return None
        finally:
            self.progress.expected = self.queued

    def _evaluate(self, now: float) -> float | None:
        if self._closing:
            self._end()
            return None
        calls = self._intake.take()
        try:
            return self._react(now, calls)
        finally:
            # What was decided goes out first: that is what others wait for.
            self._intake.show()
            if self._targets or self._intake.flipped:
                self._show_connections()

    def _react(self, now: float, calls: bool) -> float | None:
        if self._clear:
            self._do_clear(now)
        if not self._going:
            return self._cycles.watch(now) if self._held else None
        cycle = self._cycles.ripe(now)
        reached = self._deadline is not None and now >= self._deadline
        if cycle or self._asked or reached or (calls and self._reactive):
            later = self._rate.admit(now)
            if later is not None:
                self._tally.overrun(1)
                self._asked = True
                return later
            self._asked = False
            self._decide(now, cycle)
        if self._tally.due is not None and now >= self._tally.due:
            self._tally.show()
        dues = (self._deadline, self._cycles.next, self._tally.due)
        return min((due for due in dues if due is not None), default=None)

    def _decide(self, now: float, cycle: bool) -> None:
        """Evaluate the logic once and carry out what it decided."""
        started = time.perf_counter()
        self.evaluations += 1
        if self._program is not None and self._state is not None:
            step = self._program.step(self._state, self._snapshot(), now)
            everything, self._everything = self._everything, False
            self._carry.do(step, everything=everything)
            if cycle and not everything:
                self._carry.refresh(step)
            self._deadline = step.deadline
        if self._counts:
            self._count(now, cycle, time.perf_counter() - started)
        while self._waiting:
            self._waiting.popleft()()

    def _count(self, now: float, cycle: bool, duration: float) -> None:
        if self._state is not None:
            self._tally.unknowns = sum(self._state.unknowns.values())
        if cycle:
            self._tally.cycle(duration, self._cycles.over(self._clock.monotonic()))
        else:
            self._tally.event(now, duration)

    def _do_clear(self, now: float) -> None:
        wish, self._clear = self._clear, ""
        if wish == "reset":
            for links in (self._inputs, self._outputs):
                if links is not None:
                    links.recheck()
            if self._program is not None and self._state is not None:
                self._program.reset(self._state)
        if self._program is None or self._state is None or not self._going:
            return
        # A latch is on disk before anybody can release it, or a crash would bring an older state back.
        self._work.latches.settle(self._work.spec.name)
        step: Step = self._program.clear(self._state, self._snapshot(), now)
        self._carry.do(step, everything=False)
        kept = [event for event in step.events if event.kind is LogicEventKind.KEPT]
        if kept:
            self._work.panel.say("; ".join(f"{event.subject} kept: {event.text}" for event in kept))
        self._deadline = step.deadline
        self._asked = True

    def _snapshot(self) -> Snapshot:
        assert self._program is not None
        return self._intake.snapshot(self._program, self._work.values, self._clock.time())

    def _show_connections(self) -> None:
        self._targets = self._intake.flipped = False
        panel = self._work.panel
        panel.flags("CONN_INP", tuple(self._intake.connected.values()))
        outputs = self._outputs
        panel.flags("CONN_OUT", tuple(outputs.connected.values()) if outputs is not None else ())
        told = [links.complaint for links in (self._inputs, outputs) if links is not None]
        complaint = "; ".join(filter(None, told))
        if complaint != self._complaint:
            self._complaint = complaint
            self._tally.links_well = not complaint
            self._owner.linked(complaint)

    def _end(self) -> None:
        then, self._then = self._then, None
        if then is None:
            return
        while self._waiting:
            self._waiting.popleft()()
        current = self._work.outputs.current(self._token)
        if current:
            show_unconnected(self._work.panel, self._work.spec)
        if self._inputs is not None:
            self._inputs.close()
            if current:
                self._work.outputs.lose_inputs("not running")
        if self._outputs is None:
            then()
            return
        outputs = self._outputs

        def flush() -> None:
            outputs.close(FLUSH)
            then()

        # A target that does not answer must not hold up the logic of the others.
        self._clock.spawn(flush, f"links-{self._work.spec.name}")
