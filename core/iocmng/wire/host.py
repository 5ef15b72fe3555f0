"""What the world sees of the host, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """Roles of the admin endpoint, each includes the ones before it."""

    NONE = "none"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Position in the order of the roles."""
        return list(Role).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """The host: `state` is HOST:STATE's word, `uptime` in seconds, `cpu` in % of one core, `memory` in MiB (RSS)."""

    prefix: str
    name: str
    state: str
    version: str
    hostname: str
    pid: int
    boot_id: str
    url: str
    uptime: float
    started: float
    instances: int
    running: int
    failed: int
    degraded: int
    cpu: float = 0.0
    memory: float = 0.0
    python: str = ""
    ca_port: int = 0
    pva_port: int = 0
    records: int = 0
    state_dir: str = ""
    message: str = ""
    default_prefix: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An RFC 9457 problem with our code and hint; the seeds' fields ride along on their paths."""

    title: str
    status: int
    code: str
    detail: str
    hint: str = ""
    instance: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
