"""Expressions: the allow-list, positions, bounds, and agreement with Python on what is allowed."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocmng.logic import Expression, ExpressionError, compile_expression, get_registry
from iocmng.logic.parsing import MAX_DEPTH, MAX_LENGTH, MAX_NODES

FUNCTIONS = get_registry()
NAMES = ("a", "b", "c")


def compiled(text: str) -> Expression:
    return compile_expression(text, functions=FUNCTIONS)


def refused(text: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compiled(text)
    return caught.value


class TestAllowed:
    def test_names_and_functions_are_told(self):
        expression = compiled("mean(p_buf) > limit and not (p < 0 or clamp(t, 0, 1) == 1)")
        assert expression.names == {"p_buf", "limit", "p", "t"}
        assert expression.functions == {"mean", "clamp"}
        assert str(expression.position("limit")) == "1:15"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1 < a < 3", True),
            ("a if b else c", 2),
            ("-a + +b", 3),
            ("[a, b]", [2, 5]),
            ("(a, b)", (2, 5)),
            ("last([1, 2, 3], n=2)", [2, 3]),
            ("'on' == 'on'", True),
            ("None == None", True),
            ("a % b", 2),
            ("7 / a", 3.5),
            ("a * b * 0.5", 5.0),
            ("  a\n  + b ", 7),
            ("(a,\n b)", (2, 5)),
        ],
    )
    def test_values(self, text, expected):
        assert compiled(text).evaluate({"a": 2, "b": 5, "c": 7}) == expected

    def test_a_variable_never_hides_a_function(self):
        assert compiled("mean(mean)").evaluate({"mean": [1, 3]}) == 2.0

    def test_functions_are_no_values(self):
        with pytest.raises(NameError, match="mean"):
            compiled("any_of(mean, 0)").evaluate({})

    def test_the_tree_can_be_walked_and_is_as_written(self):
        import ast

        tree = compiled("a * 2 > b").tree
        assert ast.unparse(tree) == "a * 2 > b"

    def test_arrays_are_values(self):
        assert compiled("max(a) - min(a)").evaluate({"a": np.array([1.5, 4.0])}) == 2.5
        assert list(compiled("a * 2").evaluate({"a": np.array([1.0, 2.0])})) == [2.0, 4.0]

    def test_undeclared_names_come_with_position_and_suggestion(self):
        (error,) = compiled("pressure > 5 and\n  presure < 9").undeclared({"pressure", "flow"})
        assert (error.position.line, error.position.column, error.fragment) == (2, 3, "presure")
        assert "'pressure'" in error.hint
        assert compiled("pressure > 5").undeclared(["pressure"]) == ()


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "place", "fragment", "reason"),
        [
            ("a + b.c", "1:5", "b.c", "attribute"),
            ("a and b[0] > 1", "1:7", "b[0]", "subscript"),
            ("a ** 2", "1:1", "a ** 2", "pow"),
            ("a // 2", "1:1", "a // 2", "floor"),
            ("not a & b", "1:5", "a & b", "use and"),
            ("~a", "1:1", "~a", "use not"),
            ("a in b", "1:1", "a in b", "operator in"),
            ("a is None", "1:1", "a is None", "use =="),
            ("1 + (lambda: 0)", "1:6", "lambda: 0", "lambda"),
            ("[x for x in a]", "1:1", "[x for x in a]", "comprehension"),
            ("max(x for x in a)", "1:4", "(x for x in a)", "comprehension"),
            ("(y := 1)", "1:2", "y := 1", "assignment"),
            ("f'{a}'", "1:1", "f'{a}'", "formatted"),
            ("{1: 2}", "1:1", "{1: 2}", "dictionary"),
            ("{1, 2}", "1:1", "{1, 2}", "set"),
            ("mean(*a)", "1:6", "*a", "unpacking"),
            ("mean(**a)", "1:6", "**a", "unpacking"),
            ("a.b(1)", "1:1", "a.b(1)", "direct calls"),
            ("mean(a)(b)", "1:1", "mean(a)(b)", "direct calls"),
            ("1j", "1:1", "1j", "complex"),
            ("b'x'", "1:1", "b'x'", "bytes"),
            ("...", "1:1", "...", "ellipsis"),
            ("a + __builtins__", "1:5", "__builtins__", "underscores"),
            ("'ab' * 3", "1:1", "'ab' * 3", "repetition"),
            ("3 * [0]", "1:1", "3 * [0]", "repetition"),
            ("'%99d' % a", "1:1", "'%99d' % a", "formatting"),
            ("a > 1 and mena(b)", "1:11", "mena", "not registered"),
            ("open('x')", "1:1", "open", "not registered"),
            ("\n\n   é + x.y", "3:8", "x.y", "attribute"),
            ("a >\n b.c", "2:2", "b.c", "attribute"),
        ],
    )
    def test_place_text_and_reason(self, text, place, fragment, reason):
        error = refused(text)
        assert (str(error.position), error.fragment) == (place, fragment)
        assert reason in error.reason
        assert not error.syntax
        assert f"{place}: " in str(error)

    @pytest.mark.parametrize(
        ("text", "line", "column"),
        [("a >", 1, 4), ("a b", 1, 3), ("", 1, 1), ("  ", 1, 1), ("1) + (2", 1, 2), ("a and\nb ! c", 2, 3)],
    )
    def test_grammar(self, text, line, column):
        error = refused(text)
        assert error.syntax
        assert error.position.line == line
        assert error.position.column <= column

    def test_brackets_that_close_what_they_did_not_open(self):
        assert refused("a)\n + (b").syntax
        assert "brackets" in refused("a) + (\nb").reason

    def test_an_unknown_function_comes_with_a_suggestion(self):
        assert "'mean'" in refused("meen(a)").hint

    @pytest.mark.parametrize(
        "text",
        [
            "a" * (MAX_LENGTH + 1),
            "(" * 150 + "a" + ")" * 150 + " +" + "-" * (MAX_DEPTH + 5) + "1",
            "-" * 3900 + "1",
            "not " * 900 + "a",
            "[" * 190 + "]" * 190,
            ",".join(["1"] * (MAX_NODES + 1)),
            "9" * 400,
            "a\x00b",
            "\ud800",
            "mean(" * 150 + "a" + ")" * 150,
        ],
    )
    def test_too_much_is_refused_quickly(self, text):
        start = time.monotonic()
        refused(text)
        assert time.monotonic() - start < 2.0

    def test_long_sums_are_not_nested(self):
        assert compiled(" + ".join(["a"] * 150)).evaluate({"a": 2}) == 300

    def test_refused_also_deep_in_the_stack(self):
        def deeper(levels: int) -> ExpressionError:
            if levels:
                return deeper(levels - 1)
            return refused(" + ".join(["z"] * 199))

        assert "deep" in deeper(sys.getrecursionlimit() - 400).reason


class TestBounded:
    @pytest.mark.parametrize(
        ("text", "variables", "error"),
        [
            ("a * b", {"a": "x", "b": 10**9}, TypeError),
            ("a * b", {"a": 10**9, "b": [0]}, TypeError),
            ("a * b", {"a": np.int64(10**9), "b": [0]}, TypeError),
            ("a * b", {"a": True, "b": (0,)}, TypeError),
            ("a % b", {"a": "%1000000000d", "b": 5}, TypeError),
            ("a * a * a", {"a": 1 << 500}, OverflowError),
            ("pow(pow(9, 99), 99)", {}, OverflowError),
            ("a + a", {"a": 1 << 1023}, OverflowError),
            ("a + a", {"a": "x" * 40_000}, OverflowError),
            ("1 / a", {"a": 0}, ZeroDivisionError),
            ("a % 0", {"a": 1}, ZeroDivisionError),
            ("a > 1", {"a": "text"}, TypeError),
            ("a > 1", {}, NameError),
        ],
    )
    def test_an_error_instead_of_a_value(self, text, variables, error):
        with pytest.raises(error):
            compiled(text).evaluate(variables)


def _join(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda filled: template.format(*filled))


def _expressions() -> st.SearchStrategy[str]:
    leaf = st.one_of(
        st.sampled_from(NAMES),
        st.integers(0, 1000).map(str),
        st.floats(0, 1e6).map(repr),
        st.sampled_from(["True", "False"]),
    )
    binary = st.sampled_from(["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "and", "or"])

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            _join("({} {} {})", inner, binary, inner),
            _join("{} {} {}", inner, binary, inner),
            _join("(not {})", inner),
            _join("(-{})", inner),
            _join("({} if {} else {})", inner, inner, inner),
            _join("({} < {} <= {})", inner, inner, inner),
            _join("max({}, {})", inner, inner),
            _join("clamp({}, {}, {})", inner, inner, inner),
            _join("abs({})", inner),
        )

    return st.recursive(leaf, grow, max_leaves=12)


VALUES = st.one_of(st.integers(-100, 100), st.floats(-1e3, 1e3), st.booleans(), st.just(float("nan")))


@given(_expressions(), st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES)))
@settings(max_examples=150, deadline=None)
def test_what_is_allowed_means_what_python_means(text, variables):
    try:
        expected = eval(text, {"__builtins__": {}, **FUNCTIONS}, dict(variables))
    except ArithmeticError as error:
        with pytest.raises(type(error)):
            compiled(text).evaluate(variables)
        return
    result = compiled(text).evaluate(variables)
    assert repr(result) == repr(expected)


SIGNS = "( ) [ ] { } , . : := = ** * % + - ~ / // < == @ # \\ ' 1 2.5 't' 1j ... b'x' é"
WORDS = "and or not if else in is lambda for await yield mean max __class__ __import__ f'{a}'"
TOKENS = st.sampled_from(
    [
        *NAMES,
        *SIGNS.split(),
        *WORDS.split(),
        "\n",
        "\x00",
        "9" * 50,
    ]
)


@given(st.one_of(st.lists(TOKENS, max_size=25).map(" ".join), st.text(max_size=60)))
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_any_text_is_an_expression_or_an_error_with_a_place(text):
    try:
        expression = compiled(text)
    except ExpressionError as refusal:
        place, fragment = refusal.position, refusal.fragment
    else:
        _evaluates_or_fails_cleanly(expression)
        return
    lines = text.split("\n")
    assert 1 <= place.line <= len(lines)
    assert 1 <= place.column <= len(lines[place.line - 1]) + 1
    assert fragment in text


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "().__class__.__bases__[0].__subclasses__()",
        "mean.__globals__",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "f'{mean.__globals__}'",
        "'{0.__class__}'.format(1)",
        "getattr(a, 'x')",
        "eval('1')",
        "exec('import os')",
        "max(a, key=print)",
        "min(*[1])",
        "abs(**{})",
        "(a := 1)",
        "print",
        "__builtins__",
        "a if (yield) else b",
        "globals()",
        "type(a)",
        "mean(a).real",
        "1 .__class__",
        "sorted(a)",
        "range(10)",
        "vars()",
        "`ls`",
    ],
)
def test_there_is_no_way_out(text):
    try:
        expression = compiled(text)
    except ExpressionError:
        return
    with pytest.raises((NameError, TypeError)):
        expression.evaluate({"a": 1.0, "b": 2.0})


def _evaluates_or_fails_cleanly(expression: Expression) -> None:
    assert not any(name.startswith("__") for name in expression.names)
    variables = dict.fromkeys(expression.names, 1.5)
    try:
        result = expression.evaluate(variables)
    except (ArithmeticError, ValueError, TypeError):
        return
    assert isinstance(result, (float, int, bool, str, list, tuple, type(None)))


def test_numpy_is_not_imported_for_plain_values():
    code = (
        "import sys; from iocmng.logic.safe_eval import safe_eval; "
        "assert safe_eval('mean(a) > 1', {'a': [1, 2]}); assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
