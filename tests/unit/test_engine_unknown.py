"""Three-valued evaluation of single expressions, and that it agrees with plain evaluation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.logic_spec import Bench, instance, port

from iocmng.logic import Samples, compile_expression, get_registry
from iocmng.logic.formula import Formula, guarded
from iocmng.logic.kleene import Kinds
from iocmng.logic.unknown import Unknown
from iocmng.spec import OnInvalid, RuleSpec
from iocmng.values import Reading

FUNCTIONS = guarded(get_registry())
KINDS = Kinds(booleans=frozenset({"flag", "other"}), lists=frozenset({"wave"}))
UNKNOWNS = ("u", "v", "flag", "wave")
KNOWN = {"a": 2.0, "b": 5.0, "zero": 0, "other": True, "text": "x", "items": [1, 0]}


class Given:
    """What a formula needs of variables."""

    def __init__(self, known: dict[str, Any], unknown: dict[str, Unknown]) -> None:
        self.values = known
        self.unknown = unknown
        self.odd = set(unknown)


def unknowns() -> dict[str, Unknown]:
    made = {name: Unknown((f"{name} (not connected)",)) for name in UNKNOWNS}
    return {**made, "nan": Unknown(("nan (NaN)",), nan=True), "inf_": Unknown(("x",))}


def result(text: str, *, truth: bool = False) -> Any:
    formula = Formula(compile_expression(text, functions=FUNCTIONS), FUNCTIONS, KINDS, truth=truth)
    return formula.result(Given(KNOWN, unknowns()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u > 1 or a > 1", True),
        ("a > 1 or u > 1", True),
        ("u > 1 and a > 3", False),
        ("not (u > 1 and a > 3)", True),
        ("a < u < 1 or b == 5", True),
        ("b < a < u", False),
        ("flag or other", True),
        ("u or a", True),
        ("u and zero", False),
        ("any_of(u, a)", True),
        ("any_of([u, a])", True),
        ("any_of(wave, [0, a])", True),
        ("all_of(u, zero)", False),
        ("all_of(items, u)", False),
        ("at_least(1, u, a)", True),
        ("at_least(3, u, a)", False),
        ("at_least(3, u, a, items)", None),
        ("at_least(2, wave, zero)", None),
        ("at_least(2, wave > 1, zero)", None),
        ("at_least(2, u > 1, zero)", False),
        ("at_least(u, a, b)", None),
        ("(a > 1 if u > 1 else b > 1)", True),
        ("(a > 1 if u > 1 else b > 9)", None),
        ("(u if a > 1 else b) > 0", None),
        ("(a if a > 1 else u) > 0", True),
        ("isfinite(nan)", False),
        ("isfinite(u)", None),
        ("isfinite(a)", True),
        ("u == u", None),
        ("u * 0 == 0", None),
        ("1 / zero > 1 or a > 1", True),
        ("a > 1 and 1 / zero > 1", None),
        ("zero != 0 and 1 / zero > 1", False),
        ("count_true(u, a) > 0", None),
        ("text", None),
        ("text == 'x'", True),
        ("u > 1 or text", None),
        ("wave", None),
    ],
)
def test_conditions(text, expected):
    found = result(text, truth=True)
    if expected is None:
        assert isinstance(found, Unknown)
    else:
        assert found is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(u > 1 or a > 1) + 1", 2),
        ("(u or a) + 1", None),
        ("(flag or other) + 1", 2),
        ("(u > 1 and zero) + 1", None),
        ("a if u > 1 else a", 2.0),
        ("a if u > 1 else b", None),
        ("True if u > 1 else 1", None),
        ("min(u, a)", None),
        ("[u, a]", None),
        ("mean([a, b])", 3.5),
        ("clamp(u, 0, 1)", None),
        ("last([a, b], n=u)", None),
        ("last([a, b], n=1)", [5.0]),
    ],
)
def test_values(text, expected):
    found = result(text)
    if expected is None:
        assert isinstance(found, Unknown)
    else:
        assert found == expected
        assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "words", "failed"),
    [
        ("u > 1 and v > 1", "u (not connected), v (not connected)", False),
        ("1 / zero", "division by zero in 1 / zero", True),
        ("u / zero", "u (not connected)", False),
        ("u + 1 / zero", "u (not connected), division by zero in 1 / zero", False),
        ("1e400 - 1e400", "is NaN", True),
        ("sqrt(-a)", "math domain error in sqrt(-a)", True),
    ],
)
def test_causes(text, words, failed):
    found = result(text)
    assert isinstance(found, Unknown)
    assert words in str(found)
    assert found.failed is failed


def test_many_causes_are_cut_short():
    assert str(Unknown(("a", "b", "c", "d"))) == "a, b, c, …"


def test_unknown_is_not_false():
    with pytest.raises(TypeError, match="no truth value"):
        bool(Unknown(("t (not connected)",)))


LEAF = st.sampled_from(["a", "b", "c", "0", "1", "2.5", "True"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "-", "*", "/", "%", "<", "==", "and", "or"]),
            inner,
        ),
        st.builds("(not {})".format, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({} < {} <= {})".format, inner, inner, inner),
        st.builds("max({}, {})".format, inner, inner),
        st.builds("any_of({}, [{}])".format, inner, inner),
        st.builds("at_least({}, {})".format, inner, inner),
        st.builds("sqrt({})".format, inner),
    )


EXPRESSION = st.recursive(LEAF, _grow, max_leaves=8)
NUMBER = st.one_of(st.integers(-3, 3), st.sampled_from([0.0, 0.5, -1.5, math.inf]), st.booleans())


@given(EXPRESSION, NUMBER, NUMBER, NUMBER)
@settings(max_examples=80)
def test_with_all_known_it_is_what_plain_evaluation_gives(text, a, b, c):
    expression = compile_expression(text, functions=FUNCTIONS)
    values = {"a": a, "b": b, "c": c}
    slow = Formula(expression, FUNCTIONS, Kinds()).result_of_last(Given(values, {}))  # type: ignore[arg-type]
    try:
        plain = expression.evaluate(values)
    except (ArithmeticError, ValueError):
        # Short of the failing term the rest may decide, whatever the order.
        return
    if isinstance(slow, Unknown):
        assert slow.failed
        assert "NaN" in str(slow) or math.inf in values.values()
    else:
        assert repr(slow) == repr(plain)


@given(EXPRESSION, NUMBER, NUMBER, st.sets(st.sampled_from("abc")))
@settings(max_examples=80)
def test_what_is_decided_holds_whatever_the_unknown_is(text, one, other, missing):
    formula = Formula(compile_expression(text, functions=FUNCTIONS), FUNCTIONS, Kinds(), truth=True)
    values = {"a": one, "b": other, "c": 1.0}
    hidden = {name: Unknown((name,)) for name in missing}
    decided = formula.result(Given({k: v for k, v in values.items() if k not in hidden}, hidden))  # type: ignore[arg-type]
    if isinstance(decided, Unknown):
        return
    for guess in (0, 1, -2.5, True):
        found = formula.result_of_last(Given({**values, **dict.fromkeys(missing, guess)}, {}))  # type: ignore[arg-type]
        assert isinstance(found, Unknown) or found is decided


class Odd:
    """What a registered function or a careless source may give."""

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.floats(), max_size=3),
    st.lists(st.floats(), max_size=3).map(np.array),
    st.lists(st.text(max_size=2), max_size=3).map(np.array),
    st.builds(Odd),
)
TEXTS = (
    "p > 1 or q > 1", "p + q", "[p, q]", "max(p, q) if p else q", "p * q % 3", "any_of(p, [q])", "at_least(q, p, p)",
    "mean(p_buf) > 1", "rate(p_buf) + p_age", "odd(p)", "odd(p) > q", "p == q", "not p", "p_ok and p", "isfinite(p)",
)  # fmt: skip


@given(
    st.sampled_from(TEXTS),
    st.sampled_from(["float", "int", "bool", "enum", "string", "array"]),
    st.lists(st.tuples(ANYTHING, ANYTHING), min_size=1, max_size=4),
)
@settings(max_examples=80)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
def test_whatever_comes_a_step_does_not_raise(text, kind, history):
    ports = (
        port("p", kind, labels=("A", "B"), link=True, buffer_size=3),
        port("q", "array", link=True),
        port("y", kind, labels=("A", "B")),
        port("trip", "bool"),
    )
    rules = (
        RuleSpec(
            id="r", condition=text, clear_when=text, outputs={"trip": True}, on_invalid=OnInvalid.IGNORE
        ),
    )
    functions = {**get_registry(), "odd": lambda value: Odd() if value else value}
    one = Bench(instance(*ports, rules=rules, transforms={"y": text}), functions=functions)
    for now, (p, q) in enumerate(history):
        one.buffers["p"] = Samples([p, q], [now, now + 1])
        one.ages["p"] = float(now)
        one.step(now, p=Reading(p), q=Reading(q))
        one.views()
