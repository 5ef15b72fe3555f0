"""The functions that expressions may call, and the registry that plugins add theirs to."""

from __future__ import annotations

import itertools
import keyword
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from iocmng.logic.bounds import bounded_int, power
from iocmng.logic.samples import Samples, as_list

Function = Callable[..., Any]

_registry: dict[str, Function] = {}


def register(name: str, callable: Function) -> None:
    """Let expressions call `callable` as `name`; an earlier function of that name is replaced.

    Args:
        name: A Python identifier.
        callable: Gets the values of its arguments; it must be quick and must not block.

    Raises:
        ValueError: `name` is no identifier, a keyword, or begins with two underscores.
        TypeError: `callable` cannot be called.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("__"):
        raise ValueError(f"function name {name!r} is not an identifier that an expression can call")
    if not hasattr(callable, "__call__"):  # noqa: B004 - the argument hides the builtin of that name
        raise TypeError(f"function {name!r} is a {type(callable).__name__}, which cannot be called")
    _registry[name] = callable


def get_registry() -> dict[str, Function]:
    """Return a copy of the functions registered so far, by name."""
    return dict(_registry)


def restore(registry: Mapping[str, Function]) -> None:
    """Make the registry what `get_registry` returned earlier."""
    # Never empty in between: expressions are compiled on other threads.
    _registry.update(registry)
    for name in _registry.keys() - registry.keys():
        del _registry[name]


def _round(value: Any, digits: int | None = None) -> Any:
    # round(5, -10**9) of Python computes ten to the power of a milliard first.
    return round(value, None if digits is None else max(-400, min(400, int(digits))))


def _clamp(value: Any, low: Any, high: Any) -> Any:
    return max(low, min(high, value))


def _mean(values: Any) -> Any:
    items = as_list(values)
    return sum(items) / len(items) if items else 0.0


def _variance(values: Any) -> Any:
    items = as_list(values)
    if len(items) < 2:
        return 0.0
    centre = sum(items) / len(items)
    return sum((item - centre) ** 2 for item in items) / len(items)


def _std(values: Any) -> Any:
    return math.sqrt(_variance(values))


def _median(values: Any) -> Any:
    items = sorted(as_list(values))
    if not items:
        return 0.0
    middle = len(items) // 2
    return items[middle] if len(items) % 2 else (items[middle - 1] + items[middle]) / 2.0


def _rms(values: Any) -> Any:
    items = as_list(values)
    return math.sqrt(sum(item**2 for item in items) / len(items)) if items else 0.0


def _extreme(choose: Callable[[Iterable[Any]], Any]) -> Function:
    def extreme(*values: Any, default: Any = 0.0) -> Any:
        items = _elements(values)
        return choose(items) if items else default

    return extreme


def _elements(values: Iterable[Any]) -> list[Any]:
    return [item for value in values for item in as_list(value)]


def _any_of(*values: Any) -> bool:
    return any(_elements(values))


def _all_of(*values: Any) -> bool:
    return all(_elements(values))


def _count_true(*values: Any) -> int:
    return sum(1 for item in _elements(values) if item)


def _at_least(n: Any, *values: Any) -> bool:
    return bool(_count_true(*values) >= n)


def _length(values: Any) -> int:
    return len(as_list(values))


def _sum_of(values: Any) -> Any:
    return bounded_int(sum(as_list(values)))


def _diff(values: Any) -> list[Any]:
    items = as_list(values)
    return [after - before for before, after in itertools.pairwise(items)]


def _last(values: Any, n: Any = 1) -> list[Any]:
    count = int(n)
    return as_list(values)[-count:] if count > 0 else []


def _latest(values: Any) -> Any:
    items = as_list(values)
    if not items:
        raise ValueError("latest() of an empty buffer")
    return items[-1]


def _moving_avg(values: Any, window: Any = None) -> Any:
    return _mean(values if window is None else _last(values, window))


def _rate(values: Any) -> float:
    if not isinstance(values, Samples):
        raise TypeError(f"rate() needs a buffer, which knows its times, not {type(values).__name__}")
    if len(values) < 2 or values.times[-1] <= values.times[0]:
        return 0.0
    return float((values[-1] - values[0]) / (values.times[-1] - values.times[0]))


def _isfinite(values: Any) -> bool:
    return all(math.isfinite(item) for item in as_list(values))


_registry.update(
    abs=abs,
    round=_round,
    sqrt=math.sqrt,
    log=math.log,
    exp=math.exp,
    pow=power,
    floor=math.floor,
    ceil=math.ceil,
    clamp=_clamp,
    mean=_mean,
    std=_std,
    variance=_variance,
    median=_median,
    rms=_rms,
    min=_extreme(min),
    max=_extreme(max),
    any_of=_any_of,
    all_of=_all_of,
    count_true=_count_true,
    at_least=_at_least,
    length=_length,
    sum_of=_sum_of,
    diff=_diff,
    derivative=_diff,
    last=_last,
    latest=_latest,
    moving_avg=_moving_avg,
    rate=_rate,
    isfinite=_isfinite,
)

BUILTINS: Mapping[str, Function] = MappingProxyType(dict(_registry))
"""The functions of this module by name, whatever has been registered in their place."""

BUILTIN_FUNCTIONS = frozenset(BUILTINS)
