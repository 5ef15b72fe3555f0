"""What 1,000 idle instances at 1 Hz cost: CPU, memory and lateness, against as many bare threads."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
from hosts import HostProcess, instances, workplace
from lateness import gathered, percentiles, thread_times
from table import Row, Sample, sample, show

COUNT = 1000
INTERVAL = 1.0
SECONDS = 20.0
SETTLE = 5.0


def host_cost(place: Path, name: str, count: int) -> tuple[float, float, float]:
    """CPU in % of one core, resident MiB, and p99 lateness in ms of a host with so many instances."""
    out = place / f"times-{time.monotonic_ns()}"
    out.mkdir()
    listed = instances("bench-cycle", count, interval=INTERVAL, out=str(out))
    host = HostProcess(place, name, {"only_listed": True, "instances": listed})
    host.start(instances=count)
    assert host.process is not None
    process = psutil.Process(host.process.pid)
    time.sleep(SETTLE)
    begun, before = time.monotonic(), process.cpu_times()
    time.sleep(SECONDS)
    after, ended = process.cpu_times(), time.monotonic()
    memory = process.memory_info().rss / 2**20
    host.stop()
    used = (after.user + after.system - before.user - before.system) / (ended - begun) * 100
    late = percentiles(gathered(out, INTERVAL, (begun, ended)))[1] * 1e3 if count else 0.0
    return used, memory, late


def thread_cost(place: Path) -> tuple[float, float, float]:
    """The same of bare threads, memory in KiB for each."""
    out = place / f"times-{time.monotonic_ns()}"
    out.mkdir()
    cost = thread_times(out, COUNT, INTERVAL, SECONDS)
    late = percentiles(gathered(out, INTERVAL, cost["window"]))[1] * 1e3
    return cost["cpu"], cost["memory"], late


def rows(runs: int) -> list[Row]:
    """Measure in turn: full host, empty host, threads."""
    full, empty, bare = [], [], []
    with workplace() as place:
        for _ in range(runs):
            full.append(host_cost(place, "full", COUNT))
            empty.append(host_cost(place, "empty", 0))
            bare.append(thread_cost(place))

    def column(taken: list[tuple[float, float, float]], index: int, unit: str) -> Sample:
        return sample((run[index] for run in taken), unit)

    each = sample(((one[1] - none[1]) * 1024 / COUNT for one, none in zip(full, empty, strict=True)), "KiB")
    what = f"{COUNT:,} idle instances at {1 / INTERVAL:g} Hz"
    threads = f"{COUNT:,} bare threads"
    return [
        Row(f"{what}: CPU", column(full, 0, "% of a core"), threads, column(bare, 0, "%"), 2.5),
        Row(f"{what}: p99 lateness", column(full, 2, "ms"), threads, column(bare, 2, "ms")),
        Row(f"{what}: memory of one", each, "one bare thread", column(bare, 1, "KiB")),
        Row(f"{what}: memory of the host", column(full, 1, "MiB"), "empty host", column(empty, 1, "MiB")),
        Row("a host without instances: CPU", column(empty, 0, "% of a core")),
    ]


if __name__ == "__main__":
    show("idle cost", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
