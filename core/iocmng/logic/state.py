"""What a running program keeps from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from iocmng.logic.actuating import Standing
from iocmng.logic.deciding import RuleState
from iocmng.logic.plan import Plan
from iocmng.logic.resolving import Latch, Shown
from iocmng.logic.variables import Variables
from iocmng.values import Severity


@dataclass(slots=True)
class EngineState:
    """The memory of one running program; only `Program` looks inside.

    Attributes:
        started: Monotonic time of the start.
        variables: What its expressions see.
        rules: State of each rule.
        shown: What each output shows, by name; empty before the first step.
        latches: Latched outputs.
        firsts: The first rule of each group that fired, by name of the group.
        standing: Commands that stand, by port.
        messages: Messages last written to message PVs.
        active: Indices of active rules in the order in which they fired.
        unknowns: Evaluations that could not be computed though all inputs were known, by rule or transform output.
        message: What MESSAGE says for the logic.
        changed: Whether what is latched differs from what was told last.
        begun: Whether a step has been made.
        quiet: Whether a step in which no variable changes and no deadline is reached does nothing.
        deadline: The deadline of the last step.
        undecided: Whether some rule is undecided still.
        again: Monotonic time of an evaluation that outputs read before they are decided ask for.
    """

    started: float
    variables: Variables
    rules: tuple[RuleState, ...]
    shown: dict[str, Shown] = field(default_factory=dict)
    latches: dict[str, Latch] = field(default_factory=dict)
    firsts: dict[str, str] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    active: list[int] = field(default_factory=list)
    unknowns: dict[str, int] = field(default_factory=dict)
    message: str = ""
    changed: bool = False
    begun: bool = False
    undecided: bool = True
    again: float | None = None
    quiet: bool = False
    deadline: float | None = None


def begin(
    plan: Plan, now: float, latches: dict[str, Latch], firsts: dict[str, str], *, changed: bool
) -> EngineState:
    """Return the state of a run before its first step; `changed` says that latches differ from what is on disk."""
    variables = Variables(plan.names)
    for outputs in (plan.constants, *plan.settled):
        for output in outputs:
            latch = latches.get(output.name)
            value = output.default if latch is None else latch.value
            if value is not None and variables.owns(output.name):
                variables.own(output.name, value, Severity.NO_ALARM, None)
    for group in plan.groups:
        if variables.owns(group.output):
            variables.own(group.output, firsts.get(group.name, ""), Severity.NO_ALARM, None)
    rules = tuple(RuleState() for _ in plan.rules)
    return EngineState(now, variables, rules, latches=latches, firsts=firsts, changed=changed)
