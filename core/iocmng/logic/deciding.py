"""How one rule becomes active and inactive: its condition over time, and what it does when that is unknown."""

from __future__ import annotations

from typing import Any

from iocmng.logic.plan import RulePlan
from iocmng.logic.unknown import Unknown, merged
from iocmng.logic.variables import Variables
from iocmng.spec.wiring import OnInvalid


class RuleState:
    """What is kept of a rule from one step to the next.

    Attributes:
        active: The decision; None while it is undecided.
        condition: What the condition gave last: True, False or `Unknown`.
        clear: The same of `clear_when`; True when there is none.
        doubt: Why the decision does not follow from known inputs, None when it does.
        unsure: Whether its outputs have to say so.
        due: Monotonic time at which `for` or `clear_for` is over, None when neither runs.
        left: Seconds that were left when that clock stopped, None when it did not stop half-way.
        since: When the decision was made, seconds since 1970-01-01 UTC.
        fired: How often it became active.
        told: What has been told of its doubt: False that it is unknown, True that it failed, None nothing.
    """

    __slots__ = (
        "active", "clear", "condition", "doubt", "due", "fired", "left", "since", "told", "unsure",
        "used", "used_clear",
    )  # fmt: skip

    def __init__(self) -> None:
        self.active: bool | None = None
        self.condition: Any = Unknown(("not evaluated yet",))
        self.clear: Any = True
        self.used: Any = self.condition
        self.used_clear: Any = True
        self.doubt: Unknown | None = None
        self.unsure = True
        self.due: float | None = None
        self.left: float | None = None
        self.since = 0.0
        self.fired = 0
        self.told: bool | None = None

    @property
    def gone(self) -> bool:
        """Whether the rule has ended and its condition is known to be false."""
        return self.active is False and self.condition is False

    def evaluate(self, plan: RulePlan, variables: Variables) -> bool:
        """Compute the formulas anew; return whether any gives another result than before."""
        before = self.condition, self.used, self.clear, self.used_clear
        self.condition = self.used = _steady(self.condition, plan.condition.result(variables))
        if plan.clear is not None:
            self.clear = self.used_clear = _steady(self.clear, plan.clear.result(variables))
        if plan.spec.on_invalid is OnInvalid.IGNORE:
            if isinstance(self.condition, Unknown):
                self.used = plan.condition.result_of_last(variables)
            if plan.clear is not None and isinstance(self.clear, Unknown):
                self.used_clear = plan.clear.result_of_last(variables)
        return (
            self.condition is not before[0]
            or self.used is not before[1]
            or self.clear is not before[2]
            or self.used_clear is not before[3]
        )

    def decide(self, plan: RulePlan, now: float, wall: float, settled: bool) -> bool:
        """Decide for the present results; return whether anything about the decision is different now.

        Args:
            plan: The rule.
            now: Monotonic seconds.
            wall: Seconds since 1970-01-01 UTC.
            settled: Whether `settle` is over.
        """
        before, unsure, doubt = self.active, self.unsure, self.doubt
        if before:
            self._when_active(plan, now)
        else:
            self._when_inactive(plan, now, settled)
        if self.active is not before:
            self.since = wall
            self.fired += self.active is True
        return self.active is not before or self.unsure is not unsure or self.doubt is not doubt

    def _when_inactive(self, plan: RulePlan, now: float, settled: bool) -> None:
        verdict = self.used
        on_invalid = plan.spec.on_invalid
        if isinstance(verdict, Unknown):
            self.doubt = verdict
            self.unsure = self.active is None or on_invalid is not OnInvalid.IGNORE
            if on_invalid is not OnInvalid.TRIP or (self.active is None and not settled):
                self._pause(now)
                return
            if self._over(now, plan.spec.hold_for):
                self.active, self.unsure = True, False
            return
        self.doubt, self.unsure = None, False
        if self.active is None:
            self.active = False
        if not verdict:
            self._stop()
        elif self._over(now, plan.spec.hold_for):
            self.active = True

    def _when_active(self, plan: RulePlan, now: float) -> None:
        ends = _ends(self.used, self.used_clear)
        on_invalid = plan.spec.on_invalid
        self.doubt, self.unsure = None, False
        if on_invalid is OnInvalid.TRIP and isinstance(self.used, Unknown):
            self.doubt = self.used
            self._stop()
        elif isinstance(ends, Unknown):
            self.doubt = ends
            if on_invalid is OnInvalid.TRIP:
                self._stop()
                return
            self.unsure = on_invalid is OnInvalid.HOLD
            self._pause(now)
        elif not ends:
            self._stop()
        elif self._over(now, plan.spec.clear_for):
            self.active = False

    def _over(self, now: float, duration: float) -> bool:
        """Let the clock run, and say whether it has run for `duration` now."""
        if self.due is None:
            self.due = now + (duration if self.left is None else self.left)
            self.left = None
        if now < self.due:
            return False
        self.due = None
        return True

    def _pause(self, now: float) -> None:
        if self.due is not None:
            self.left = max(self.due - now, 0.0)
            self.due = None

    def _stop(self) -> None:
        self.due = self.left = None


def _ends(condition: Any, clear: Any) -> Any:
    if condition is True or clear is False:
        return False
    unknowns = [one for one in (condition, clear) if isinstance(one, Unknown)]
    return merged(unknowns) if unknowns else True


def _steady(before: Any, now: Any) -> Any:
    """Keep the first of several failures, so that a text that holds values does not change with each of them."""
    if not (isinstance(before, Unknown) and isinstance(now, Unknown)):
        return now
    return before if (before.failed and now.failed) or before.causes == now.causes else now
