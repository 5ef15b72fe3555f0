"""What psutil knows about this machine, as plain values; nothing here knows EPICS."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

import psutil

GIB = 1024.0**3
KIB = 1024.0


@dataclass(frozen=True, slots=True)
class Usage:
    """How full something is: `percent` of it is used, `free` GiB are left."""

    percent: float
    free: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes received and sent by each network interface since the machine started."""

    received: Mapping[str, int]
    sent: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rates:
    """Interface names and, in the same order, KiB/s received and sent."""

    names: tuple[str, ...]
    received: tuple[float, ...]
    sent: tuple[float, ...]


def memory() -> Usage:
    """Main memory; what the kernel could free at once counts as free."""
    found = psutil.virtual_memory()
    return Usage(found.percent, found.available / GIB)


def disk(path: str) -> Usage:
    """The file system that holds `path`.

    Raises:
        OSError: There is no such path.
    """
    found = psutil.disk_usage(path)
    return Usage(found.percent, found.free / GIB)


def temperature(sensor: str = "") -> float | None:
    """The hottest reading in degrees Celsius, of one sensor chip or of all; None where there is none."""
    # psutil has this function only on systems where it knows how to read sensors.
    read = getattr(psutil, "sensors_temperatures", None)
    chips = read() if read else {}
    readings = [
        reading.current
        for chip, found in chips.items()
        if sensor in ("", chip)
        for reading in found
        if reading.current is not None
    ]
    return max(readings, default=None)


def traffic(ignore: Collection[str] = ()) -> Traffic:
    """Byte counters of every interface whose name matches none of the shell patterns in `ignore`."""
    counters = {
        name: found
        for name, found in psutil.net_io_counters(pernic=True).items()
        if not any(fnmatch(name, pattern) for pattern in ignore)
    }
    return Traffic(
        {name: found.bytes_recv for name, found in counters.items()},
        {name: found.bytes_sent for name, found in counters.items()},
    )


def rates(before: Traffic, after: Traffic, seconds: float, most: int) -> Rates:
    """Rates of the first `most` interfaces by name, between two looks at the counters `seconds` apart.

    An interface seen only once has none. A counter that went backwards belongs to one that came back: 0.
    """
    names = tuple(sorted(before.received.keys() & after.received.keys()))[:most]

    def rate(old: Mapping[str, int], new: Mapping[str, int]) -> tuple[float, ...]:
        return tuple(max(0.0, (new[name] - old[name]) / KIB / seconds) for name in names)

    return Rates(names, rate(before.received, after.received), rate(before.sent, after.sent))
