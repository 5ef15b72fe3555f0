"""`safe_eval` and the import paths of iocmng 2.x."""

from __future__ import annotations

import pytest

from iocmng.core.functions import get_registry, register
from iocmng.core.safe_eval import safe_eval
from iocmng.logic import functions


def test_values_and_functions():
    assert safe_eval("chlrfd == 0 and llrf1 == 1", {"chlrfd": 0, "llrf1": 1}) is True
    assert safe_eval("mean(signal_buf) > 0.5", {"signal_buf": [0.1, 0.9, 0.9]}) is True
    assert safe_eval("twice(x)", {"x": 3}, {"twice": lambda value: 2 * value}) == 6


def test_extra_functions_win_over_registered_ones():
    assert safe_eval("mean(x)", {"x": [1, 2]}, {"mean": len}) == 2
    assert safe_eval("mean(x)", {"x": [1, 2]}) == 1.5


def test_a_registered_function_is_known_at_once(monkeypatch):
    monkeypatch.setattr(functions, "_registry", get_registry())
    register("tripled", lambda value: 3 * value)
    assert safe_eval("tripled(x)", {"x": 2}) == 6


@pytest.mark.parametrize(
    "text",
    [
        "x.real",
        "x[0]",
        "().__class__",
        "lambda: 1",
        "[i for i in x]",
        "f'{x}'",
        "__builtins__",
        "x ** 2",
        "x is None",
    ],
)
def test_unsafe_expressions(text):
    with pytest.raises(ValueError, match="Unsafe expression"):
        safe_eval(text, {"x": 1})


def test_unregistered_function():
    with pytest.raises(ValueError, match=r"Unsafe expression.*not registered"):
        safe_eval("open('x')", {})


def test_grammar_and_missing_names():
    with pytest.raises(SyntaxError):
        safe_eval("x >", {"x": 1})
    with pytest.raises(NameError, match="'y'"):
        safe_eval("y > 1", {"x": 1})
