"""Findings about expressions: code, place inside the expression, suggestion."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocmng.config import LoadedConfig, parse_config
from iocmng.errors import BadInput
from iocmng.logic.check import check_logic
from iocmng.logic.engine import Program
from iocmng.logic.functions import BUILTIN_FUNCTIONS
from iocmng.spec import InstanceSpec, Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.wire import Finding, Level

COMPILING = ("expression", "unknown-name", "unknown-function")
"""What the engine refuses too; other errors are about what it would compute."""

HEAD = """\
parameters: {gain: 2, both: 1}
arguments:
  inputs:
    A: {link: 'X:A'}
    B: {link: 'X:B', trigger: true, buffer_size: 5}
    GATE: {type: enum, labels: [SHUT, OPEN]}
    FLAG: {type: bool, znam: Bad, onam: Good}
    NAME: {type: string}
    LIST: {type: array, length: 3}
    POINT: {}
    both: {}
    exp: {}
  outputs: {T: {}, U: {}, W: {}, R: {value: 0}, F: {link: 'X:F'}, M: {type: string}}
"""
START = HEAD.count("\n") + 1


def load(text: str, head: str = HEAD) -> LoadedConfig:
    loaded = parse_config(head + text, "c.yaml")
    assert loaded.complete is not None, loaded.findings
    return loaded


def transform(expression: str) -> str:
    return f"transforms:\n  - {{output: T, expression: {json.dumps(expression)}}}"


def check(expression: str, **options: object) -> list[Finding]:
    return list(check_logic(load(transform(expression)), **options))  # type: ignore[arg-type]


def column(expression: str) -> int:
    return len("  - {output: T, expression: '") + expression.index("^") + 1


@pytest.mark.parametrize(
    "expression",
    [
        "A + B * gain",
        "T_ok and U_severity == 0 and R > 1",
        "A_ok and A_age < 3 and A_severity < 2",
        "mean(B_buf) + latest(B_buf) + length(last(B_buf, 3))",
        "GATE == 1 and FLAG == True and FLAG == 1",
        "NAME == 'on' and 'off' != NAME",
        "max(LIST) > 3 and LIST == 3",
        "min(A, B, default=3) + log(A) + log(A, 2) + round(A, 2)",
        "3",
    ],
)
def test_what_is_right(expression: str) -> None:
    assert check(expression) == []


@pytest.mark.parametrize(
    ("expression", "code", "says"),
    [
        ("A + ^C", "unknown-name", "known:"),
        ("A + ^GATES", "unknown-name", "did you mean 'GATE'?"),
        ("A + ^gian", "unknown-name", "did you mean 'gain'?"),
        ("A and ^true", "unknown-name", "write True"),
        ("A > 1 and ^std", "unknown-name", "std is a function: write std(…)"),
        ("A + ^interval", "unknown-name", "'interval' is not declared"),
        ("^B_bfu", "unknown-name", "did you mean 'B_buf'?"),
        ("^C_ok", "unknown-name", "did you mean"),
        ("mean(^A_buf)", "no-buffer", "add buffer_size: N to A"),
        ("^POINT_age > 1", "no-age", "'POINT' is no linked input"),
        ("^F_age > 1", "no-age", "'F' is no linked input"),
        ("A + ^maen(B_buf)", "unknown-function", "did you mean 'mean'?"),
        ("A + ^A(3)", "unknown-function", "remove the brackets"),
        ("A + ^mean()", "arguments", "it is mean(values)"),
        ("A + ^clamp(A, 1)", "arguments", "it is clamp(value, low, high)"),
        ("^mean(A, what=1)", "arguments", "what"),
        ("rate(^A)", "arguments", "write rate(A_buf)"),
        ("GATE == ^'OPEN'", "comparison", "write 1 for OPEN"),
        ("^'Bad' == FLAG", "comparison", "write 0 for Bad"),
        ("1 < A < ^'x'", "comparison", "compare it with a number"),
        ("GATE == ^'open'", "comparison", "number"),
        ("NAME > ^3", "comparison", "write the text in quotes"),
        ("A + ^both", "name-clash", "a port and a parameter"),
        ("^A . x", "expression", "attribute access is not allowed"),
        ("A &^& B", "expression", "write and"),
        ("A |^| B", "expression", "write or"),
        ("A ^= 3", "expression", "write =="),
        ("A + ^B.real", "expression", "attribute access is not allowed"),
        ("^[x for x in B_buf]", "expression", "comprehension is not allowed"),
        ("A ** ^2", "expression", "use pow"),
        ("A + ^", "expression", "invalid syntax"),
        ("^", "expression", "empty"),
    ],
)
def test_a_fault_in_an_expression(expression: str, code: str, says: str) -> None:
    found = check(expression.replace("^", "") or " ")
    assert [(one.level, one.code) for one in found] == [(Level.ERROR, code)]
    assert says in f"{found[0].message} {found[0].hint}"
    assert found[0].message.startswith("transform T: ")
    if code != "expression" or "allowed" in says:
        assert (found[0].where.line, found[0].where.column) == (START + 1, column(expression))
    assert found[0].where.line == START + 1


def test_a_place_in_a_block() -> None:
    text = "rules:\n  - id: a\n    message: x\n    condition: |\n      A > 1 and\n        # no\n"
    assert [one.code for one in check_logic(load(text))] == ["expression"]
    text = (
        "rules:\n  - id: a\n    message: x\n    condition: >\n      A and\n        (B or\n         bee > 3)\n"
    )
    found = check_logic(load(text))
    assert [(one.code, one.where.line, one.where.column) for one in found] == [
        ("unknown-name", START + 6, 10)
    ]
    assert found[0].message == "rule a: 'bee' is not declared"


def test_every_fault_of_every_expression_is_told() -> None:
    text = (
        "transforms: [{output: T, expression: x1 + x2}]\n"
        "rules: [{id: r, condition: y1(y2), clear_when: z1, message: m}]"
    )
    found = [(one.code, one.message.partition("'")[2].partition("'")[0]) for one in check_logic(load(text))]
    assert found == [
        ("unknown-name", "x1"), ("unknown-name", "x2"), ("unknown-name", "y2"), ("unknown-function", "y1"),
        ("unknown-name", "z1"),
    ]  # fmt: skip


def test_a_function_called_like_a_port() -> None:
    (found,) = check("exp(A) + exp")
    assert (found.level, found.code) == (Level.WARNING, "name-clash")


def test_in_a_directory_doubtful_names_are_warnings() -> None:
    assert [one.level for one in check("both + 1", lenient=True)] == [Level.WARNING]
    assert [one.level for one in check("A == 'x'", lenient=True)] == [Level.WARNING]
    assert [one.level for one in check("C", lenient=True)] == [Level.ERROR]


def test_in_a_directory_a_port_that_is_not_served_is_not_read() -> None:
    text = (
        "arguments: {inputs: {STATUS: {}}, outputs: {A: {}}}\ntransforms: [{output: A, expression: STATUS}]"
    )
    loaded = parse_config(text, "c.yaml", lenient=True)
    assert loaded.config is not None
    assert [one.code for one in check_logic(loaded, spec_of(loaded), lenient=True)] == ["unknown-name"]


def test_functions_that_a_plugins_code_may_bring() -> None:
    assert check("own(A) + A", certain=False) == []
    assert [one.code for one in check("theirs", certain=False)] == ["unknown-name"]
    assert [one.code for one in check("mean(A, B)", certain=False)] == ["arguments"]
    assert check("own(A)", functions=["own"]) == []
    assert [one.code for one in check("own(A)", functions=["other"])] == ["unknown-function"]


def test_a_parameter_that_nobody_states() -> None:
    (found,) = check("A > limit", declared=["limit", "gain"])
    assert (found.code, found.hint.partition(",")[0]) == (
        "unknown-name",
        "state the parameter limit in config.yaml",
    )


def transforms(*given: tuple[str, str]) -> str:
    return "transforms:\n" + "".join(f"  - {{output: {name}, expression: {text}}}\n" for name, text in given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("T", "A"), ("U", "T + 1"), ("W", "T + U")], []),
        ([("T", "A + T")], [("transform-cycle", 1, "T → T")]),
        ([("T", "U"), ("U", "A")], [("transform-order", 1, "move the transform of U before that of T")]),
        ([("T", "U"), ("U", "T")], [("transform-cycle", 1, "T → U → T")]),
        ([("T", "W"), ("U", "T"), ("W", "U")], [("transform-cycle", 1, "T → W → U → T")]),
        (
            [("T", "U + W"), ("U", "A"), ("W", "T")],
            [("transform-order", 1, "U"), ("transform-cycle", 1, "T → W → T")],
        ),
        ([("T", "A"), ("U", "U_ok + W_ok"), ("W", "U")], []),
    ],
)
def test_transforms_see_those_before_them(
    given: list[tuple[str, str]], expected: list[tuple[str, int, str]]
) -> None:
    found = check_logic(load(transforms(*given)))
    assert [(one.code, one.where.line - START) for one in found] == [
        (code, line) for code, line, _ in expected
    ]
    for one, (_, _, says) in zip(found, expected, strict=True):
        assert says in f"{one.message} {one.hint}"


def rule(text: str) -> str:
    return f"rules:\n  - {{id: a, {text}, on_invalid: hold}}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("condition: A > 1, actuators: {F: 1}", "A, which is read only each 1 s"),
        ("condition: A_ok, actuators: {F: 1}", "A, which"),
        ("condition: B > 1, clear_when: A < 1, actuators: {F: 1}", "A, which"),
        ("condition: T > 1, actuators: {F: 1}", "A (by way of T), which"),
        ("condition: B > 1 and POINT > 1, actuators: {F: 1}", ""),
        ("condition: A > 1, outputs: {R: 1}", ""),
    ],
)
def test_actuators_that_wait_for_a_polled_input(text: str, says: str) -> None:
    loaded = load("transforms: [{output: T, expression: A + B}]\n" + rule(text))
    found = check_logic(loaded)
    assert [(one.level, one.code) for one in found] == ([(Level.WARNING, "polled-actuator")] if says else [])
    assert all(says in one.message and one.where.line == START + 2 for one in found)


def spec_of(loaded: LoadedConfig, **requested: object) -> InstanceSpec:
    assert loaded.config is not None, loaded.findings
    plugin = PluginRef(name="p", target="p")
    spec, findings = describe(
        loaded.config, plugin, kind=Kind.TASK, name="p", host_prefix="H", requested=requested
    )
    assert spec is not None, findings
    return spec


def test_an_instance_may_have_another_mode_and_more_parameters() -> None:
    loaded = load(rule("condition: A > limit, actuators: {F: 1}"))
    assert [one.code for one in check_logic(loaded, spec_of(loaded))] == ["unknown-name", "polled-actuator"]
    assert check_logic(loaded, spec_of(loaded, limit=3, mode="reactive")) == ()


def test_reading_what_is_decided_later() -> None:
    (found,) = check_logic(load(rule("condition: R > 1 or A > 1, outputs: {R: 1}")))
    assert (found.level, found.code) == (Level.NOTE, "feedback")
    chain = "rules: [{id: a, condition: A, outputs: {R: 1}}, {id: b, condition: R, message: x}]"
    assert check_logic(load(chain)) == ()
    assert [one.code for one in check_logic(load(f"{transform('R')}\n{chain}"))] == ["feedback"]
    first = "rules: [{id: a, condition: A, group: G}, {id: b, condition: G_FIRST == 'a', message: x}]"
    assert check_logic(load(first)) == ()


def test_expressions_are_checked_beside_other_faults() -> None:
    loaded = load("bogus: 1\n" + transform("A + C"), HEAD.replace("link: 'X:A'", "link: 'X:A', tigger: 1"))
    assert loaded.config is None
    assert [one.code for one in check_logic(loaded)] == ["unknown-name"]
    broken = parse_config(
        HEAD.replace("{type: bool, znam: Bad, onam: Good}", "3") + transform("FLAG"), "c.yaml"
    )
    assert check_logic(broken) == ()
    assert check_logic(parse_config("a: [", "c.yaml")) == ()


def test_instances_of_one_config_share_the_work() -> None:
    many = "".join(
        f"  - {{id: r{n}, condition: A > {n} and mean(B_buf) < {n}, message: x}}\n" for n in range(200)
    )
    loaded = load(f"rules:\n{many}")
    first = check_logic(loaded)
    begin = time.process_time()
    assert all(check_logic(loaded) is first for _ in range(1000))
    assert time.process_time() - begin < 0.5


def test_every_builtin_function_tells_its_arguments_or_is_let_through() -> None:
    for name in BUILTIN_FUNCTIONS:
        assert {one.code for one in check(f"{name}(A, 1, 2, 3, 4, 5)")} <= {"arguments", "name-clash"}


TERMS = """
A B C T GATE NAME B_buf A_age gain mean rate ( ) [ ]
, + - * / % ** < == = && and or not if else 'x' 1 1e9 . lambda : { }
@ # \\ é ; ! __a__ 9999999999 f'x' ...
"""
words = st.lists(st.sampled_from([*TERMS.split(), "\n", "\t", "\x00"]), max_size=30)


@settings(max_examples=300, deadline=2000)
@given(st.one_of(words.map(" ".join), words.map("".join), st.text(max_size=60)), st.randoms())
def test_any_expression_gives_findings_and_no_error(expression: str, chance: random.Random) -> None:
    text = {"transforms": [{"output": "T", "expression": expression}]}
    rules = {"rules": [{"id": "a", "condition": expression, "actuators": {"F": 1}}]}
    ports = {
        "inputs": {"A": {"link": "X:A"}, "B": {"buffer_size": 3}},
        "outputs": {"T": {}, "F": {"link": "X:F"}},
    }
    loaded = parse_config(json.dumps({**text, **rules, "arguments": ports}), "c.json")
    for finding in check_logic(loaded, certain=chance.random() < 0.5):
        assert finding.where.line in (0, 1)
        assert finding.message
        str(finding)


GOOD_WORDS = TERMS.replace("GATE NAME", "GATE FLAG T_ok").replace("'x'", "POINT").split()


@settings(max_examples=200, deadline=2000)
@given(st.lists(st.sampled_from(GOOD_WORDS), min_size=1, max_size=9).map(" ".join))
def test_what_is_accepted_compiles_and_what_compiles_is_accepted(expression: str) -> None:
    loaded = load(rule(f"condition: {json.dumps(expression)}, outputs: {{R: 1}}"))
    refused = any(one.level is Level.ERROR and one.code in COMPILING for one in check_logic(loaded))
    try:
        Program.compile(spec_of(loaded))
    except BadInput:
        assert refused
    else:
        assert not refused


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 3000,
        "A" + "+A" * 1900,
        "-" * 3900 + "A",
        "not " * 900 + "A",
        "[" * 90 + "]" * 90,
        "9" * 3900,
        "A<" * 1900 + "A",
    ],
)
def test_monstrous_expressions_are_refused_quickly(expression: str) -> None:
    begin = time.process_time()
    assert {one.code for one in check(expression)} == {"expression"}
    assert time.process_time() - begin < 1
