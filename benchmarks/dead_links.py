"""Cycles and reactions of a polling task with 8 dead links beside a live one, against the previous system's package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from hosts import HERE, HostProcess, Ports, epics_environment, workplace
from peers import NativeIoc, Previous, declarative, previous_environment
from reaction import measured, rule
from table import Row, sample, show

DEAD = 8
INTERVAL = 0.5
TIMEOUT = 0.5
SECONDS = 30.0
SAMPLES = 4
SOURCE = "".join(
    f'record(ao, "SRC:{name}") {{ field(VAL, "0") field(PINI, "YES") }}\n' for name in ("OURS", "OLD")
)
OURS, OLD = "BENCH:DEAD:POLL", "OLD"


def config(link: str, dead: int) -> dict[str, object]:
    """A task that polls one live PV and so many that do not exist, over PVA as by default.

    Over CA the previous system waits 5 s for each dead one, whatever `timeout` says.
    """
    made = rule(link, "", interval=INTERVAL, timeout=TIMEOUT, pva=True)
    inputs = {f"D{number}": {"type": "float", "link": f"NOWHERE:D{number}"} for number in range(dead)}
    arguments = made["arguments"]
    assert isinstance(arguments, dict)
    return {**made, "arguments": {**arguments, "inputs": {**arguments["inputs"], **inputs}}}


def cycles(names: tuple[str, ...], reach: tuple[Ports, ...]) -> list[float]:
    """Seconds between the cycles of these tasks."""
    counters = [f"{name}:CYCLE_COUNT" for name in names]
    done = subprocess.run(
        [sys.executable, str(HERE / "watch_client.py"), str(SECONDS), *counters],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **epics_environment(Ports.free(), *reach)},
    )
    times = json.loads(done.stdout)
    # One that did not end a cycle at all took longer than the whole time.
    return [
        (times[name][-1] - times[name][0]) / (len(times[name]) - 1) if len(times[name]) > 1 else SECONDS
        for name in counters
    ]


def one_run(place: Path, python: Path) -> tuple[list[float], list[float]]:
    """Cycle time and largest reaction time, ours and theirs."""
    source = NativeIoc(place, "source", SOURCE)
    listed = [{"plugin": "dead-links", "name": "dead-links", "prefix": "POLL"}]
    host = HostProcess(place, "dead", {"only_listed": True, "instances": listed}, reach=(source.ports,))
    old = Previous(place, python, {OLD: config("SRC:OLD", DEAD)}, (source.ports,))
    try:
        host.start(instances=1)
        reach = (source.ports, host.ports, old.ports)
        taken = cycles((OURS, OLD), reach)
        chains = [
            {"name": name, "put": f"SRC:{put}", "seen": f"{seen}:OUT", "pause": 1.0, "rising": True}
            for name, put, seen in (("ours", "OURS", OURS), ("old", "OLD", OLD))
        ]
        times = measured(chains, reach, SAMPLES, 2)
        return taken, [max(times["ours"]), max(times["old"])]
    finally:
        host.stop()
        old.stop()
        source.stop()


def rows(runs: int) -> list[Row]:
    """Measure so many times and compare."""
    with workplace() as place:
        declarative(place, "bench-dead", {"dead-links": config("SRC:OURS", DEAD)})
        python = previous_environment(place)
        found = [one_run(place, python) for _ in range(runs)]
    what = f"{INTERVAL:g} s cycle with {DEAD} dead links, timeout {TIMEOUT:g} s"
    return [
        Row(
            f"{what}: {figure}",
            sample((run[index][0] for run in found), "s"),
            "iocmng 2.7.9",
            sample((run[index][1] for run in found), "s"),
        )
        for index, figure in enumerate(("one cycle", "longest reaction to the live input"))
    ]


if __name__ == "__main__":
    show("dead links", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
