"""How late cycles begin, of 100 tasks at 10 Hz, alone and beside a busy one, against bare threads."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hosts import HERE, HostProcess, instances, workplace
from table import Row, sample, show

TASKS = 100
INTERVAL = 0.1
SETTLE = 3.0
SECONDS = 20.0


def lateness(times: Sequence[float], interval: float) -> list[float]:
    """Seconds that each cycle began after it was due.

    Due times are whole intervals apart; their phase is that of the least late cycle, so the figure says
    nothing about a delay that every cycle shares.
    """
    offsets = [(moment - times[0]) % interval for moment in times]
    # The first cycle may itself be late: fold phases that lie just before it.
    phases = [offset - interval if offset > interval / 2 else offset for offset in offsets]
    earliest = min(phases)
    return [phase - earliest for phase in phases]


def percentiles(late: Sequence[float]) -> tuple[float, float, float]:
    """p50, p99 and maximum."""
    ordered = sorted(late)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1]


def gathered(directory: Path, interval: float, window: Sequence[float]) -> list[float]:
    """Lateness of all cycles within a window of the monotonic clock, of all tasks that wrote their times.

    Starting and stopping many tasks at once is another matter: the window leaves it out.
    """
    begin, end = window
    late: list[float] = []
    for path in directory.glob("*.json"):
        times = [moment for moment in json.loads(path.read_text()) if begin <= moment <= end]
        if times:
            late += lateness(times, interval)
    return late


def thread_times(
    out: Path, count: int, interval: float, seconds: float, *, busy: bool = False
) -> dict[str, Any]:
    """Run bare threads that write their times to `out`; their figures and the window that counts."""
    arguments = [str(count), str(interval), str(seconds), str(out), *(["busy"] if busy else [])]
    done = subprocess.run(
        [sys.executable, str(HERE / "threads.py"), *arguments], check=True, capture_output=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def in_host(place: Path, *, busy: bool) -> list[float]:
    """Lateness of the tasks of one host."""
    out = place / f"times-{time.monotonic_ns()}"
    out.mkdir()
    listed = instances("bench-cycle", TASKS, interval=INTERVAL, out=str(out))
    if busy:
        listed.append({"plugin": "bench-busy", "name": "bench-busy", "prefix": "BUSY"})
    host = HostProcess(place, "late", {"only_listed": True, "instances": listed})
    host.start(instances=len(listed))
    time.sleep(SETTLE)
    begun = time.monotonic()
    time.sleep(SECONDS)
    window = (begun, time.monotonic())
    host.stop()
    return gathered(out, INTERVAL, window)


def in_threads(place: Path, *, busy: bool) -> list[float]:
    """Lateness of bare threads that keep the same rate."""
    out = place / f"times-{time.monotonic_ns()}"
    out.mkdir()
    window = thread_times(out, TASKS, INTERVAL, SECONDS, busy=busy)["window"]
    return gathered(out, INTERVAL, window)


def rows(runs: int) -> list[Row]:
    """Measure in turn, host and threads."""
    made = []
    with workplace() as place:
        for busy in (False, True):
            ours = [percentiles(in_host(place, busy=busy)) for _ in range(runs)]
            bare = [percentiles(in_threads(place, busy=busy)) for _ in range(runs)]
            beside = "beside a busy one" if busy else "alone"
            for index, figure in enumerate(("p50", "p99", "max")):
                made.append(
                    Row(
                        f"lateness of {TASKS} tasks at {1 / INTERVAL:g} Hz, {beside}: {figure}",
                        sample((run[index] * 1e3 for run in ours), "ms"),
                        "bare threads",
                        sample((run[index] * 1e3 for run in bare), "ms"),
                    )
                )
    return made


if __name__ == "__main__":
    show("cycle lateness", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
