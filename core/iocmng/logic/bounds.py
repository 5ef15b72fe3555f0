"""Arithmetic of bounded cost and size, in place of the operators that could fill memory or take minutes."""

from __future__ import annotations

from typing import Any

MAX_BITS = 1024
"""Whole numbers beyond this many bits are refused: no double holds them."""

MAX_ELEMENTS = 1_000_000
MAX_TEXT = 65_536

_LIMIT = 1 << MAX_BITS
_SEQUENCES = (str, bytes, bytearray, list, tuple)


def multiply(left: Any, right: Any) -> Any:
    """Return the product of numbers and arrays.

    Raises:
        TypeError: One of them is a text or a list, which Python would repeat.
        OverflowError: The whole number that results has more than `MAX_BITS` bits.
    """
    if type(left) is float or type(right) is float:
        return left * right
    if isinstance(left, _SEQUENCES) or isinstance(right, _SEQUENCES):
        raise TypeError(f"cannot multiply {type(left).__name__} by {type(right).__name__}")
    return bounded_int(left * right)


def remainder(left: Any, right: Any) -> Any:
    """Return left % right of numbers and arrays.

    Raises:
        TypeError: The left one is a text, which Python would format.
        ZeroDivisionError: The right one is zero.
    """
    if type(left) is not float and isinstance(left, (str, bytes, bytearray)):
        raise TypeError(f"cannot take the remainder of {type(left).__name__}")
    return left % right


def power(base: Any, exponent: Any, modulus: Any = None) -> Any:
    """Return base to the power of exponent, modulo `modulus` when given.

    Raises:
        OverflowError: The whole number that results would have more than `MAX_BITS` bits.
        ValueError: The result is no real number.
    """
    if modulus is not None:
        return pow(base, exponent, modulus)
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() > 1 and exponent > 0:
        # An n-bit number to the power of e has more than (n - 1) · e bits.
        if (base.bit_length() - 1) * exponent > MAX_BITS:
            raise OverflowError(f"a whole number to the power of {exponent} has more than {MAX_BITS} bits")
        return bounded_int(base**exponent)
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"pow({base}, {exponent}) is not a real number")
    return result


def bounded_int(value: Any) -> Any:
    """Return `value`, unless it is a whole number of more than `MAX_BITS` bits.

    Raises:
        OverflowError: It is one.
    """
    if type(value) is int and not -_LIMIT < value < _LIMIT:
        raise OverflowError(f"a whole number with more than {MAX_BITS} bits")
    return value


def bounded_result(value: Any) -> Any:
    """Return the result of an expression, unless it is too large to keep or to publish.

    Raises:
        OverflowError: A whole number, text or list is larger than the limits of this module.
    """
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise OverflowError(f"a text of {len(value)} characters, at most {MAX_TEXT} are allowed")
    elif isinstance(value, (list, tuple)) and len(value) > MAX_ELEMENTS:
        raise OverflowError(f"a list of {len(value)} elements, at most {MAX_ELEMENTS} are allowed")
    return bounded_int(value)
