"""What happened: the one event model that PVs, HTTP streams, logs and hooks listen to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """Kinds of events."""

    STATE = "state"
    MESSAGE = "message"
    DEGRADED = "degraded"
    PARAMETER = "parameter"
    PUT = "put"
    RUN = "run"
    AUDIT = "audit"
    HOST = "host"
    LOG = "log"
    LOGIC = "logic"
    INSTALL = "install"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, and by which way: `pv`, `http`, `cli`, `host` or `supervisor`."""

    user: str = ""
    origin: str = ""
    via: str = "host"

    def __str__(self) -> str:
        who = f"{self.user}@{self.origin}" if self.origin else self.user
        return f"{who} ({self.via})" if who else self.via


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` rises by one within a boot, `time` is seconds since 1970-01-01 UTC."""

    id: int
    time: float
    kind: EventKind
    instance: str = ""
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    actor: Actor = Actor()
