"""One evaluation: transforms in order, rules in order, each output as soon as all that set it have been decided."""

from __future__ import annotations

import time
from collections.abc import Mapping

from iocmng.logic.actuating import actuate
from iocmng.logic.deadlines import next_deadline
from iocmng.logic.deciding import RuleState
from iocmng.logic.decisions import Command, LogicEvent, LogicEventKind, OutputWrite, Step
from iocmng.logic.explaining import reason
from iocmng.logic.latching import cause, keepers
from iocmng.logic.plan import GroupPlan, OutputPlan, Plan, RulePlan, TransformPlan
from iocmng.logic.resolving import Latch, Shown, resolve, same
from iocmng.logic.state import EngineState
from iocmng.logic.transforming import transform
from iocmng.spec.instance import PortSpec
from iocmng.values import Status, Value

FEEDBACK_DELAY = 0.1
"""Seconds until logic that reads an output before it is decided is evaluated again after that output has changed:
rules that flip each other do so at ten a second, and not as fast as the machine can."""


_QUIET = Step()


def quiet(deadline: float | None) -> Step:
    """The step in which nothing happened."""
    return _QUIET if deadline is None else Step(deadline=deadline)


class Stepping:
    """One step, while it is being made.

    Args:
        plan: The program.
        ports: All ports of the instance by name.
        state: The run.
        wall: Seconds since 1970-01-01 UTC.
        now: Monotonic seconds.
        clear: Whether latches are to be released whose cause is gone.
    """

    __slots__ = (
        "clear", "events", "failing", "fired", "first", "moved", "now", "plan", "ports", "recalled", "stale", "state",
        "variables", "wall", "writes",
    )  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        ports: Mapping[str, PortSpec],
        state: EngineState,
        wall: float,
        now: float,
        *,
        clear: bool = False,
    ) -> None:
        self.plan = plan
        self.ports = ports
        self.state = state
        self.variables = state.variables
        self.now = now
        self.wall = wall
        self.clear = clear
        self.first = not state.begun
        self.writes: dict[str, OutputWrite] = {}
        self.events: list[LogicEvent] = []
        self.fired: set[int] = set()
        self.moved = False
        self.failing = False
        self.stale: set[str] = set(state.latches) if clear else set()
        self.recalled: set[str] = set()

    def run(self) -> Step:
        """Make the step."""
        plan, state = self.plan, self.state
        if state.again is not None and self.now >= state.again:
            state.again = None
        for name in plan.feedback:
            if self.variables.recall(name):
                self.recalled.add(name)
        self.stale |= self.recalled
        for one in plan.transforms:
            self._transform(one)
        if self.first:
            for output in plan.constants:
                self._output(output)
        for rule, outputs in zip(plan.rules, plan.settled, strict=True):
            self._rule(rule)
            for output in outputs:
                if self.first or output.name in self.stale:
                    self._output(output)
        if self.first or self.clear or self.moved:
            for group in plan.groups:
                self._group(group)
        commands, withdrawn = self._actuate()
        state.begun = True
        return self._step(commands, withdrawn)

    def _step(self, commands: tuple[Command, ...], withdrawn: tuple[str, ...]) -> Step:
        state, writes = self.state, self.writes
        deadline = state.deadline = next_deadline(self.plan, state, self.now)
        state.quiet = self.plan.steady and not self.failing
        if not (writes or commands or withdrawn or self.events or state.changed):
            return quiet(deadline)
        return Step(
            writes=tuple(writes[name] for name in self.plan.outputs if name in writes),
            commands=commands,
            withdrawn=withdrawn,
            events=tuple(self.events),
            deadline=deadline,
            latched=self._latched(),
            message=self._message(),
        )

    def _tell(self, kind: LogicEventKind, subject: str, text: str) -> None:
        self.events.append(LogicEvent(kind, subject, text))

    def _count(self, subject: str) -> None:
        self.failing = True
        self.state.unknowns[subject] = self.state.unknowns.get(subject, 0) + 1

    def _transform(self, plan: TransformPlan) -> None:
        name = plan.port.name
        last = self.state.shown.get(name)
        formula = plan.formula
        if (
            last is not None
            and formula.pure
            and name not in self.recalled
            and formula.names.isdisjoint(self.variables.touched)
        ):
            if last.doubt is not None and last.doubt.failed:
                self._count(name)
            return
        shown = transform(plan, self.variables, last)
        failed = shown.doubt is not None and shown.doubt.failed
        failing = last is not None and last.doubt is not None and last.doubt.failed
        if failed:
            self._count(name)
        if failed is not failing:
            kind = LogicEventKind.FAILED if failed else LogicEventKind.KNOWN
            if failed or shown.doubt is None:
                self._tell(kind, name, shown.reason if failed else "computed again")
        self._show(name, shown)

    def _rule(self, plan: RulePlan) -> None:
        rule = self.state.rules[plan.index]
        touched = self.first or not plan.pure or not plan.names.isdisjoint(self.variables.touched)
        news = touched and rule.evaluate(plan, self.variables)
        if not news and rule.due is None and rule.active is not None:
            if rule.doubt is not None and rule.doubt.failed:
                self._count(plan.spec.id)
            return
        before = rule.active
        settled = self.now >= self.state.started + plan.spec.settle
        if rule.decide(plan, self.now, self.wall, settled):
            self.stale |= plan.outputs
        self._tell_doubt(plan, rule, settled)
        if rule.active is before:
            return
        if rule.active:
            self._begins(plan, rule)
        elif before:
            self._ends(plan, rule)

    def _tell_doubt(self, plan: RulePlan, rule: RuleState, settled: bool) -> None:
        name, doubt = plan.spec.id, rule.doubt
        if doubt is None:
            if rule.told is not None:
                rule.told = None
                self._tell(LogicEventKind.KNOWN, name, "known again")
            return
        if doubt.failed:
            self._count(name)
        elif rule.active is None and not settled:
            return
        if rule.told is not doubt.failed:
            rule.told = doubt.failed
            kind = LogicEventKind.FAILED if doubt.failed else LogicEventKind.UNKNOWN
            self._tell(kind, name, str(doubt))

    def _begins(self, plan: RulePlan, rule: RuleState) -> None:
        spec, state = plan.spec, self.state
        self.moved = True
        self.fired.add(plan.index)
        state.active.append(plan.index)
        text = spec.message or reason(plan, rule, self.ports, state, self.now)
        self._tell(LogicEventKind.ACTIVE, spec.id, text)
        if spec.message_pv:
            stamp = time.strftime("%d/%m/%y %H:%M:%S", time.localtime(self.wall))
            state.messages[spec.message_pv] = f"{stamp} - {spec.message or spec.id}"
            self.stale.add(spec.message_pv)
        if spec.group and spec.group not in state.firsts:
            state.firsts[spec.group] = spec.id
            state.changed = True
            self._tell(LogicEventKind.FIRST, spec.group, spec.id)

    def _ends(self, plan: RulePlan, rule: RuleState) -> None:
        self.moved = True
        self.state.active.remove(plan.index)
        why = reason(plan, rule, self.ports, self.state, self.now)
        self._tell(LogicEventKind.INACTIVE, plan.spec.id, why)

    def _output(self, output: OutputPlan) -> None:
        state, name = self.state, output.name
        last = state.shown.get(name)
        base = output.fitting(state.messages[name]) if name in state.messages else output.default
        shown = resolve(output, self.plan.rules, state.rules, base, None if last is None else last.value)
        latch = state.latches.get(name)
        if latch is not None and self.clear:
            latch = self._released(output, latch)
        if latch is None and shown.setter is not None and output.latches(shown.setter[1]):
            latch = self._engaged(output, *shown.setter)
        if latch is not None:
            status = Status.STATE if latch.severity else Status.NO_ALARM
            shown = Shown(latch.value, latch.severity, status, latch.reason if latch.severity else "")
        self._show(name, shown)

    def _released(self, output: OutputPlan, latch: Latch) -> Latch | None:
        why = [cause(rule, state) for rule, state in keepers(output, self.plan.rules, self.state.rules)]
        if why:
            self._tell(LogicEventKind.KEPT, output.name, "; ".join(why))
            return latch
        del self.state.latches[output.name]
        self.state.changed = self.moved = True
        self._tell(LogicEventKind.RELEASED, output.name, "its cause is gone")
        return None

    def _engaged(self, output: OutputPlan, index: int, value: Value) -> Latch:
        rule = self.plan.rules[index].spec
        latch = self.state.latches[output.name] = Latch(value, rule.severity, rule.message or rule.id)
        self.state.changed = self.moved = True
        self._tell(LogicEventKind.LATCHED, output.name, rule.message or rule.id)
        return latch

    def _group(self, group: GroupPlan) -> None:
        firsts = self.state.firsts
        if self.clear and group.name in firsts:
            states = self.state.rules
            why = [cause(self.plan.rules[one], states[one]) for one in group.rules if not states[one].gone]
            if why:
                self._tell(LogicEventKind.KEPT, group.name, "; ".join(why))
            else:
                del firsts[group.name]
                self.state.changed = True
                self._tell(LogicEventKind.RELEASED, group.name, "no rule of the group is active")
        self._show(group.output, Shown(firsts.get(group.name, "")))

    def _show(self, name: str, shown: Shown) -> None:
        last = self.state.shown.get(name)
        value = shown.value
        if value is None and last is not None:
            value = shown.value = last.value
        news = last is None or not same(value, last.value)
        if (
            news
            or last is None
            or shown.severity is not last.severity
            or shown.status is not last.status
            or shown.reason != last.reason
        ):
            self.writes[name] = OutputWrite(
                name, value if news else None, shown.severity, shown.status, shown.reason
            )
        elif name not in self.recalled:
            self.state.shown[name] = shown
            return
        self.state.shown[name] = shown
        variables = self.variables
        if variables.owns(name):
            before = variables.values.get(name), variables.alarmed.get(name)
            variables.own(name, value if shown.decided else None, shown.severity, shown.doubt)
            if name in self.plan.feedback:
                variables.later.add(name)
                after = variables.values.get(name), variables.alarmed.get(name)
                if not (same(before[0], after[0]) and before[1] is after[1]):
                    self.state.again = self.now + FEEDBACK_DELAY

    def _actuate(self) -> tuple[tuple[Command, ...], tuple[str, ...]]:
        state = self.state
        commands: list[Command] = []
        withdrawn: list[str] = []
        if not self.moved and not any(one.repeat is not None for one in state.standing.values()):
            return (), ()
        for actuator in self.plan.actuators:
            decided = actuate(actuator, self.plan.rules, state.rules, state.standing, self.fired, self.now)
            if isinstance(decided, Command):
                commands.append(decided)
            elif decided:
                withdrawn.append(actuator.port)
        return tuple(commands), tuple(withdrawn)

    def _latched(self) -> Mapping[str, Value] | None:
        state = self.state
        if not state.changed:
            return None
        state.changed = False
        firsts = {
            group.output: state.firsts[group.name] for group in self.plan.groups if group.name in state.firsts
        }
        return {**{name: latch.value for name, latch in state.latches.items()}, **firsts}

    def _message(self) -> str | None:
        """The message of the rule that fired last and is active; else what is latched; else what cannot be computed."""
        if not self.events and not self.first:
            return None
        state = self.state
        rules = self.plan.rules
        told = [rules[index].spec.message for index in state.active if rules[index].spec.message]
        text = told[-1] if told else ""
        if not text and state.latches:
            text = f"latched: {', '.join(state.latches)}"
        if not text:
            failing = (
                shown for shown in state.shown.values() if shown.doubt is not None and shown.doubt.failed
            )
            text = next((str(shown.doubt) for shown in failing), "")
        if text == state.message:
            return None
        state.message = text
        return text
