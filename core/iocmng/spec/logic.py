"""Transforms and rules of a config with every value as the record of its output takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iocmng.config import PluginConfig
from iocmng.config.models import Rule
from iocmng.names import did_you_mean, is_refused_port, port_name_problem
from iocmng.spec.convert import convert
from iocmng.spec.defaults import FIRST
from iocmng.spec.instance import Direction
from iocmng.spec.ports import PortTemplate, meant
from iocmng.spec.problem import Problem
from iocmng.spec.record import RecordSpec
from iocmng.spec.wiring import LogicSpec, OnInvalid, RuleSpec, TransformSpec
from iocmng.values import PortType, Severity, Value
from iocmng.wire import Level

_Path = tuple[str | int, ...]


def logic_spec(
    config: PluginConfig, ports: Mapping[str, PortTemplate]
) -> tuple[LogicSpec, tuple[Problem, ...]]:
    """Describe transforms and rules, without what refers to unknown ports or does not fit them.

    Args:
        config: The config.
        ports: Templates of its ports by name; one that cannot be made is missing.

    Returns:
        The description and what is wrong with its ports and values. Expressions are not looked at.
    """
    if not (config.transforms or config.rules or config.rule_defaults):
        return LogicSpec(), ()
    maker = _Maker(config, ports)
    transforms = tuple(maker.transforms())
    defaults = dict(maker.values(config.rule_defaults, ("rule_defaults",)))
    rules = tuple(maker.rule(index, rule) for index, rule in enumerate(config.rules))
    maker.compare(rules)
    return LogicSpec(transforms=transforms, rule_defaults=defaults, rules=rules), tuple(maker.problems)


class _Maker:
    def __init__(self, config: PluginConfig, ports: Mapping[str, PortTemplate]) -> None:
        self.config = config
        self.ports = ports
        self.problems: list[Problem] = []

    def transforms(self) -> Iterator[TransformSpec]:
        for index, transform in enumerate(self.config.transforms):
            self._output(transform.output, ("transforms", index, "output"))
            yield TransformSpec(output=transform.output, expression=transform.expression)

    def rule(self, index: int, rule: Rule) -> RuleSpec:
        path: _Path = ("rules", index)
        outputs = dict(self.values(rule.outputs, (*path, "outputs"), rule.id))
        actuators = dict(self._actuators(rule, (*path, "actuators")))
        if rule.message_pv is not None:
            self._message_pv(rule.message_pv, (*path, "message_pv"))
        if rule.group is not None:
            self._group(rule.group, (*path, "group"))
        return RuleSpec(
            id=rule.id,
            condition=rule.condition,
            message=rule.message,
            message_pv=rule.message_pv,
            outputs=outputs,
            actuators=actuators,
            hold_for=rule.for_,
            clear_for=rule.clear_for,
            clear_when=rule.clear_when,
            on_invalid=OnInvalid(rule.on_invalid),
            settle=rule.settle,
            severity=Severity[rule.severity] if rule.severity else Severity.NO_ALARM,
            group=rule.group,
            repeat=rule.repeat,
        )

    def compare(self, rules: tuple[RuleSpec, ...]) -> None:
        """Warn of rules that set one output to different values: which of them counts depends on their order."""
        first: dict[str, tuple[str, Value]] = {}
        told: set[str] = set()
        for index, rule in enumerate(rules):
            for name, value in rule.outputs.items():
                before = first.setdefault(name, (rule.id, value))
                if name in told or _same(before[1], value):
                    continue
                told.add(name)
                text = f"rules {before[0]} and {rule.id} set {name} to different values: the later one wins"
                path = ("rules", index, "outputs", name)
                hint = "nothing to do if that is meant"
                self.problems.append(Problem(Level.WARNING, "rules-differ", text, path, hint))

    def values(self, given: Mapping[str, Any], path: _Path, rule: str = "") -> Iterator[tuple[str, Value]]:
        for name, value in given.items():
            port = self._output(name, (*path, name), key=True)
            if port is None:
                continue
            shape = RecordSpec(name=name, **port.record)
            meaning = meant(value, shape.type)
            try:
                yield name, convert(shape, meaning)
            except (TypeError, ValueError) as error:
                text = f"{f'rule {rule}' if rule else path[0]}: {error}"
                hint = "quote it" if shape.type is PortType.STRING and _is_number(meaning) else ""
                self._error("output-value", text, (*path, name), hint)

    def _actuators(self, rule: Rule, path: _Path) -> Iterator[tuple[str, Value]]:
        for name, value in rule.actuators.items():
            port = self.ports.get(name)
            if port is None:
                if not self._is_declared(name):
                    text = f"rule {rule.id}: there is no port {name!r} to act on"
                    hint = did_you_mean(name, self._linked())
                    self._error("unknown-actuator", text, (*path, name), hint, key=True)
                continue
            meaning = meant(value, port.record["type"])
            if port.link is None:
                text = f"rule {rule.id}: actuator {name!r} is not linked to a PV"
                self._error("actuator-unlinked", text, (*path, name), f"add link: to {name}", key=True)
            elif not isinstance(meaning, (str, bool, int, float)) and not _is_flat_list(meaning):
                text = f"rule {rule.id}: a PV takes a number, a text or a list, not {meaning!r}"
                self._error("output-value", text, (*path, name))
            else:
                yield name, meaning

    def _message_pv(self, name: str, path: _Path) -> None:
        port = self._output(name, path)
        if port is not None and port.record["type"] is not PortType.STRING:
            text = f"message_pv {name!r} is of type {port.record['type']}, a message is a string"
            self._error("message-pv", text, path, f"give {name} type: string")

    def _group(self, group: str, path: _Path) -> None:
        if problem := port_name_problem(group):
            text = f"group {group!r} cannot name the PV {group}{FIRST}: {problem}"
            self._error("group", text, path, "use letters, digits and _")
            return
        port = self.ports.get(f"{group}{FIRST}")
        if port is not None and not (
            port.direction is Direction.OUTPUT and port.record["type"] is PortType.STRING
        ):
            text = f"group {group!r} writes {port.name}, which is no output of type string"
            self._error("group", text, path, "rename the group or the port")

    def _output(self, name: str, path: _Path, *, key: bool = False) -> PortTemplate | None:
        known = [one for one, port in self.ports.items() if port.direction is Direction.OUTPUT]
        port = self.ports.get(name)
        if port is None:
            if not self._is_declared(name):
                text = f"there is no output {name!r}"
                self._error("unknown-output", text, path, did_you_mean(name, known), key=key)
            return None
        if port.direction is Direction.INPUT:
            text = f"{name!r} is an input: transforms and rules write outputs"
            self._error("unknown-output", text, path, did_you_mean(name, known), key=key)
            return None
        return port

    def _is_declared(self, name: str) -> bool:
        """Whether it is the name of a port that could not be made, of which something was said already."""
        declared = name in self.config.arguments.inputs or name in self.config.arguments.outputs
        return declared and not is_refused_port(name)

    def _linked(self) -> list[str]:
        return [name for name, port in self.ports.items() if port.link is not None]

    def _error(self, code: str, message: str, path: _Path, hint: str = "", *, key: bool = False) -> None:
        self.problems.append(Problem(Level.ERROR, code, message, path, hint, key))


def _same(one: Value, other: Value) -> bool:
    if hasattr(one, "tolist") or hasattr(other, "tolist"):
        return bool(getattr(one, "tolist", list)() == getattr(other, "tolist", list)())
    return one == other


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, int, float))


def _is_flat_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, (str, bool, int, float)) for item in value)
