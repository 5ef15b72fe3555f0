"""From the description of an instance's logic to the plan that a step follows."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping

from iocmng.errors import BadInput
from iocmng.logic.formula import Formula, formula_of, guarded
from iocmng.logic.functions import Function
from iocmng.logic.kleene import Kinds
from iocmng.logic.parsing import ExpressionError
from iocmng.logic.plan import ActuatorPlan, AgeLimit, GroupPlan, OutputPlan, Plan, RulePlan, TransformPlan
from iocmng.logic.variables import AGE, BUFFER, OK, SEVERITY, Names
from iocmng.spec.defaults import FIRST
from iocmng.spec.instance import InstanceSpec, PortSpec
from iocmng.values import PortType, Value

_SUFFIXES = (BUFFER, OK, AGE, SEVERITY)
_NUMBERS = (PortType.INT, PortType.BOOL, PortType.ENUM)
_SCALARS = (bool, int, float, str)


def compile_plan(spec: InstanceSpec, functions: Mapping[str, Function]) -> Plan:
    """Compile transforms and rules of an instance.

    Raises:
        BadInput: An expression is wrong, with the rule or transform and the position; a transform's output has
            another writer; an output is not declared.
    """
    return _Compiler(spec, guarded(functions)).plan()


class _Compiler:
    def __init__(self, spec: InstanceSpec, functions: Mapping[str, Function]) -> None:
        self.spec = spec
        self.logic = spec.logic
        self.functions = functions
        self.ports = {port.name: port for port in spec.ports}
        self.groups = {f"{group}{FIRST}": group for group in self.logic.groups}
        self.declared = {*self.ports, *self.groups, *spec.parameters}
        self.declared.update(f"{port}{suffix}" for port in self.ports for suffix in _SUFFIXES)
        self.arrays = frozenset(
            name
            for port in spec.ports
            if port.record.type is PortType.ARRAY
            for name in (port.name, port.name + BUFFER)
        )
        self.kinds = self._kinds()
        self.formulas: list[Formula] = []

    def plan(self) -> Plan:
        owned = self._owned()
        transforms = tuple(self._transforms())
        rules = tuple(self._rules())
        by_transforms = {one.port.name for one in transforms}
        outputs = [
            self._output(name) for name in owned if name not in by_transforms and name not in self.groups
        ]
        return Plan(
            names=self._names(owned),
            transforms=transforms,
            rules=rules,
            constants=tuple(output for output in outputs if output.after < 0),
            settled=tuple(
                tuple(output for output in outputs if output.after == index) for index in range(len(rules))
            ),
            groups=tuple(self._groups()),
            actuators=tuple(self._actuators()),
            ages=tuple(self._ages()),
            feedback=(feedback := self._feedback(transforms, rules, outputs)),
            outputs=owned,
            steady=not feedback and all(formula.pure for formula in self.formulas),
        )

    def _owned(self) -> tuple[str, ...]:
        """Outputs in the order in which they are written."""
        names = [transform.output for transform in self.logic.transforms]
        names.extend(self.logic.rule_defaults)
        for rule in self.logic.rules:
            names.extend(rule.outputs)
            if rule.message_pv:
                names.append(rule.message_pv)
        names.extend(self.groups)
        return tuple(dict.fromkeys(names))

    def _kinds(self) -> Kinds:
        booleans = {port.name for port in self.spec.ports if port.record.type is PortType.BOOL}
        booleans.update(port + OK for port in self.ports)
        lists = {*self.arrays, *(port + BUFFER for port in self.ports)}
        for name, given in self.spec.parameters.items():
            if isinstance(given.value, bool):
                booleans.add(name)
            elif not isinstance(given.value, _SCALARS):
                lists.add(name)
        floats = {port.name for port in self.spec.ports if port.record.type is PortType.FLOAT}
        numbers = floats | {port.name for port in self.spec.ports if port.record.type in _NUMBERS}
        return Kinds(frozenset(booleans), frozenset(lists), frozenset(floats), frozenset(numbers))

    def _formula(self, text: str, where: str, *, truth: bool) -> Formula:
        try:
            made = formula_of(text, self.functions, self.kinds, arrays=self.arrays, truth=truth)
        except ExpressionError as error:
            raise BadInput(f"{where}: {error.detail}", hint=error.hint) from None
        if not made.names <= self.declared:
            (unknown, *_) = made.undeclared(self.declared)
            raise BadInput(f"{where}: {unknown.detail}", hint=unknown.hint)
        self.formulas.append(made)
        return made

    def _transforms(self) -> Iterator[TransformPlan]:
        others = {name for rule in self.logic.rules for name in (*rule.outputs, rule.message_pv)}
        others.update(self.logic.rule_defaults)
        for transform in self.logic.transforms:
            where = f"transform {transform.output}"
            if transform.output in others:
                raise BadInput(
                    f"{where}: its output has another writer", hint="give each an output of its own"
                )
            others.add(transform.output)
            port = self._port(transform.output, where)
            truth = port.record.type is PortType.BOOL
            yield TransformPlan(transform, self._formula(transform.expression, where, truth=truth), port)

    def _rules(self) -> Iterator[RulePlan]:
        for index, rule in enumerate(self.logic.rules):
            clear = None
            condition = self._formula(rule.condition, f"rule {rule.id}: condition", truth=True)
            if rule.clear_when is not None:
                clear = self._formula(rule.clear_when, f"rule {rule.id}: clear_when", truth=True)
            both = [formula for formula in (condition, clear) if formula is not None]
            names = frozenset(name for formula in both for name in formula.names)
            pure = all(formula.pure for formula in both)
            yield RulePlan(index, rule, condition, clear, frozenset(rule.outputs), names, pure)

    def _port(self, name: str, where: str) -> PortSpec:
        if name not in self.ports:
            raise BadInput(f"{where}: there is no output {name!r}", hint=f"declare {name} under outputs")
        return self.ports[name]

    def _output(self, name: str) -> OutputPlan:
        rules = self.logic.rules
        port = self._port(name, "rules")
        writers = [index for index, rule in enumerate(rules) if name in (*rule.outputs, rule.message_pv)]
        return OutputPlan(
            port=port,
            setters=tuple(
                (index, rule.outputs[name]) for index, rule in enumerate(rules) if name in rule.outputs
            ),
            default=self._default(port, message=any(rule.message_pv == name for rule in rules)),
            after=max(writers, default=-1),
        )

    def _default(self, port: PortSpec, *, message: bool) -> Value | None:
        if port.name in self.logic.rule_defaults:
            return self.logic.rule_defaults[port.name]
        return "" if message and port.value is None else port.value

    def _groups(self) -> Iterator[GroupPlan]:
        for output, group in self.groups.items():
            rules = (index for index, rule in enumerate(self.logic.rules) if rule.group == group)
            yield GroupPlan(group, output, tuple(rules))

    def _actuators(self) -> Iterator[ActuatorPlan]:
        rules = self.logic.rules
        for port in dict.fromkeys(port for rule in rules for port in rule.actuators):
            yield ActuatorPlan(
                port,
                tuple(
                    (index, rule.actuators[port])
                    for index, rule in enumerate(rules)
                    if port in rule.actuators
                ),
            )

    def _names(self, owned: tuple[str, ...]) -> Names:
        read = frozenset(name for formula in self.formulas for name in formula.names)
        # A port, group or parameter may have such a name itself, and then it is meant.
        derived = frozenset(read - self.ports.keys() - self.groups.keys() - self.spec.parameters.keys())
        ages = {name: port for name, port in self.ports.items() if name + AGE in derived}
        flags = frozenset(name for name in self.ports if not derived.isdisjoint((name + OK, name + SEVERITY)))
        buffers = tuple(name for name in self.ports if name + BUFFER in derived)
        sources = frozenset((*read, *flags, *buffers))
        return Names(
            ports=tuple(name for name in self.ports if name in sources and name not in owned),
            owned=sources.intersection(owned),
            buffers=buffers,
            ages={name: math.inf if port.link is not None else 0.0 for name, port in ages.items()},
            flags=flags,
            parameters=tuple(
                name for name in self.spec.parameters if name in read and name not in self.ports
            ),
        )

    def _feedback(
        self, transforms: tuple[TransformPlan, ...], rules: tuple[RulePlan, ...], outputs: list[OutputPlan]
    ) -> frozenset[str]:
        """Outputs that an expression reads before they are decided: places are transforms, rules, groups."""
        first_rule = len(transforms)
        decided = {one.port.name: place for place, one in enumerate(transforms)}
        decided.update((output.name, first_rule + output.after) for output in outputs if output.after >= 0)
        decided.update(dict.fromkeys(self.groups, first_rule + len(rules)))
        readers = [(place, one.formula.names) for place, one in enumerate(transforms)]
        readers.extend((first_rule + rule.index, rule.names) for rule in rules)
        return frozenset(
            name for place, names in readers for name in names if name in decided and decided[name] >= place
        )

    def _ages(self) -> Iterator[AgeLimit]:
        aged = frozenset(name + AGE for name in self.ports) - self.ports.keys() - self.spec.parameters.keys()
        for formula in tuple(self.formulas):
            if not aged.isdisjoint(formula.names):
                yield from self._limits(formula, aged)

    def _limits(self, formula: Formula, aged: frozenset[str]) -> Iterator[AgeLimit]:
        """What each age in a formula is compared with; nothing that can be computed where it stands elsewhere."""
        compared: set[ast.AST] = set()
        for node in ast.walk(formula.tree):
            if not isinstance(node, ast.Compare):
                continue
            terms = (node.left, *node.comparators)
            for position, term in enumerate(terms):
                if not (isinstance(term, ast.Name) and term.id in aged):
                    continue
                compared.add(term)
                beside = terms[max(position - 1, 0) : position] + terms[position + 1 : position + 2]
                for other in beside:
                    free = all(not (isinstance(one, ast.Name) and one.id in aged) for one in ast.walk(other))
                    limit = self._formula(ast.unparse(other), formula.text, truth=False) if free else None
                    yield AgeLimit(term.id.removesuffix(AGE), limit)
        for node in ast.walk(formula.tree):
            if isinstance(node, ast.Name) and node.id in aged and node not in compared:
                yield AgeLimit(node.id.removesuffix(AGE), None)
