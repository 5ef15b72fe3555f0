"""`iocmng list` in a cold process, against a process that only imports what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from hosts import HostProcess, instances, program, workplace
from table import Row, sample, show

INSTANCES = 20
RUNS = 20
IMPORTS = [sys.executable, "-c", "import typer, httpx, rich.table; httpx.Client()"]


def timed(command: list[str], environment: Mapping[str, str]) -> float:
    """Milliseconds of a whole process."""
    begun = time.monotonic()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return (time.monotonic() - begun) * 1e3


def rows(runs: int) -> list[Row]:
    """Measure in turn."""
    with workplace() as place:
        host = HostProcess(
            place, "list", {"only_listed": True, "instances": instances("bench-cycle", INSTANCES)}
        )
        host.start(instances=INSTANCES)
        environment = {
            **os.environ,
            "IOCMNG_URL": host.url,
            "IOCMNG_STATE_DIR": host.environment["IOCMNG_STATE_DIR"],
        }
        plain, as_json, bare = [], [], []
        for number in range(runs + 1):
            taken = (
                timed([*program(), "list"], environment),
                timed(IMPORTS, environment),
                timed([*program(), "list", "--json"], environment),
            )
            if number:
                for column, value in zip((plain, bare, as_json), taken, strict=True):
                    column.append(value)
        host.stop()
    against, yardstick = "python that imports typer, httpx, rich.table", sample(bare, "ms")
    return [
        Row(f"`iocmng list`, {INSTANCES} instances", sample(plain, "ms"), against, yardstick, 1.3),
        Row(f"`iocmng list --json`, {INSTANCES} instances", sample(as_json, "ms"), against, yardstick, 1.3),
    ]


if __name__ == "__main__":
    show("iocmng list", rows(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
