"""The present decision of each rule with its reason, for people."""

from __future__ import annotations

from collections.abc import Mapping

from iocmng.logic.deciding import RuleState
from iocmng.logic.plan import Plan, RulePlan
from iocmng.logic.reasons import because
from iocmng.logic.state import EngineState
from iocmng.logic.unknown import Unknown
from iocmng.spec.instance import PortSpec
from iocmng.spec.wiring import OnInvalid
from iocmng.wire.instance import RuleView


def explain(
    plan: Plan, ports: Mapping[str, PortSpec], state: EngineState, now: float
) -> tuple[RuleView, ...]:
    """Describe every rule as the last step left it."""
    return tuple(
        _view(rule, rule_state, ports, state, now)
        for rule, rule_state in zip(plan.rules, state.rules, strict=True)
    )


def reason(
    rule: RulePlan, rule_state: RuleState, ports: Mapping[str, PortSpec], state: EngineState, now: float
) -> str:
    """Say in one line why a rule is as it is."""
    spec = rule.spec
    condition = rule_state.condition
    clearing = rule_state.active and rule.clear is not None and condition is False
    if clearing and rule.clear is not None:
        text = because(rule.clear, rule_state.clear, state.variables, ports)
    else:
        text = because(rule.condition, condition, state.variables, ports)
    duration = spec.clear_for if rule_state.active else spec.hold_for
    left = rule_state.left if rule_state.due is None else max(rule_state.due - now, 0.0)
    if _is_held(rule, rule_state):
        text = f"{text}; the last decision stands"
    elif rule_state.doubt is not None and spec.on_invalid is OnInvalid.TRIP and rule_state.active is not None:
        text = f"{text}; on_invalid: trip"
    elif isinstance(rule_state.condition, Unknown) and not isinstance(rule_state.used, Unknown):
        text = f"{text}; decided from the last values"
    if left is None:
        return text
    word = "clears after" if rule_state.active else "for"
    stopped = "" if rule_state.due is not None else ", clock stopped"
    return f"{text} ({word} {duration - left:.3g} of {duration:.3g} s{stopped})"


def _is_held(rule: RulePlan, rule_state: RuleState) -> bool:
    """Whether the rule keeps an earlier decision because its inputs are unknown."""
    kept = rule_state.active is not None and rule_state.doubt is not None
    return kept and rule.spec.on_invalid is not OnInvalid.TRIP


def _view(
    rule: RulePlan, rule_state: RuleState, ports: Mapping[str, PortSpec], state: EngineState, now: float
) -> RuleView:
    spec = rule.spec
    condition = rule_state.condition
    words = {True: "active", False: "inactive", None: "undecided"}
    return RuleView(
        id=spec.id,
        state=words[rule_state.active],
        condition=spec.condition,
        value=None if isinstance(condition, Unknown) else condition,
        reason=reason(rule, rule_state, ports, state, now),
        held=_is_held(rule, rule_state),
        since=rule_state.since,
        pending=None if rule_state.due is None else max(rule_state.due - now, 0.0),
        message=spec.message,
        outputs=spec.outputs,
        actuators=spec.actuators,
        fired=rule_state.fired,
    )
