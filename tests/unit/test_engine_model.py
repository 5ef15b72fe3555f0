"""The engine against a slow and obvious model, on any logic and any history."""

from __future__ import annotations

import copy
import math
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st
from support.logic_model import Model
from support.logic_spec import DEAD, instance, port

from iocmng.logic.decisions import Snapshot
from iocmng.logic.engine import Program
from iocmng.logic.stepping import FEEDBACK_DELAY
from iocmng.spec import InstanceSpec, LatchDirection, OnInvalid, RuleSpec
from iocmng.values import Reading, Severity

NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.0, math.inf, math.nan])
READINGS = st.one_of(
    NUMBERS.map(Reading),
    NUMBERS.map(Reading),
    st.builds(Reading, NUMBERS, st.sampled_from([Severity.MINOR, Severity.MAJOR])),
    st.builds(Reading, NUMBERS, st.just(Severity.INVALID)),
    st.just(DEAD),
)
FLAGS = st.one_of(st.booleans().map(Reading), st.just(DEAD))
TIMES = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0])
"""Times of which sums are exact."""


NAMES = st.sampled_from(["p", "q", "p", "q", "y", "level"])
LEAVES = st.one_of(NAMES, st.sampled_from(["0", "1", "2.5"]))
NUMBER = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("max({}, {})".format, inner, inner),
        st.builds("abs(-{})".format, inner),
        st.builds("({} if {} > 1 else {})".format, inner, inner, inner),
    ),
    max_leaves=3,
)
COMPARISON = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
CONDITION = st.recursive(
    st.one_of(
        st.sampled_from(["b", "w", "trip"]),
        st.builds("{} > {}".format, NAMES, st.sampled_from(["0", "1", "2"])),
        st.builds("{} {} {}".format, NUMBER, COMPARISON, NUMBER),
        st.builds("0 < {} <= {}".format, NUMBER, LEAVES),
    ),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("(not ({}))".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("any_of({}, {})".format, inner, inner),
        st.builds("all_of({}, [{}])".format, inner, inner),
        st.builds("at_least({}, {}, {}, {})".format, st.integers(1, 3), inner, inner, inner),
    ),
    max_leaves=4,
)
MAYBE_NUMBER = st.sampled_from([None, None, 0.0, 7.0])
MAYBE_FLAG = st.sampled_from([None, None, False, True])
LATCHES = st.sampled_from([None, None, *LatchDirection])


@st.composite
def specs(draw: st.DrawFn) -> InstanceSpec:
    transforms = {}
    if draw(st.booleans()):
        transforms["y"] = draw(NUMBER)
    if draw(st.booleans()):
        transforms["w"] = draw(CONDITION)
    defaults = {}
    if draw(st.booleans()):
        defaults["trip"] = draw(st.booleans())
    if draw(st.booleans()):
        defaults["level"] = draw(st.sampled_from([0.0, 1.0]))
    return instance(
        port("p", link=True),
        port("q", link=True),
        port("b", "bool", link=True),
        port("y", value=draw(MAYBE_NUMBER), fail_safe=draw(MAYBE_NUMBER)),
        port("w", "bool"),
        port("trip", "bool", value=draw(MAYBE_FLAG), fail_safe=draw(MAYBE_FLAG), latch=draw(LATCHES)),
        port("level", value=draw(MAYBE_NUMBER), fail_safe=draw(MAYBE_NUMBER)),
        rules=tuple(draw(rule(index)) for index in range(draw(st.integers(1, 3)))),
        transforms=transforms,
        defaults=defaults,
    )


