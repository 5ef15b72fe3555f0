"""When to evaluate again though nothing changes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from iocmng.logic.plan import Plan
from iocmng.logic.state import EngineState
from iocmng.logic.variables import AGE

AGE_STEP = 0.5
"""Seconds between evaluations of an expression that uses an age in any other way than comparing it."""
AGE_MARGIN = 0.001
"""Seconds beyond the limit of an age, so that `x_age > 5` is true then and not only about to be."""


def next_deadline(plan: Plan, state: EngineState, now: float) -> float | None:
    """The next time at which a clock of the program is over, None when none runs."""
    dues = [rule.due for rule in state.rules if rule.due is not None]
    if state.undecided:
        settled = (
            state.started + plan.rules[index].spec.settle
            for index, rule in enumerate(state.rules)
            if rule.active is None
        )
        dues.extend(due for due in settled if now < due)
        state.undecided = any(rule.active is None for rule in state.rules)
    if state.standing:
        dues.extend(standing.repeat for standing in state.standing.values() if standing.repeat is not None)
    if state.again is not None:
        dues.append(state.again)
    if plan.ages:
        dues.extend(_ages(plan, state, now))
    return min(dues, default=None)


def _ages(plan: Plan, state: EngineState, now: float) -> Iterator[float]:
    for one in plan.ages:
        age = state.variables.values[one.port + AGE]
        if age == math.inf:
            continue
        if one.limit is None:
            yield now + AGE_STEP
            continue
        limit = one.limit.result(state.variables)
        if isinstance(limit, (int, float)) and age <= limit < math.inf:
            yield now + (limit - age) + AGE_MARGIN
