"""Where a running host answers, as it records it in its state directory for clients of the same machine."""

from __future__ import annotations

from dataclasses import dataclass

ENDPOINT_FILE = "endpoint.json"
TOKEN_FILE = "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Address and process of a running host.

    `started` is the kernel's start time of the process in clock ticks since boot (0 when unknown), so that
    another process that got the same pid later is not taken for the host.
    """

    url: str
    pid: int
    started: int = 0


def process_started(pid: int) -> int:
    """Start time of a living process in clock ticks since boot; 0 when there is none or it is not known."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
