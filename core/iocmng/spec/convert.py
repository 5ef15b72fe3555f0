"""Turn what an author writes into what a record holds when nothing is lost; else say port, type and value."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Sequence
from typing import Any

from iocmng import names
from iocmng.spec.record import RecordSpec
from iocmng.values import DType, PortType, Value

MAX_ELEMENT = 39
_INT32 = 2**31
_INT64 = 2**63
_EXACT = 2**53
_NARROW = frozenset({"longin", "longout"})


def convert(record: RecordSpec, value: object) -> Value:
    """Return `value` as `record` holds it: float, int, bool, str, index of an enum, or a numpy array.

    Accepted is what converts without loss: numpy scalars and arrays, bool and int for a float, a whole float
    for an int, 0 and 1 for a bool, a label for an enum or bool. NaN and infinities stay floats. Arrays are
    copied; float64 elements are rounded to a float32 array.

    Raises:
        TypeError: None, or a type that cannot become the record's.
        ValueError: A value that does not fit: out of range, unknown label, text or array too long, a fraction
            for an int.
    """
    return _CONVERTERS[record.type](record, value)


def _name(record: RecordSpec) -> str:
    return record.port or record.name


def _wrong_type(record: RecordSpec, value: object) -> TypeError:
    needs = {
        PortType.FLOAT: "a number",
        PortType.INT: "a whole number",
        PortType.BOOL: "a bool",
        PortType.STRING: "text",
        PortType.ENUM: "an index or a label",
        PortType.ARRAY: f"a sequence of {record.dtype or DType.FLOAT64}",
    }[record.type]
    return TypeError(
        f"{_name(record)} ({record.type}) needs {needs}; got {type(value).__name__} {reprlib.repr(value)}"
    )


def _misfit(record: RecordSpec, value: object, why: str) -> ValueError:
    return ValueError(f"{_name(record)} ({record.type}): {reprlib.repr(value)} {why}")


def _scalar(record: RecordSpec, value: object) -> bool | int | float | str:
    """The plain Python scalar of `value`; numpy's scalars and arrays without dimension have `item`."""
    if isinstance(value, (bool, int, float, str)):
        return value
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        inner = item()
        if isinstance(inner, (bool, int, float, str)):
            return inner
    raise _wrong_type(record, value)


def _float(record: RecordSpec, value: object) -> Value:
    if type(value) is float:
        return value
    scalar = _scalar(record, value)
    if isinstance(scalar, str):
        raise _wrong_type(record, value)
    if isinstance(scalar, int) and not -_EXACT <= scalar <= _EXACT:
        try:
            exact = int(float(scalar)) == scalar
        except OverflowError:
            exact = False
        if not exact:
            raise _misfit(record, value, "has more digits than a float64 holds")
    return float(scalar)


def _whole(record: RecordSpec, value: object) -> int:
    scalar = _scalar(record, value)
    if isinstance(scalar, str):
        raise _wrong_type(record, value)
    if isinstance(scalar, float):
        if not math.isfinite(scalar) or scalar != int(scalar):
            raise _misfit(record, value, "is not a whole number")
        return int(scalar)
    return int(scalar)


def _int(record: RecordSpec, value: object) -> Value:
    whole = value if type(value) is int else _whole(record, value)
    limit = _INT32 if record.record_type in _NARROW else _INT64
    if not -limit <= whole < limit:
        bits = "32 bits (a low, high or alarm limit beyond makes it 64)" if limit == _INT32 else "64 bits"
        raise _misfit(record, value, f"does not fit the {bits}")
    return whole


def _label(record: RecordSpec, value: str) -> int:
    try:
        return record.labels.index(value)
    except ValueError:
        hint = names.did_you_mean(value, record.labels)
        raise _misfit(record, value, f"is no label; {hint}") from None


def _bool(record: RecordSpec, value: object) -> Value:
    if type(value) is bool:
        return value
    if isinstance(value, str):
        return bool(_label(record, str(value)))
    whole = _whole(record, value)
    if whole not in (0, 1):
        raise _misfit(record, value, "is neither 0 nor 1")
    return bool(whole)


def _enum(record: RecordSpec, value: object) -> Value:
    if isinstance(value, str):
        return _label(record, str(value))
    index = _whole(record, value)
    if not 0 <= index < len(record.labels):
        raise _misfit(record, value, f"is no index of its {len(record.labels)} labels")
    return index


def _string(record: RecordSpec, value: object) -> Value:
    text = str(value) if isinstance(value, str) else _scalar(record, value)
    if not isinstance(text, str):
        raise _wrong_type(record, value)
    return _fitting(record, text, record.length)


def _fitting(record: RecordSpec, text: str, longest: int) -> str:
    if "\0" in text:
        raise _misfit(record, text, "holds a NUL character")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise _misfit(record, text, "holds a lone surrogate, which is no text") from None
    if size > longest:
        raise _misfit(record, text, f"has {size} bytes, at most {longest} fit")
    return text


def _array(record: RecordSpec, value: object) -> Value:
    import numpy as np

    if isinstance(value, (str, bytes)) or not (
        isinstance(value, (Sequence, np.ndarray)) or hasattr(value, "__array__")
    ):
        raise _wrong_type(record, value)
    try:
        given: Any = np.asarray(value)
    except ValueError as error:
        raise _misfit(record, value, f"is no array: {error}") from None
    if given.ndim != 1:
        raise _misfit(record, value, f"has {given.ndim} dimensions, a record holds one")
    if len(given) > record.length:
        raise _misfit(record, value, f"has {len(given)} elements, at most {record.length} fit")
    dtype = record.dtype or DType.FLOAT64
    if not len(given):
        return np.empty(0, dtype="U39" if dtype is DType.STRING else dtype.value)
    if dtype is DType.STRING:
        if given.dtype.kind != "U":
            raise _wrong_type(record, value)
        return np.array([_fitting(record, str(text), MAX_ELEMENT) for text in given], dtype="U39")
    if given.dtype.kind not in "biuf":
        raise _wrong_type(record, value)
    return _cast(record, value, given, np.dtype(dtype.value))


def _cast(record: RecordSpec, value: object, given: Any, dtype: Any) -> Value:
    import numpy as np

    if given.dtype == dtype or np.can_cast(given.dtype, dtype, "safe"):
        return np.array(given, dtype=dtype)
    with np.errstate(all="ignore"):
        made = given.astype(dtype)
        if dtype.kind == "f":
            fits = bool(np.all(np.isfinite(made) == np.isfinite(given)))
        else:
            fits = bool(np.all(made == given)) and bool(np.all((made < 0) == (given < 0)))
    if not fits:
        raise _misfit(record, value, f"has elements that do not fit {dtype.name}")
    return np.array(made)


_CONVERTERS: dict[PortType, Callable[[RecordSpec, object], Value]] = {
    PortType.FLOAT: _float,
    PortType.INT: _int,
    PortType.BOOL: _bool,
    PortType.STRING: _string,
    PortType.ENUM: _enum,
    PortType.ARRAY: _array,
}
