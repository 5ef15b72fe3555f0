"""Measured numbers: of one instance, and of the packages that add to the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsView:
    """Numbers of an instance: `duration` of its last cycle or run in seconds, what its `metrics()` said.

    `evaluations` of its logic in the present run, and `unknown` results among those of its rules and transforms.
    """

    name: str
    duration: float = 0.0
    values: Mapping[str, float] = field(default_factory=dict)
    evaluations: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteMetrics:
    """What packages with hooks add to the metrics, and how they behave; everything by the package's name.

    Attributes:
        values: Its own numbers by metric name.
        failures: How often its hooks failed.
        dropped: Events that it was too slow for.
    """

    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
