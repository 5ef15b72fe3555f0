"""What a program is made of: transforms, rules, outputs, groups and actuators, each with all that a step needs."""

from __future__ import annotations

from dataclasses import dataclass

from iocmng.logic.formula import Formula
from iocmng.logic.variables import Names
from iocmng.spec.instance import PortSpec
from iocmng.spec.wiring import LatchDirection, RuleSpec, TransformSpec
from iocmng.values import Value


@dataclass(frozen=True, slots=True)
class TransformPlan:
    """A transform, its formula and the port that it writes."""

    spec: TransformSpec
    formula: Formula
    port: PortSpec


@dataclass(frozen=True, slots=True)
class RulePlan:
    """A rule and its formulas.

    Attributes:
        index: Its place among the rules.
        spec: The rule.
        condition: When it begins.
        clear: What must hold besides for it to end, None for nothing.
        outputs: Names of the outputs whose value depends on it.
        names: The variables that its formulas read.
        pure: Whether the same variables always give the same results.
    """

    index: int
    spec: RuleSpec
    condition: Formula
    clear: Formula | None
    outputs: frozenset[str]
    names: frozenset[str]
    pure: bool


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """An output that rules set.

    Attributes:
        port: Its port.
        setters: Index and value of each rule that sets it, in order.
        default: Its value when no rule sets it, None to leave it as it is.
        after: Index of the last rule that sets it or writes its message there, -1 for none.
    """

    port: PortSpec
    setters: tuple[tuple[int, Value], ...]
    default: Value | None
    after: int

    @property
    def name(self) -> str:
        """Name of the port."""
        return self.port.name

    def fitting(self, text: str) -> str:
        """Return as much of a message as the record holds."""
        return text.encode()[: self.port.record.length].decode(errors="ignore")

    def latches(self, value: Value | None) -> bool:
        """Whether this value, set by a rule, is kept until CLEAR."""
        match self.port.latch:
            case None:
                return False
            case LatchDirection.ANY:
                return value is not None
            case direction:
                return value is not None and bool(value) is (direction is LatchDirection.RISE)


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A first-out group: the output that names the first rule that fired, and its rules."""

    name: str
    output: str
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ActuatorPlan:
    """A linked port that rules command: index and value of each, in order."""

    port: str
    setters: tuple[tuple[int, Value], ...]


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """A comparison of a port's age with something; None when its outcome may change at any time."""

    port: str
    limit: Formula | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled program.

    Attributes:
        names: What its expressions read.
        transforms: In order.
        rules: In order.
        constants: Outputs that have a default and no rule.
        settled: By index of a rule, the outputs that no later rule sets.
        groups: First-out groups.
        actuators: Ports that rules command.
        ages: Comparisons whose outcome changes with time alone.
        feedback: Outputs that an expression reads before they are decided; it sees the decision of the step before.
        outputs: All that it writes, in the order in which they are written.
        steady: Whether equal variables give equal results, whatever the step before decided.
    """

    names: Names
    transforms: tuple[TransformPlan, ...]
    rules: tuple[RulePlan, ...]
    constants: tuple[OutputPlan, ...]
    settled: tuple[tuple[OutputPlan, ...], ...]
    groups: tuple[GroupPlan, ...]
    actuators: tuple[ActuatorPlan, ...]
    ages: tuple[AgeLimit, ...]
    feedback: frozenset[str]
    outputs: tuple[str, ...]
    steady: bool
