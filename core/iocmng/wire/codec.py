"""Turn wire dataclasses into JSON-ready values and back; unknown keys are ignored, so versions can differ."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


_WORDS = {math.inf: "Infinity", -math.inf: "-Infinity"}
_AS_IT_IS = frozenset({str, int, bool, type(None)})


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else ()


def to_plain(thing: Any) -> Any:
    """Return `thing` as dicts, lists, strings and numbers that JSON can hold.

    NaN and infinities become the strings "NaN", "Infinity" and "-Infinity": JSON has no word for them.
    Arrays become lists.
    """
    cls: Any = type(thing)
    if cls in _AS_IT_IS:
        return thing
    # Exact types first: asking the abstract ones costs ten times as much, and long lists come by here.
    if cls is dict:
        return {str(key): to_plain(value) for key, value in thing.items()}
    if cls is list or cls is tuple:
        return [to_plain(item) for item in thing]
    if names := _field_names(cls):
        return {name: to_plain(getattr(thing, name)) for name in names}
    if isinstance(thing, Enum):
        return thing.name if isinstance(thing, int) else thing.value
    if isinstance(thing, float):
        return thing if math.isfinite(thing) else _WORDS.get(thing, "NaN")
    if isinstance(thing, Mapping):
        return {str(key): to_plain(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in thing]
    if hasattr(thing, "tolist"):
        return to_plain(thing.tolist())
    return thing


_NUMBER_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def revive(value: Any) -> Any:
    """Turn the words that `to_plain` made of NaN and infinities back into floats, in (nested) lists too.

    Only for values known to be numbers: a text may well say "NaN".
    """
    if isinstance(value, (list, tuple)):
        return [revive(item) for item in value]
    return _NUMBER_WORDS.get(value, value) if isinstance(value, str) else value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def from_plain(cls: type[T], data: Any) -> T:
    """Build a wire dataclass from what `to_plain` made of it.

    Raises:
        TypeError: `data` is no mapping, or a key without default is missing.
        ValueError: A word is no member of its enum.
    """
    result: T = _build(cls, data)
    return result


def _build(hint: Any, data: Any) -> Any:
    if hint is Any or hint is None or data is None:
        return data
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for option in get_args(hint):
            if option is not type(None):
                return _build(option, data)
    if origin in (tuple, list, Sequence):
        inner = get_args(hint)[0]
        return tuple(_build(inner, item) for item in data)
    if origin in (dict, Mapping):
        inner = get_args(hint)[1]
        return {key: _build(inner, item) for key, item in data.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint[data] if issubclass(hint, int) else hint(data)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if not isinstance(data, Mapping):
            raise TypeError(f"{hint.__name__} needs a mapping, got {type(data).__name__}")
        hints = _hints(hint)
        known = {field.name for field in dataclasses.fields(hint)}
        return hint(**{key: _build(hints[key], value) for key, value in data.items() if key in known})
    return data
