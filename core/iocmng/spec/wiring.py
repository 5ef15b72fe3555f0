"""How ports of an instance are wired to PVs elsewhere and to each other: links, latches, transforms, rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from iocmng.names import LinkAddress
from iocmng.values import Severity, Value


class LinkMode(StrEnum):
    """How a linked input is read."""

    POLL = "poll"
    MONITOR = "monitor"


class AgeBy(StrEnum):
    """From when the age of a linked input counts: the last proof of life, or the source's own time stamp."""

    RECEIPT = "receipt"
    SOURCE = "source"


class LatchDirection(StrEnum):
    """Which value, set by a rule, an output keeps: a true one, a false one, or either."""

    RISE = "rise"
    FALL = "fall"
    ANY = "any"


class OnInvalid(StrEnum):
    """What a rule does whose condition is unknown."""

    HOLD = "hold"
    TRIP = "trip"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """The PV that a port is linked to.

    Attributes:
        address: Provider and name.
        mode: How an input is read; nothing for an output.
        poll_rate: Seconds between reads of a polled input; None for the instance's interval.
        max_age: Seconds after which an input is INVALID; None for never.
        age_by: From when its age counts.
        trigger: Whether a change of an input calls `on_input_changed`, and in reactive mode evaluates.
        reassert: Whether an output is written again when its target reconnects.
    """

    address: LinkAddress
    mode: LinkMode = LinkMode.POLL
    poll_rate: float | None = None
    max_age: float | None = None
    age_by: AgeBy = AgeBy.RECEIPT
    trigger: bool = False
    reassert: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformSpec:
    """An expression whose result is written to an output."""

    output: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSpec:
    """A condition and what it sets; times in seconds.

    `outputs` holds values as their records take them, `actuators` those for the PVs that the ports are linked to,
    as the config gives them. `clear_when` None means that the rule ends when its condition does not hold.
    """

    id: str
    condition: str
    message: str = ""
    message_pv: str | None = None
    outputs: Mapping[str, Value] = field(default_factory=dict)
    actuators: Mapping[str, Value] = field(default_factory=dict)
    hold_for: float = 0.0
    clear_for: float = 0.0
    clear_when: str | None = None
    on_invalid: OnInvalid = OnInvalid.HOLD
    settle: float = 5.0
    severity: Severity = Severity.NO_ALARM
    group: str | None = None
    repeat: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicSpec:
    """Transforms and rules of an instance, in the order in which they are evaluated."""

    transforms: tuple[TransformSpec, ...] = ()
    rule_defaults: Mapping[str, Value] = field(default_factory=dict)
    rules: tuple[RuleSpec, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.transforms or self.rules or self.rule_defaults)

    @property
    def outputs(self) -> frozenset[str]:
        """Outputs that the logic writes, and nothing else does."""
        of_rules = (name for rule in self.rules for name in rule.outputs)
        messages = (rule.message_pv for rule in self.rules if rule.message_pv)
        return frozenset(
            (*self.rule_defaults, *(one.output for one in self.transforms), *of_rules, *messages)
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """First-out groups in the order of their first rule."""
        return tuple(dict.fromkeys(rule.group for rule in self.rules if rule.group))
