"""Values convert when nothing is lost, and are refused with port, type and value when something would be."""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.values import DType, PortType

LABELS = ("Off", "Ramping", "On")
RECORDS = {
    PortType.FLOAT: RecordSpec(name="P:F", port="F", type=PortType.FLOAT, record_type="ai"),
    PortType.INT: RecordSpec(name="P:I", port="I", type=PortType.INT, record_type="longin"),
    PortType.BOOL: RecordSpec(
        name="P:B", port="B", type=PortType.BOOL, record_type="bi", labels=("Off", "On")
    ),
    PortType.STRING: RecordSpec(name="P:S", port="S", type=PortType.STRING, record_type="stringin", length=5),
    PortType.ENUM: RecordSpec(name="P:E", port="E", type=PortType.ENUM, record_type="mbbi", labels=LABELS),
    PortType.ARRAY: RecordSpec(
        name="P:A", port="A", type=PortType.ARRAY, record_type="waveform", length=4, dtype=DType.FLOAT64
    ),
}
WIDE = RecordSpec(name="P:W", port="W", type=PortType.INT, record_type="int64in")


class Level(enum.IntEnum):
    HIGH = 2


def array(dtype: DType, length: int = 4) -> RecordSpec:
    return RecordSpec(
        name="P:A", port="A", type=PortType.ARRAY, record_type="waveform", length=length, dtype=dtype
    )


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        ("float", 1.5, 1.5),
        ("float", 3, 3.0),
        ("float", True, 1.0),
        ("float", np.float32(0.5), 0.5),
        ("float", np.int64(7), 7.0),
        ("float", np.array(2.5), 2.5),
        ("float", 2**60, float(2**60)),
        ("float", math.inf, math.inf),
        ("float", np.float64(-math.inf), -math.inf),
        ("int", 3, 3),
        ("int", 3.0, 3),
        ("int", True, 1),
        ("int", np.uint8(200), 200),
        ("int", -(2**31), -(2**31)),
        ("int", Level.HIGH, 2),
        ("bool", True, True),
        ("bool", 0, False),
        ("bool", 1.0, True),
        ("bool", np.bool_(True), True),
        ("bool", "On", True),
        ("string", "abc", "abc"),
        ("string", np.str_("abc"), "abc"),
        ("string", "", ""),
        ("enum", 2, 2),
        ("enum", "Ramping", 1),
        ("enum", np.int16(0), 0),
        ("enum", Level.HIGH, 2),
    ],
)
def test_what_fits(kind: str, value: object, held: object) -> None:
    made = convert(RECORDS[PortType(kind)], value)
    assert made == held
    assert type(made) is type(held)


def test_nan_stays_nan() -> None:
    made = convert(RECORDS[PortType.FLOAT], np.float32("nan"))
    assert isinstance(made, float)
    assert math.isnan(made)


