"""One transform: its result as its output takes it, with the quality of what it was computed from."""

from __future__ import annotations

import math
from typing import Any

from iocmng.logic.formula import Formula
from iocmng.logic.plan import TransformPlan
from iocmng.logic.resolving import Shown
from iocmng.logic.unknown import Unknown, failure
from iocmng.logic.variables import Variables
from iocmng.spec.convert import convert
from iocmng.spec.instance import PortSpec
from iocmng.values import Severity, Status, Value


def transform(plan: TransformPlan, variables: Variables, last: Shown | None) -> Shown:
    """Evaluate a transform.

    An unknown result leaves the last value, INVALID; `fail_safe` stands in for a value that never was. A known one
    carries the highest severity of what it was computed from.

    Args:
        plan: The transform.
        variables: What it reads.
        last: What its output shows, None before the first step.
    """
    result = _fitting(plan.port, plan.formula.result(variables))
    if isinstance(result, Unknown):
        if last is not None and last.doubt is not None and last.doubt.failed and result.failed:
            # The first of several failures stands: a text with values in it would be news in each step.
            result = last.doubt
        kept = last.value if last is not None else None
        value = plan.port.fail_safe if kept is None else kept
        return Shown(value, Severity.INVALID, Status.CALC, str(result), result, decided=False)
    severity, source = _quality(plan.formula, variables)
    if severity is Severity.NO_ALARM:
        return Shown(result)
    return Shown(result, severity, Status.LINK, f"{source} is {severity.name}")


def _fitting(port: PortSpec, result: Any) -> Value | Unknown:
    if isinstance(result, Unknown):
        return result
    if result is None:
        return Unknown(("no value",), failed=True)
    try:
        value = convert(port.record, result)
    except Exception as error:  # noqa: BLE001 - a registered function may return anything, and that may raise anything
        return failure(error)
    if isinstance(value, float) and not math.isfinite(value):
        return Unknown((f"value is {value}",), failed=True)
    return value


def _quality(formula: Formula, variables: Variables) -> tuple[Severity, str]:
    worst, source = Severity.NO_ALARM, ""
    if variables.alarmed:
        for name in sorted(formula.names & variables.alarmed.keys()):
            if variables.alarmed[name] > worst:
                worst, source = variables.alarmed[name], name
    return worst, source
