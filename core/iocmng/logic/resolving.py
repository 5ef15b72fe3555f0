"""What an output shows, decided from all the rules that set it, its default and its latch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from iocmng.logic.deciding import RuleState
from iocmng.logic.plan import OutputPlan, RulePlan
from iocmng.logic.unknown import Unknown
from iocmng.values import Severity, Status, Value

NOT_SET = "not set by any rule"


@dataclass(slots=True)
class Shown:
    """What an output shows.

    Attributes:
        value: None leaves the last one.
        severity: How good it is.
        status: Why it is not better.
        reason: The same in words.
        doubt: Why the value is not sure.
        setter: Index and value of the active rule that decides it.
        decided: Whether the value has been decided, now or before its doubt; a value that stands in has not.
    """

    value: Value | None
    severity: Severity = Severity.NO_ALARM
    status: Status = Status.NO_ALARM
    reason: str = ""
    doubt: Unknown | None = None
    setter: tuple[int, Value] | None = None
    decided: bool = True


@dataclass(frozen=True, slots=True)
class Latch:
    """The value that an output holds until CLEAR."""

    value: Value
    severity: Severity
    reason: str


def same(one: Any, other: Any) -> bool:
    """Whether two values of one output are equal; arrays element by element."""
    if one is other:
        return True
    if one is None or other is None:
        return False
    if hasattr(one, "shape") or hasattr(other, "shape"):
        return type(one) is type(other) and one.shape == other.shape and bool((one == other).all())
    return type(one) is type(other) and bool(one == other)


def resolve(
    output: OutputPlan,
    plans: Sequence[RulePlan],
    states: Sequence[RuleState],
    base: Value | None,
    last: Value | None,
) -> Shown:
    """Decide an output without its latch: the last active rule wins.

    A rule whose decision is not sure does not make the output INVALID when a later one sets it for sure, nor when
    all that it could do comes to the same value.

    Args:
        output: The output.
        plans: All rules.
        states: Their present states.
        base: Its value when no rule sets it, None to leave it.
        last: What it shows so far.
    """
    chosen: tuple[int, Value] | None = None
    doubted: list[tuple[int, Value]] = []
    sure: Value | None = base
    for setter in reversed(output.setters):
        state = states[setter[0]]
        if state.unsure:
            doubted.append(setter)
        if state.active:
            chosen = chosen or setter
            if not state.unsure:
                sure = setter[1]
                break
    value: Value | None = chosen[1] if chosen is not None else last if base is None else base
    if doubted and not all(sure is not None and same(candidate, sure) for _, candidate in doubted):
        return _doubtful(output, states, doubted, chosen, value)
    if chosen is not None:
        rule = plans[chosen[0]].spec
        severity = rule.severity
        status = Status.STATE if severity else Status.NO_ALARM
        # A rule that trips because it does not know says what it does not know.
        doubt = states[chosen[0]].doubt
        words = (str(doubt) if doubt is not None else rule.message or rule.id) if severity else ""
        return Shown(value, severity, status, words, None, chosen)
    if value is None:
        return Shown(None, Severity.INVALID, Status.UDF, NOT_SET, Unknown((f"{output.name} ({NOT_SET})",)))
    return Shown(value)


def _doubtful(
    output: OutputPlan,
    states: Sequence[RuleState],
    doubted: Sequence[tuple[int, Value]],
    chosen: tuple[int, Value] | None,
    value: Value | None,
) -> Shown:
    index = doubted[-1][0]
    doubt = states[index].doubt
    if doubt is None:
        doubt = Unknown(("not evaluated yet",))
    if any(states[one].active is None for one, _ in doubted):
        if output.port.fail_safe is not None:
            value = output.port.fail_safe
        elif chosen is None:
            value = None
        return Shown(value, Severity.INVALID, Status.UDF, str(doubt), doubt, chosen, decided=False)
    status = Status.CALC if doubt.failed else Status.LINK
    return Shown(value, Severity.INVALID, status, str(doubt), doubt, chosen)
