"""Latches: which come back at a start, what they are engaged by, and what keeps them from being released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from iocmng.logic.deciding import RuleState
from iocmng.logic.plan import OutputPlan, Plan, RulePlan
from iocmng.logic.resolving import Latch
from iocmng.logic.unknown import Unknown
from iocmng.spec.convert import convert
from iocmng.values import Severity, Value

LOST = "latched: its state was lost"
RESTORED = "latched before the start"


def restore(
    plan: Plan, latched: Mapping[str, Value], *, lost: bool
) -> tuple[dict[str, Latch], dict[str, str], bool]:
    """Return latches, first rules by group, and whether they differ from `latched`.

    A value that no longer fits its output counts as lost.
    """
    latches: dict[str, Latch] = {}
    for output in latching(plan):
        gone = lost
        if output.name in latched and not lost:
            try:
                value = convert(output.port.record, latched[output.name])
            except (TypeError, ValueError):
                gone = True
            else:
                latches[output.name] = Latch(value, _severity(plan, output), RESTORED)
        if gone:
            latches[output.name] = Latch(_trip_value(output), _severity(plan, output), LOST)
    ids = {rule.spec.id for rule in plan.rules}
    firsts = {
        group.name: str(latched[group.output])
        for group in plan.groups
        if not lost and latched.get(group.output) in ids
    }
    kept = {*latches, *(group.output for group in plan.groups if group.name in firsts)}
    return (
        latches,
        firsts,
        lost or kept != set(latched) or any(one.reason == LOST for one in latches.values()),
    )


def latching(plan: Plan) -> Iterator[OutputPlan]:
    """Outputs that some rule can latch."""
    for outputs in plan.settled:
        for output in outputs:
            if any(output.latches(value) for _, value in output.setters):
                yield output


def keepers(
    output: OutputPlan, plans: Sequence[RulePlan], states: Sequence[RuleState]
) -> Iterator[tuple[RulePlan, RuleState]]:
    """Rules that would latch the output and whose condition is not known to be gone."""
    for index, value in output.setters:
        if output.latches(value) and not states[index].gone:
            yield plans[index], states[index]


def cause(rule: RulePlan, state: RuleState) -> str:
    """Why a rule is not gone."""
    if isinstance(state.condition, Unknown):
        return f"{rule.spec.id}: {state.condition}"
    return f"{rule.spec.id} {'holds' if state.condition else 'has not ended yet'}"


def _trip_value(output: OutputPlan) -> Value:
    safe = output.port.fail_safe
    if safe is not None and output.latches(safe):
        return safe
    return next(value for _, value in output.setters if output.latches(value))


def _severity(plan: Plan, output: OutputPlan) -> Severity:
    """The highest severity of the rules that can latch it: which one did is not kept."""
    return max(plan.rules[index].spec.severity for index, value in output.setters if output.latches(value))
