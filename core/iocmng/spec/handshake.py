"""The handshake of a bridge task: which records of another IOC it answers, and how it is watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from iocmng.names import Provider

BEAT = 1.0
"""Seconds between two heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeSpec:
    """What a config says of the records of another IOC.

    Attributes:
        prefixes: Text for each `{name}` in the templates of PV names.
        records: Templates of PV names that differ from the interface's, by its attributes.
        poll_rate: Seconds between two calls of a `trigger()` of the author's; None for the class's.
        max_stall_limit: Seconds of a cycle without progress after which the heartbeat stops, at least.
        max_stuck_cycles: Heartbeats that may fail or be withheld in a row.
        provider: Provider of PVs without a scheme.
    """

    prefixes: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    poll_rate: float | None = None
    max_stall_limit: float = 10.0
    max_stuck_cycles: int = 15
    provider: Provider = Provider.PVA

    def stall_limit(self, poll_rate: float) -> float:
        """Seconds without progress after which the heartbeat stops."""
        return max(4 * poll_rate, self.max_stall_limit)

    @property
    def stuck_after(self) -> float:
        """Seconds without progress after which `max_stuck_cycles` heartbeats have been withheld."""
        return self.stall_limit(self.poll_rate or 1.0) + self.max_stuck_cycles * BEAT
