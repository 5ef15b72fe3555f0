"""What the world sees of a PV that may be of this host or elsewhere, and of the devices of the beamline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PvReading:
    """What a PV shows.

    `pv_name` is its name as it was asked for, `address` what that means: the full name of a PV of this host
    (`local`), else `ca://NAME` or `pva://NAME`. `type` is float, int, bool, string or array, "" without a value; an
    enum elsewhere is an int, its index. `timestamp` is seconds since 1970-01-01 UTC, 0 when there is none.
    """

    pv_name: str
    address: str
    local: bool = False
    connected: bool = True
    type: str = ""
    value: Any = None
    severity: str = "INVALID"
    status: str = "UDF"
    message: str = ""
    timestamp: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesView:
    """Names of the devices that the beamline file describes, and of those that a task or job has made."""

    available: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
