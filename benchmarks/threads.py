"""The yardstick for cycles: bare threads at a fixed rate.

Run `python benchmarks/threads.py COUNT INTERVAL SECONDS DIRECTORY [busy]`.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path


def memory() -> float:
    """Resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def cycle(interval: float, ending: threading.Event, times: list[float]) -> None:
    """Note the time at a fixed rate."""
    due = time.monotonic()
    while not ending.is_set():
        times.append(time.monotonic())
        due += interval
        time.sleep(max(due - time.monotonic(), 0))


def compute(ending: threading.Event) -> None:
    """Hold the interpreter as long as it is let."""
    value = 0
    while not ending.is_set():
        for _ in range(100_000):
            value = (value * 1103515245 + 12345) % 2147483648


def main() -> None:
    """Run the threads, print CPU in % of a core, KiB per thread and the time that counts; write all times."""
    count, interval, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    directory = Path(sys.argv[4])
    ending = threading.Event()
    times: list[list[float]] = [[] for _ in range(count)]
    before = memory()
    threads = [threading.Thread(target=cycle, args=(interval, ending, each)) for each in times]
    if sys.argv[5:]:
        threads.append(threading.Thread(target=compute, args=(ending,)))
    for number, thread in enumerate(threads):
        # Spread over the interval, as instances that are started one after the other are.
        thread.start()
        time.sleep(interval / count if number < count else 0)
    time.sleep(1)
    begun, cpu = time.monotonic(), time.process_time()
    time.sleep(seconds)
    ended = time.monotonic()
    used = (time.process_time() - cpu) / (ended - begun) * 100
    cost = {"cpu": used, "memory": (memory() - before) * 1024 / count, "window": (begun, ended)}
    print(json.dumps(cost))
    ending.set()
    for thread in threads:
        thread.join()
    for number, each in enumerate(times):
        (directory / f"{number}.json").write_text(json.dumps(each))


if __name__ == "__main__":
    main()
