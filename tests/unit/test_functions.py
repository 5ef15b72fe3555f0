"""The functions of expressions: one meaning for scalars, lists, tuples and arrays."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.logic import BUILTIN_FUNCTIONS, Samples, get_registry, register
from iocmng.logic import functions as module

CALLS = get_registry()

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def test_every_function_of_the_reference_is_there():
    named = """abs round sqrt log exp pow floor ceil clamp mean std variance median rms min max any_of all_of
    count_true length sum_of diff last moving_avg derivative latest at_least rate isfinite"""
    assert set(named.split()) == BUILTIN_FUNCTIONS


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("clamp", (7, 0, 5), 5),
        ("clamp", (-1, 0, 5), 0),
        ("round", (2.567, 1), 2.6),
        ("round", (2.5,), 2),
        ("mean", ([],), 0.0),
        ("mean", (3,), 3.0),
        ("std", ([4],), 0.0),
        ("variance", ([1, 3],), 1.0),
        ("median", ([5, 1, 3],), 3),
        ("median", ([4, 1, 3, 2],), 2.5),
        ("rms", ([3, 4, 0, 0],), 2.5),
        ("min", (3, 1, 2), 1),
        ("max", ([3, 9, 2], 4), 9),
        ("max", ([],), 0.0),
        ("max", (5,), 5),
        ("any_of", (0, [0, 1]), True),
        ("any_of", ([0, 0],), False),
        ("all_of", (1, [1, 1]), True),
        ("all_of", ([1, 0], 1), False),
        ("count_true", ([1, 0, 1], True, 0), 3),
        ("at_least", (2, 1, 0, 1), True),
        ("at_least", (3, [1, 0, 1]), False),
        ("length", ([1, 2, 3],), 3),
        ("length", ("text",), 1),
        ("sum_of", ([1, 2, 3],), 6),
        ("diff", ([1, 4, 9],), [3, 5]),
        ("derivative", ([1, 4, 9],), [3, 5]),
        ("last", ([1, 2, 3],), [3]),
        ("last", ([1, 2, 3], 2), [2, 3]),
        ("last", ([1, 2, 3], 0), []),
        ("latest", ([1, 2, 3],), 3),
        ("moving_avg", ([1, 2, 3, 6], 2), 4.5),
        ("moving_avg", ([1, 2, 3, 6],), 3.0),
        ("isfinite", (1.0,), True),
        ("isfinite", ([1.0, math.nan],), False),
        ("pow", (2, 10), 1024),
        ("pow", (2, -1), 0.5),
        ("pow", (3, 4, 5), 1),
    ],
)
def test_results(name, arguments, expected):
    result = CALLS[name](*arguments)
    assert result == expected
    assert type(result) is type(expected)


@given(NUMBERS)
def test_lists_tuples_and_arrays_mean_the_same(values):
    for name in ("mean", "std", "variance", "median", "rms", "min", "max", "sum_of", "length", "count_true"):
        of_list = CALLS[name](values)
        assert CALLS[name](tuple(values)) == of_list
        assert CALLS[name](np.array(values)) == of_list
        assert not isinstance(CALLS[name](np.array(values)), np.generic)


@given(NUMBERS)
def test_statistics_agree_with_the_standard_library(values):
    scale = max(abs(value) for value in values) + 1
    assert CALLS["mean"](values) == pytest.approx(statistics.fmean(values), abs=1e-9 * scale)
    assert CALLS["median"](values) == pytest.approx(statistics.median(values))
    assert CALLS["variance"](values) == pytest.approx(
        statistics.pvariance(values), rel=1e-6, abs=1e-6 * scale
    )


def test_an_array_of_two_dimensions_counts_by_its_elements():
    assert CALLS["length"](np.ones((2, 3))) == 6
    assert CALLS["mean"](np.float32(2.0)) == 2.0


def test_rate_is_per_second_of_a_buffer_that_knows_its_times():
    assert CALLS["rate"](Samples([1.0, 2.0, 5.0], [10.0, 11.0, 12.0])) == 2.0
    assert CALLS["rate"](Samples([1.0], [10.0])) == 0.0
    assert CALLS["rate"](Samples([1.0, 2.0], [10.0, 10.0])) == 0.0
    with pytest.raises(TypeError, match="buffer"):
        CALLS["rate"]([1.0, 2.0])
    with pytest.raises(ValueError, match="2 values with 1 times"):
        Samples([1, 2], [0.0])


def test_latest_of_an_empty_buffer_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        CALLS["latest"]([])


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("pow", (10, 10**9), OverflowError),
        ("pow", (-8.0, 0.5), ValueError),
        ("pow", (0, -1), ZeroDivisionError),
        ("exp", (1e9,), OverflowError),
        ("sqrt", (-1,), ValueError),
        ("log", (0,), ValueError),
    ],
)
def test_what_has_no_value_or_would_take_for_ever_is_an_error(name, arguments, error):
    with pytest.raises(error):
        CALLS[name](*arguments)


def test_small_bases_and_huge_digits_stay_cheap():
    assert CALLS["pow"](1, 10**9) == 1
    assert CALLS["pow"](-1, 3) == -1
    assert CALLS["round"](5, -(10**9)) == 0
    assert CALLS["round"](5.5, 10**9) == 5.5


def test_register_adds_and_get_registry_copies(monkeypatch):
    monkeypatch.setattr(module, "_registry", dict(CALLS))
    register("twice", lambda value: 2 * value)
    assert get_registry()["twice"](4) == 8
    get_registry().clear()
    assert "twice" in get_registry()
    assert "twice" not in CALLS


@pytest.mark.parametrize("name", ["not a name", "and", "__import__", "", "1x"])
def test_register_refuses_names_that_cannot_be_called(name):
    with pytest.raises(ValueError, match="function name"):
        register(name, abs)


def test_register_refuses_what_cannot_be_called():
    with pytest.raises(TypeError, match="'answer' is a int"):
        register("answer", 42)