@st.composite
def rule(draw: st.DrawFn, index: int) -> RuleSpec:
    outputs = {}
    if draw(st.booleans()):
        outputs["trip"] = draw(st.booleans())
    if draw(st.booleans()):
        outputs["level"] = draw(st.sampled_from([0.0, 1.0, 2.0]))
    return RuleSpec(
        id=f"r{index}",
        condition=draw(CONDITION),
        clear_when=draw(st.one_of(st.none(), st.none(), CONDITION)),
        outputs=outputs,
        actuators={"p": draw(st.sampled_from([0, 1]))} if draw(st.booleans()) else {},
        hold_for=draw(st.sampled_from([0.0, 0.0, 0.25, 1.0])),
        clear_for=draw(st.sampled_from([0.0, 0.0, 0.5])),
        on_invalid=draw(st.sampled_from(OnInvalid)),
        settle=draw(st.sampled_from([0.0, 1.0])),
        severity=draw(st.sampled_from([Severity.NO_ALARM, Severity.MAJOR])),
        group=draw(st.sampled_from([None, "g"])),
    )


RULE_KEYS = (
    "condition", "clear_when", "outputs", "actuators", "hold_for", "clear_for", "on_invalid", "settle", "severity",
    "group",
)  # fmt: skip
STEPS = st.lists(
    st.tuples(TIMES, READINGS, READINGS, FLAGS, st.sampled_from([False, False, False, True])),
    min_size=1,
    max_size=8,
)


@given(specs(), STEPS)
@settings(max_examples=60, deadline=None, report_multiple_bugs=False)
def test_as_the_model_says(spec, steps):
    note(_described(spec, steps))
    program = Program.compile(spec)
    state = program.start(0.0)
    model = Model(spec, 0.0)
    shown: dict[str, tuple[object, Severity]] = {}
    now, latched = 0.0, {}
    for index, (later, p, q, b, clear) in enumerate(steps):
        now += later
        readings = {"p": p, "q": q, "b": b}
        evaluate = program.clear if clear else program.step
        step = evaluate(state, Snapshot(readings), now)
        model.step(readings, now, clear=clear)
        ports = [write.port for write in step.writes]
        assert len(set(ports)) == len(ports), "an output is written once"
        assert index or set(ports) == program.writes, "the first evaluation writes all"
        for write in step.writes:
            before = shown.get(write.port)
            value = write.value if write.value is not None or before is None else before[0]
            shown[write.port] = (value, write.severity)
        firsts = {f"{group}_FIRST": first for group, first in model.firsts.items()}
        expected = {name: (one.value, one.severity) for name, one in model.outputs.items()}
        expected |= {
            f"{group}_FIRST": (model.firsts.get(group, ""), Severity.NO_ALARM) for group in spec.logic.groups
        }
        assert shown == expected
        views = program.explain(state, Snapshot(readings), now)
        assert [view.state for view in views] == [
            {None: "undecided", True: "active", False: "inactive"}[one.active] for one in model.rules
        ]
        assert [(command.port, command.value) for command in step.commands] == model.commands
        assert list(step.withdrawn) == model.withdrawn
        latched = latched if step.latched is None else dict(step.latched)
        assert latched == model.latched | firsts
        _nothing_happens_before_its_deadline(program, state, Snapshot(readings), now, step.deadline)


def _described(spec: InstanceSpec, steps: list[Any]) -> str:
    """All that differs from one example to the next."""
    ports = (
        f"{one.name} value={one.value} fail_safe={one.fail_safe} latch={one.latch}" for one in spec.ports[3:]
    )
    rules = (str({key: getattr(one, key) for key in RULE_KEYS}) for one in spec.logic.rules)
    history = (
        f"+{later} p={p.value} {p.severity} q={q.value} {q.severity} b={b.value}{' CLEAR' * clear}"
        for later, p, q, b, clear in steps
    )
    logic = spec.logic
    return "\n".join([*ports, str(logic.transforms), str(logic.rule_defaults), *rules, *history])


def _nothing_happens_before_its_deadline(program, state, snapshot, now, deadline):
    if deadline is not None:
        assert deadline > now
        if deadline <= now + FEEDBACK_DELAY:
            # An output has changed that is read before it is decided: whichever step comes next sees it.
            return
    state = copy.deepcopy(state)
    early = program.step(state, snapshot, now + 10.0 if deadline is None else (now + deadline) / 2)
    assert (early.writes, early.commands, early.withdrawn, early.events) == ((), (), (), ())
    assert early.latched is None
    assert early.message is None
    assert early.deadline == deadline
