"""The third truth value: unknown, and why."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

SHOWN_CAUSES = 3


class Unknown:
    """What an expression gives that the known inputs do not decide.

    Attributes:
        causes: Why, each short and beginning with the name of what is unknown or failed.
        failed: All inputs it depends on are known and it cannot be computed all the same.
        nan: It is unknown because the value is NaN, and for no other reason.
    """

    __slots__ = ("causes", "failed", "nan")

    def __init__(self, causes: tuple[str, ...], *, failed: bool = False, nan: bool = False) -> None:
        self.causes = causes
        self.failed = failed
        self.nan = nan

    def __repr__(self) -> str:
        return f"Unknown({str(self)!r})"

    def __str__(self) -> str:
        shown = ", ".join(self.causes[:SHOWN_CAUSES])
        return f"{shown}, …" if len(self.causes) > SHOWN_CAUSES else shown

    def __bool__(self) -> bool:
        # Unknown is not false: code that forgets to ask must not go on.
        raise TypeError(f"unknown has no truth value: {self}")


def merged(unknowns: Iterable[Unknown]) -> Unknown:
    """Return one unknown for several (at least one)."""
    first, *rest = unknowns
    if not rest:
        return first
    every = (first, *rest)
    causes = tuple(dict.fromkeys(cause for one in every for cause in one.causes))
    return Unknown(causes, failed=all(one.failed for one in every))


def failure(error: Exception, what: str = "") -> Unknown:
    """Return the unknown for an expression that raised; `what` is the text of the term that did."""
    text = str(error).partition("\n")[0]
    if not text or isinstance(error, NameError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Unknown((f"{text} in {what}" if what else text,), failed=True)


def is_nan(value: Any) -> bool:
    """Whether `value` is a NaN, or a list or array that holds one."""
    if isinstance(value, float):
        return value != value
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, float) and math.isnan(item) for item in value)
    if hasattr(value, "dtype") and value.dtype.kind == "f":
        # The sum of an array is NaN when an element is, or when both infinities are among them.
        return bool(value.size) and bool((value != value).any())
    return False
