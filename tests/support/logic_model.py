"""A slow and obvious model of rules, transforms and latches, written without a look at the engine.

Everything is computed anew in each step, from the whole history where that is simplest. Numbers and bools only.
"""

from __future__ import annotations

import ast
import itertools
import math
import operator
from dataclasses import dataclass, field
from typing import Any

from iocmng.spec import InstanceSpec, LatchDirection, OnInvalid, RuleSpec
from iocmng.values import PortType, Reading, Severity


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()
KEEP = object()
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.USub: operator.neg,
}


def evaluate(text: str, names: dict[str, Any]) -> Any:
    """Return the value of an expression, or UNKNOWN."""
    return _value(ast.parse(text, mode="eval").body, names)


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            value = _value(operand, names)
            return UNKNOWN if value is UNKNOWN else not value
        case ast.UnaryOp(op=op, operand=operand):
            return _computed(OPERATORS[type(op)], _value(operand, names))
        case ast.BinOp(left=left, op=op, right=right):
            return _computed(OPERATORS[type(op)], _value(left, names), _value(right, names))
        case ast.BoolOp(op=ast.And(), values=terms):
            return _all([_value(term, names) for term in terms])
        case ast.BoolOp(values=terms):
            return _any([_value(term, names) for term in terms])
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            terms = [_value(term, names) for term in (left, *comparators)]
            pairs = itertools.pairwise(terms)
            return _all([_computed(OPERATORS[type(op)], *pair) for op, pair in zip(ops, pairs, strict=True)])
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _chosen(*(_value(term, names) for term in (test, body, orelse)))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            flat = [term for one in arguments for term in (one.elts if isinstance(one, ast.List) else [one])]
            return _called(name, [_value(term, names) for term in flat])
    raise TypeError(ast.dump(node))


def _computed(function: Any, *terms: Any) -> Any:
    if UNKNOWN in terms:
        return UNKNOWN
    try:
        result = function(*terms)
    except ArithmeticError:
        return UNKNOWN
    return UNKNOWN if isinstance(result, float) and math.isnan(result) else result


def _all(terms: list[Any]) -> Any:
    if any(term is not UNKNOWN and not term for term in terms):
        return False
    return UNKNOWN if UNKNOWN in terms else True


def _any(terms: list[Any]) -> Any:
    if any(term is not UNKNOWN and term for term in terms):
        return True
    return UNKNOWN if UNKNOWN in terms else False


def _chosen(test: Any, body: Any, orelse: Any) -> Any:
    if test is not UNKNOWN:
        return body if test else orelse
    return (
        body if UNKNOWN not in (body, orelse) and body == orelse and type(body) is type(orelse) else UNKNOWN
    )


def _called(name: str, terms: list[Any]) -> Any:
    if name == "any_of":
        return _any(terms)
    if name == "all_of":
        return _all(terms)
    if name == "at_least":
        count, *rest = terms
        true = sum(1 for term in rest if term is not UNKNOWN and term)
        if true >= count:
            return True
        return UNKNOWN if true + rest.count(UNKNOWN) >= count else False
    return _computed({"abs": abs, "max": max}[name], *terms)


@dataclass
class Rule:
    """A rule and all that has been said of it: moments with what its conditions gave."""

    spec: RuleSpec
    active: bool | None = None
    sure: bool = False
    condition: Any = UNKNOWN
    clock: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def gone(self) -> bool:
        return self.active is False and self.condition is False

    def decide(self, now: float, condition: Any, clear: Any, last: tuple[Any, Any], settled: bool) -> None:
        self.condition = condition
        policy = self.spec.on_invalid
        if policy is OnInvalid.IGNORE:
            condition, clear = last
        if self.active:
            self._active(now, condition, clear, policy)
        else:
            self._inactive(now, condition, policy, settled)

    def _inactive(self, now: float, condition: Any, policy: OnInvalid, settled: bool) -> None:
        known = condition is not UNKNOWN
        if known and self.active is None:
            self.active = False
        self.sure = known or (self.active is False and policy is OnInvalid.IGNORE)
        if not known and policy is OnInvalid.TRIP and (self.active is not None or settled):
            condition = True
        if self._held(now, condition, self.spec.hold_for):
            self.active, self.sure = True, True

    def _active(self, now: float, condition: Any, clear: Any, policy: OnInvalid) -> None:
        ends = _all([clear, UNKNOWN if condition is UNKNOWN else not condition])
        self.sure = ends is not UNKNOWN or policy is not OnInvalid.HOLD
        if ends is UNKNOWN and policy is OnInvalid.TRIP:
            ends = False
        if self._held(now, ends, self.spec.clear_for):
            self.active = False

    def _held(self, now: float, verdict: Any, duration: float) -> bool:
        """Whether `verdict` is true and has been for `duration`, times when it was unknown left out."""
        if verdict is False:
            self.clock = []
            return False
        self.clock.append((now, verdict is True))
        seconds = sum(after - before for (before, true), (after, _) in itertools.pairwise(self.clock) if true)
        if verdict is True and seconds >= duration:
            self.clock = []
            return True
        return False


