"""Commands of rules to linked PVs: written when a rule becomes active, standing until it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iocmng.logic.deciding import RuleState
from iocmng.logic.decisions import Command
from iocmng.logic.plan import ActuatorPlan, RulePlan
from iocmng.logic.resolving import same
from iocmng.values import Value


@dataclass(slots=True)
class Standing:
    """The command that stands at a port, and when it is to be repeated."""

    rule: int
    value: Value
    repeat: float | None


def actuate(
    actuator: ActuatorPlan,
    plans: Sequence[RulePlan],
    states: Sequence[RuleState],
    standing: dict[str, Standing],
    fired: set[int],
    now: float,
) -> Command | bool:
    """Decide what is to be commanded at one port; the last active rule wins.

    Args:
        actuator: The port.
        plans: All rules.
        states: Their states.
        standing: Commands that stand; changed here.
        fired: Rules that have become active in this step.
        now: Monotonic seconds.

    Returns:
        The command to write now, True when the one that stood is withdrawn, False for neither.
    """
    port = actuator.port
    winner = next(
        ((index, value) for index, value in reversed(actuator.setters) if states[index].active), None
    )
    stands = standing.get(port)
    if winner is None:
        return standing.pop(port, None) is not None
    index, value = winner
    repeated = (
        stands is not None and stands.rule == index and stands.repeat is not None and now >= stands.repeat
    )
    if stands is not None and index not in fired and same(value, stands.value) and not repeated:
        if stands.rule != index:
            standing[port] = Standing(index, value, _next(plans[index], now))
        return False
    standing[port] = Standing(index, value, _next(plans[index], now))
    return Command(port, value, plans[index].spec.id)


def _next(plan: RulePlan, now: float) -> float | None:
    return None if plan.spec.repeat is None else now + plan.spec.repeat
