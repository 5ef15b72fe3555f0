"""A ring buffer of the last values of a port, handed out as samples."""

from __future__ import annotations

from collections import deque

from iocmng.logic import Samples
from iocmng.values import Value


class Ring:
    """The last `size` values with their times; one thread adds, any thread takes samples."""

    __slots__ = ("_kept", "_samples")

    def __init__(self, size: int) -> None:
        self._kept: deque[tuple[float, Value]] = deque(maxlen=size)
        self._samples: Samples | None = None

    def add(self, value: Value, when: float) -> None:
        """Take a value in; the oldest one goes when it is full. `when` is seconds on any clock that rises."""
        self._kept.append((when, value))
        self._samples = None

    def samples(self) -> Samples:
        """All values, oldest first; the same object until another is added."""
        samples = self._samples
        if samples is None:
            kept = tuple(self._kept)
            samples = self._samples = Samples([value for _, value in kept], [when for when, _ in kept])
        return samples
