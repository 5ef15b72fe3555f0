"""Measured numbers of one instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsView:
    """Numbers of an instance: `duration` of its last cycle or run in seconds, what its `metrics()` said."""

    name: str
    duration: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
