"""From exec to ready with 1,000 instances of one plugin, against a bare softioc host with as many records."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from hosts import HERE, HostProcess, Ports, cpu_seconds, epics_environment, instances, workplace
from table import Row, sample, show

COUNT = 1000


def bare_start(place: Path, records: int) -> tuple[float, float]:
    """Seconds from exec to serving of a bare softioc with so many records, and its CPU seconds until then."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "bare_ioc.py"), str(records), str(place)],
        env={**os.environ, **epics_environment(Ports.free())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        for line in process.stdout:
            if line == b"serving\n":
                break
        taken = time.monotonic() - begun
        cpu = cpu_seconds(process.pid)
        process.stdin.close()
        process.wait(30)
    return taken, cpu


def rows(runs: int) -> list[Row]:
    """Measure the first start after an install, then cached starts and bare ones in turn."""
    with workplace() as place:
        listed = instances("bench-cycle", COUNT)
        site = {"only_listed": True, "instances": listed}
        first, cached, cpu, bare, stops = [], [], [], [], []
        for number in range(runs):
            fresh = HostProcess(place, f"fresh{number}", site)
            first.append(fresh.start(instances=COUNT))
            fresh.stop()
        host = HostProcess(place, "fresh0", site)
        for _ in range(runs):
            cached.append(host.start(instances=COUNT))
            cpu.append(host.cpu_to_ready)
            records = host.get("/api/v1/host")["records"]
            stops.append(host.stop())
            bare.append(bare_start(place, records))
        empty_host = HostProcess(place, "none", {"only_listed": True})
        empty = [(empty_host.start(instances=0), empty_host.stop())[0] for _ in range(runs)]
        bare_empty = [bare_start(place, 10) for _ in range(runs)]
    what = f"start to ready, {COUNT:,} instances ({records:,} records)"
    against = f"bare softioc, {records:,} records"
    walls, bare_cpu = (sample(column, "s") for column in zip(*bare, strict=True))
    bare_walls = sample((wall for wall, _ in bare_empty), "s")
    return [
        Row(f"{what}, validation cached", sample(cached, "s"), against, walls, 3.0),
        Row("of that, CPU", sample(cpu, "s"), against, bare_cpu),
        Row(f"{what}, first after an install", sample(first, "s"), against, walls),
        Row("start to ready without instances", sample(empty, "s"), "bare softioc", bare_walls),
        Row(f"stop with {COUNT:,} instances", sample(stops, "s")),
    ]


if __name__ == "__main__":
    show("start", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
