"""What counts as a list in expressions: lists, tuples, arrays, and buffers that know when each value came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Samples(list[Any]):
    """The values of a ring buffer, oldest first, as a list with the time of each.

    Attributes:
        times: Seconds, one for each value, rising.
    """

    __slots__ = ("times",)

    def __init__(self, values: Iterable[Any] = (), times: Iterable[float] = ()) -> None:
        super().__init__(values)
        self.times = tuple(times)
        if len(self.times) != len(self):
            raise ValueError(f"{len(self)} values with {len(self.times)} times")


def as_list(value: Any) -> list[Any]:
    """Return the elements of a list, tuple or array, and [value] for anything else (texts too).

    An array is recognised by its methods, so that numpy is not imported for those who have none.
    """
    if isinstance(value, list):
        return value
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "tolist"):
        flat = value.tolist() if getattr(value, "ndim", 1) < 2 else value.ravel().tolist()
        return flat if isinstance(flat, list) else [flat]
    return [value]
