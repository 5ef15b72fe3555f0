"""Watches PVs over CA: `python benchmarks/watch_client.py SECONDS NAME…` prints when each one changed, as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from typing import Any

import epics
import epicscorelibs.path.pyepics  # noqa: F401 - one libca in the process

PATIENCE = 60.0


def main() -> None:
    """Subscribe, wait until all are there, gather for so long."""
    seconds, names = float(sys.argv[1]), sys.argv[2:]
    events: dict[str, list[float]] = defaultdict(list)

    def changed(pvname: str = "", **_: Any) -> None:
        events[pvname].append(time.monotonic())

    kept = [epics.PV(name, auto_monitor=True, callback=changed) for name in names]
    for pv in kept:
        if not pv.wait_for_connection(PATIENCE):
            raise TimeoutError(f"{pv.pvname} is not there")
    begun = time.monotonic()
    time.sleep(seconds)
    ended = time.monotonic()
    print(json.dumps({name: [at for at in list(events[name]) if begun <= at <= ended] for name in names}))


if __name__ == "__main__":
    main()