@pytest.mark.parametrize("kind", list(PortType))
@pytest.mark.parametrize("value", [None, b"abc", object(), {"a": 1}, {1}, 1j], ids=lambda v: type(v).__name__)
def test_types_that_fit_nothing(kind: PortType, value: object) -> None:
    record = RECORDS[kind]
    with pytest.raises(TypeError) as refusal:
        convert(record, value)
    assert record.port in str(refusal.value)
    assert kind.value in str(refusal.value)
    assert type(value).__name__ in str(refusal.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("float", "1.5"), ("float", [1.0]), ("int", "3"), ("int", np.array([3])), ("bool", []), ("string", 5),
     ("string", True), ("enum", [1]), ("array", 3.0), ("array", "abc"), ("array", ["a"]),
     ("array", [None, 1.0]), ("array", [1j])],
)  # fmt: skip
def test_wrong_types(kind: str, value: object) -> None:
    with pytest.raises(TypeError, match=RECORDS[PortType(kind)].port):
        convert(RECORDS[PortType(kind)], value)


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("float", 2**53 + 1, "digits"),
        pytest.param("float", 10**400, "digits", id="huge"),
        ("int", 3.5, "whole"),
        ("int", math.nan, "whole"),
        ("int", math.inf, "whole"),
        ("int", 2**31, "32 bits"),
        ("bool", 2, "neither 0 nor 1"),
        ("bool", "Onn", "did you mean 'On'"),
        ("string", "abcdef", "6 bytes, at most 5"),
        ("string", "ééé", "6 bytes"),
        ("string", "a\0b", "NUL"),
        ("string", "\ud800", "surrogate"),
        ("enum", 3, "no index"),
        ("enum", -1, "no index"),
        ("enum", 0.5, "whole"),
        ("enum", "Of", "did you mean 'Off'"),
        ("array", [1.0] * 5, "5 elements, at most 4"),
        ("array", [[1.0, 2.0], [3.0, 4.0]], "2 dimensions"),
        ("array", np.float64(3.0), "0 dimensions"),
        ("array", [[1.0], [2.0, 3.0]], "no array"),
    ],
)
def test_what_does_not_fit(kind: str, value: object, says: str) -> None:
    record = RECORDS[PortType(kind)]
    with pytest.raises(ValueError, match=says) as refusal:
        convert(record, value)
    assert record.port in str(refusal.value)
    assert kind in str(refusal.value)


def test_64_bits() -> None:
    assert convert(WIDE, 2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match="64 bits"):
        convert(WIDE, 2**63)


@pytest.mark.parametrize("dtype", [dtype for dtype in DType if dtype is not DType.STRING])
def test_arrays_of_every_element_type(dtype: DType) -> None:
    made: Any = convert(array(dtype), [0, 1, 100])
    assert made.dtype == np.dtype(dtype.value)
    assert made.tolist() == [0, 1, 100]
    empty: Any = convert(array(dtype), [])
    assert empty.dtype == np.dtype(dtype.value)
    assert len(empty) == 0


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (DType.INT8, [128]),
        (DType.UINT8, [-1]),
        (DType.UINT64, [-1]),
        (DType.INT32, [2**31]),
        (DType.INT64, [1.5]),
        (DType.INT32, [math.nan]),
        (DType.INT32, [math.inf]),
        (DType.FLOAT32, [1e300]),
        (DType.INT64, np.array([2**64 - 1], dtype="uint64")),
    ],
)
def test_elements_that_do_not_fit(dtype: DType, value: object) -> None:
    with pytest.raises(ValueError, match=dtype.value):
        convert(array(dtype), value)


def test_floats_are_rounded_to_float32_and_keep_nan() -> None:
    made: Any = convert(array(DType.FLOAT32), [0.1, math.nan, math.inf])
    assert made[0] == np.float32(0.1)
    assert math.isnan(made[1])
    assert math.isinf(made[2])


def test_an_array_is_a_copy() -> None:
    given_array = np.array([1.0, 2.0])
    made: Any = convert(array(DType.FLOAT64), given_array)
    given_array[0] = 9.0
    assert made[0] == 1.0


def test_arrays_of_text() -> None:
    made: Any = convert(array(DType.STRING), ["a", "bc"])
    assert made.tolist() == ["a", "bc"]
    with pytest.raises(ValueError, match="40 bytes"):
        convert(array(DType.STRING), ["x" * 40])
    with pytest.raises(TypeError):
        convert(array(DType.STRING), [1, 2])


@given(st.floats(allow_nan=False) | st.integers(-(2**53), 2**53))
def test_floats_lose_nothing(value: float) -> None:
    assert convert(RECORDS[PortType.FLOAT], value) == value


ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.lists(st.integers() | st.floats() | st.text(), max_size=6)
)  # fmt: skip


@given(ANYTHING)
@pytest.mark.parametrize("kind", list(PortType))
def test_nothing_but_type_and_value_errors(kind: PortType, value: object) -> None:
    try:
        convert(RECORDS[kind], value)
    except (TypeError, ValueError) as refusal:
        said = str(refusal)
    else:
        said = RECORDS[kind].port
    assert RECORDS[kind].port in said
