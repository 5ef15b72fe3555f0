"""Evaluating rules: one expression against bare eval of its compiled code, and whole steps of the engine."""

from __future__ import annotations

import itertools
import sys
import timeit
from collections.abc import Callable, Sequence
from dataclasses import replace

from table import Row, Sample, sample, show

from iocmng.logic import Samples, get_registry
from iocmng.logic.compiling import compile_plan
from iocmng.logic.decisions import Snapshot
from iocmng.logic.engine import Program
from iocmng.spec import Direction, InstanceSpec, Kind, LogicSpec, PluginRef, PortSpec, RecordSpec, RuleSpec
from iocmng.values import PortType, Reading

GOAL = 2.0
LOOPS = 20_000

RULES = {
    "5 terms, comparisons": "pressure > 5.0 and temp < 80 or flow * 2 + offset > limit",
    "5 terms, arithmetic": "p * 2 + q * 3 - r * 4 > s * 5 + t",
    "5 terms, functions": "mean(p_buf) > 0.5 and max(p_buf) < 9 and std(p_buf) < 3 and p > 1 and q > 1",
}
VARIABLES = {
    "pressure": 6.0,
    "temp": 90.0,
    "flow": 2.0,
    "offset": 1.0,
    "limit": 3.0,
    "p": 1.5,
    "q": 2.5,
    "r": 3.5,
    "s": 4.5,
    "t": 5.5,
    "p_buf": Samples([0.1 * step for step in range(100)], range(100)),
}
TERMS = "i{0} > 5.0 and i{1} < 80 or i{2} * 2 + i{3} > i{4}"
"""A condition of 5 terms about 5 inputs."""


def per_call(call: Callable[[], object], loops: int = LOOPS) -> float:
    """Microseconds of one call."""
    return timeit.timeit(call, number=loops) / loops * 1e6


def instance(inputs: int, rules: int) -> InstanceSpec:
    """An instance whose rules read 5 inputs each and set an output each."""
    conditions = (TERMS.format(*((4 * rule + term) % inputs for term in range(5))) for rule in range(rules))
    made = tuple(
        RuleSpec(id=f"rule{number}", condition=condition, outputs={f"o{number}": True})
        for number, condition in enumerate(conditions)
    )
    readable = (
        PortSpec(
            name=f"i{number}",
            direction=Direction.INPUT,
            record=RecordSpec(name=f"B:I{number}", type=PortType.FLOAT, record_type="ai"),
        )
        for number in range(inputs)
    )
    written = (
        PortSpec(
            name=f"o{number}",
            direction=Direction.OUTPUT,
            record=RecordSpec(
                name=f"B:O{number}", type=PortType.BOOL, record_type="bi", labels=("Off", "On")
            ),
        )
        for number in range(rules)
    )
    return InstanceSpec(
        name="bench",
        kind=Kind.TASK,
        plugin=PluginRef(name="bench", target="bench"),
        prefix="B",
        pv_prefix="B",
        ports=(*readable, *written),
        logic=LogicSpec(rules=made, rule_defaults={f"o{number}": False for number in range(rules)}),
    )


def stepping(program: Program, snapshots: Sequence[Snapshot]) -> Callable[[], object]:
    """A call that makes one step, with each snapshot in turn."""
    state = program.start(0.0)
    turns = itertools.cycle(snapshots)
    ticks = itertools.count(1)
    for snapshot in snapshots:
        program.step(state, snapshot, 0.0)
    return lambda: program.step(state, next(turns), next(ticks))


def histories(inputs: int) -> dict[str, list[Snapshot]]:
    """What may change from one step to the next."""
    calm = {f"i{number}": Reading(float(number % 5)) for number in range(inputs)}
    moved = [{name: Reading(value) for name in calm} for value in (2.0, 3.0)]
    flipped = [{name: Reading(value) for name in calm} for value in (0.0, 50.0)]
    return {
        "nothing has changed": [Snapshot(calm)],
        "one input has changed": [Snapshot({**calm, "i0": Reading(value)}) for value in (0.0, 1.0)],
        "all inputs have changed": [Snapshot(readings) for readings in moved],
        "all outputs have changed": [Snapshot(readings) for readings in flipped],
    }


def evaluation(text: str) -> Callable[[], object]:
    """A call that evaluates one condition as the engine does, on readings that it has taken in."""
    ports = tuple(
        PortSpec(
            name=name,
            direction=Direction.INPUT,
            record=RecordSpec(name=f"B:{name}", type=PortType.FLOAT, record_type="ai"),
            buffer_size=100,
        )
        for name in VARIABLES
        if name != "p_buf"
    )
    rule = RuleSpec(id="rule", condition=text)
    spec = replace(instance(5, 1), ports=ports, logic=LogicSpec(rules=(rule,)))
    program = Program.compile(spec)
    state = program.start(0.0)
    readings = {port.name: Reading(VARIABLES[port.name]) for port in ports}
    program.step(state, Snapshot(readings, {"p": VARIABLES["p_buf"]}), 0.0)
    formula = compile_plan(spec, get_registry()).rules[0].condition
    return lambda: formula.result(state.variables)


def expression_rows(runs: int) -> list[Row]:
    """Measure one condition and bare eval in turn."""
    scope = {"__builtins__": {}, **get_registry()}
    made = []
    for title, text in RULES.items():
        code = compile(text, "<rule>", "eval")
        call = evaluation(text)
        ours, bare = [], []
        for _ in range(runs):
            bare.append(per_call(lambda code=code: eval(code, scope, VARIABLES)))
            ours.append(per_call(call))
        what = f"evaluate a rule: {title}"
        made.append(Row(what, sample(ours, "µs"), "bare eval", sample(bare, "µs"), GOAL))
    return made


def bare_evaluation(inputs: int, rules: int, runs: int) -> Sample:
    """What evaluating all conditions with bare eval takes, on variables that are there already."""
    codes = [compile(rule.condition, "<rule>", "eval") for rule in instance(inputs, rules).logic.rules]
    variables = {f"i{number}": float(number % 5) for number in range(inputs)}
    scope: dict[str, object] = {"__builtins__": {}}

    def evaluate() -> None:
        for code in codes:
            eval(code, scope, variables)

    return sample((per_call(evaluate, LOOPS // 4) for _ in range(runs)), "µs")


def step_rows(runs: int) -> list[Row]:
    """Measure whole steps: readings to variables, rules over time, outputs, deadline."""
    made = []
    for inputs, rules in ((5, 1), (20, 5)):
        program = Program.compile(instance(inputs, rules))
        bare = bare_evaluation(inputs, rules, runs)
        size = f"{inputs} inputs, {rules} rule{'' if rules == 1 else 's'} of 5 terms"
        for title, snapshots in histories(inputs).items():
            call = stepping(program, snapshots)
            ours = sample((per_call(call, LOOPS // 10) for _ in range(runs)), "µs")
            goal = GOAL if (rules, title) == (1, "nothing has changed") else None
            made.append(Row(f"a step: {size}, {title}", ours, "bare eval of the conditions", bare, goal))
    return made


def rows(runs: int) -> list[Row]:
    """Measure everything."""
    return [*expression_rows(runs), *step_rows(runs)]


if __name__ == "__main__":
    show("expressions", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
