"""Numbers that JSON has no word for, found where data is handed over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def nonfinite(thing: Any, path: str = "data") -> str:
    """Where in nested data the first NaN or infinity stands and what it is, "" when there is none.

    Args:
        thing: Numbers, texts, arrays, mappings and lists of them; anything else counts as finite.
        path: What the whole is called.
    """
    if isinstance(thing, float):
        return "" if math.isfinite(thing) else f"{path} is {thing}"
    if isinstance(thing, Mapping):
        return next(filter(None, (nonfinite(value, f"{path}.{key}") for key, value in thing.items())), "")
    if isinstance(thing, (list, tuple)):
        return next(
            filter(None, (nonfinite(value, f"{path}[{index}]") for index, value in enumerate(thing))), ""
        )
    if hasattr(thing, "tolist"):
        return nonfinite(thing.tolist(), path)
    return ""