@dataclass
class Output:
    """What an output shows."""

    value: Any = None
    severity: Severity = Severity.INVALID
    decided: bool = False


class Model:
    """One run of an instance's logic."""

    def __init__(self, spec: InstanceSpec, start: float) -> None:
        self.spec = spec
        self.start = start
        self.ports = {port.name: port for port in spec.ports}
        self.rules = [Rule(rule) for rule in spec.logic.rules]
        self.outputs = {name: Output() for name in spec.logic.outputs}
        self.latched: dict[str, Any] = {}
        self.latch_severity: dict[str, Severity] = {}
        self.firsts: dict[str, str] = {}
        self.standing: dict[str, tuple[int, Any]] = {}
        self.known: dict[str, Any] = {}
        by_transforms = {one.output for one in spec.logic.transforms}
        self.memory = {
            name: KEEP if name in by_transforms else self._default(name) for name in spec.logic.outputs
        }
        self.commands: list[tuple[str, Any]] = []
        self.withdrawn: list[str] = []

    def step(self, readings: dict[str, Reading], now: float, *, clear: bool = False) -> None:
        names = dict.fromkeys(self.ports, UNKNOWN)
        names.update({name: _usable(reading) for name, reading in readings.items()})
        severities = {
            name: output.severity
            for name, output in self.outputs.items()
            if output.severity < Severity.INVALID
        }
        severities.update({name: reading.severity for name, reading in readings.items()})
        names.update(
            {name: UNKNOWN if value in (None, KEEP) else value for name, value in self.memory.items()}
        )
        self.names = names
        for transform in self.spec.logic.transforms:
            self._transform(transform.output, transform.expression, severities)
        before = [rule.active for rule in self.rules]
        for name in self.spec.logic.rule_defaults:
            if self._last_setter(name) < 0:
                self.outputs[name] = Output(self._default(name), Severity.NO_ALARM, decided=True)
        for index, rule in enumerate(self.rules):
            self._remember()
            clear_when = rule.spec.clear_when
            given = (
                evaluate(rule.spec.condition, names),
                evaluate(clear_when, names) if clear_when else True,
            )
            old = {
                name: self.known.get(name, UNKNOWN) if value is UNKNOWN else value
                for name, value in names.items()
            }
            last = (evaluate(rule.spec.condition, old), evaluate(clear_when, old) if clear_when else True)
            rule.decide(now, *given, last, now >= self.start + rule.spec.settle)
            if rule.active and not before[index] and rule.spec.group:
                self.firsts.setdefault(rule.spec.group, rule.spec.id)
            for name in self.spec.logic.outputs:
                if self._last_setter(name) == index:
                    self._output(name, clear)
        self._remember()
        for group in {rule.spec.group for rule in self.rules} - {None}:
            if clear and all(rule.gone for rule in self.rules if rule.spec.group == group):
                self.firsts.pop(group, None)
        self._actuators([bool(rule.active and not was) for rule, was in zip(self.rules, before, strict=True)])
        self.memory.update({name: output.value for name, output in self.outputs.items() if output.decided})

    def _remember(self) -> None:
        self.known.update({name: value for name, value in self.names.items() if value is not UNKNOWN})

    def _default(self, name: str) -> Any:
        value = self.spec.logic.rule_defaults.get(name, self.ports[name].value)
        return KEEP if value is None else value

    def _last_setter(self, name: str) -> int:
        return max((index for index, rule in enumerate(self.rules) if name in rule.spec.outputs), default=-1)

    def _transform(self, name: str, expression: str, severities: dict[str, Severity]) -> None:
        value = evaluate(expression, self.names)
        port = self.ports[name]
        if value is not UNKNOWN:
            value = bool(value) if port.record.type is PortType.BOOL else float(value)
            if not math.isfinite(value):
                value = UNKNOWN
        output = self.outputs[name]
        self.names[name] = value
        if value is UNKNOWN:
            kept = port.fail_safe if output.value is None else output.value
            self.outputs[name] = Output(kept, Severity.INVALID)
            severities[name] = Severity.NO_ALARM
            return
        read = {node.id for node in ast.walk(ast.parse(expression)) if isinstance(node, ast.Name)}
        worst = max(
            (
                severities.get(one, Severity.NO_ALARM)
                for one in read
                if self.names.get(one, UNKNOWN) is not UNKNOWN
            ),
            default=Severity.NO_ALARM,
        )
        severities[name] = worst
        self.outputs[name] = Output(value, worst, decided=True)

    def _output(self, name: str, clear: bool) -> None:
        setters = [rule for rule in self.rules if name in rule.spec.outputs]
        certain = [index for index, rule in enumerate(setters) if rule.active and rule.sure]
        open_ = [rule for rule in setters[max(certain, default=-1) + 1 :] if not rule.sure]
        finals = []
        for world in itertools.product((True, False), repeat=len(open_)):
            acts = {id(rule): act for rule, act in zip(open_, world, strict=True)}
            finals.append(self._final(name, [rule for rule in setters if acts.get(id(rule), rule.active)]))
        active = [rule for rule in setters if rule.active]
        value = self._final(name, active)
        kept = self.outputs[name].value
        severity = active[-1].spec.severity if active else Severity.NO_ALARM
        latches = bool(active) and self._latches(name, active[-1].spec.outputs[name])
        latched_value = active[-1].spec.outputs[name] if active else None
        decided = True
        if not all(final == finals[0] and final is not KEEP for final in finals) and len(finals) > 1:
            severity = Severity.INVALID
            if any(rule.active is None for rule in open_):
                decided = False
                value = self.ports[name].fail_safe
                if value is None:
                    value = active[-1].spec.outputs[name] if active else KEEP
        if value is KEEP:
            value = kept
            severity = Severity.INVALID if value is None else severity
        if clear and name in self.latched:
            gone = all(rule.gone for rule in setters if self._latches(name, rule.spec.outputs[name]))
            if gone:
                del self.latched[name]
        if name not in self.latched and latches:
            self.latched[name] = latched_value
            self.latch_severity[name] = active[-1].spec.severity
        if name in self.latched:
            value, severity, decided = self.latched[name], self.latch_severity[name], True
        self.outputs[name] = Output(value, severity, decided)
        self.names[name] = value if severity is not Severity.INVALID else UNKNOWN
        if value is not None and decided:
            self.known[name] = value

    def _final(self, name: str, active: list[Rule]) -> Any:
        return active[-1].spec.outputs[name] if active else self._default(name)

    def _latches(self, name: str, value: Any) -> bool:
        direction = self.ports[name].latch
        if direction is None:
            return False
        return direction is LatchDirection.ANY or bool(value) is (direction is LatchDirection.RISE)

    def _actuators(self, fired: list[bool]) -> None:
        self.commands, self.withdrawn = [], []
        for port in dict.fromkeys(port for rule in self.rules for port in rule.spec.actuators):
            active = [
                index for index, rule in enumerate(self.rules) if rule.active and port in rule.spec.actuators
            ]
            if not active:
                if self.standing.pop(port, None) is not None:
                    self.withdrawn.append(port)
                continue
            index = active[-1]
            value = self.rules[index].spec.actuators[port]
            if fired[index] or self.standing.get(port, (None, None))[1] != value:
                self.commands.append((port, value))
            self.standing[port] = (index, value)


def _usable(reading: Reading) -> Any:
    if not reading.ok or (isinstance(reading.value, float) and math.isnan(reading.value)):
        return UNKNOWN
    return reading.value
