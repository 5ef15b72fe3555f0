"""Kills a host at random moments: the next one knows every run, and nothing of the dead one stays."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import psutil
from hosts import own_world
from soak.program import DEADLINE, PREFIX, until
from soak.world import instances, write_world
from support.started import Started, started

STEPS = 60
"""Of the longest run, at 50 ms each."""


def crash(home: Path, kills: int, seed: int) -> Counter[str]:
    """Kill the host so often; returns the outcomes of the runs that were under way or just over.

    Raises:
        AssertionError: A run is forgotten or never over, a process stays, or a task does not run again.
    """
    environment = {**own_world(home), **write_world(home)}
    chance = random.Random(seed)
    runs: set[str] = set()
    family: list[psutil.Process] = []
    for left in range(kills, -1, -1):
        with started(home, PREFIX, env=environment) as host:
            for name, plugin in instances().items():
                if plugin not in ("job", "script"):
                    host.reaches(name, "RUN", DEADLINE)
            outcomes = look(host, runs, family)
            if not left:
                assert host.host.stop() == 0
                break
            runs |= begin(host, chance)
            time.sleep(chance.uniform(0.2, 1.5))
            family = psutil.Process(host.host.process.pid).children(recursive=True)
            host.host.process.kill()
            host.host.process.wait(DEADLINE)
    return outcomes


def begin(host: Started, chance: random.Random) -> set[str]:
    """Start one run of every job and script, of any length."""
    names = [name for name, plugin in instances().items() if plugin in ("job", "script")]
    return {host.client.jobs[name].start(STEPS=chance.randint(1, STEPS)).id for name in names}


def look(host: Started, runs: set[str], family: list[psutil.Process]) -> Counter[str]:
    """See what has become of what a dead host was at."""
    until(
        lambda: all(host.client.run(run).over for run in runs),
        lambda: f"not over: {[run for run in runs if not host.client.run(run).over]}",
    )
    found = Counter(host.client.run(run).state.name for run in runs)
    assert set(found) <= {"SUCCESS", "LOST"}, found
    until(lambda: not alive(family), lambda: f"left behind: {alive(family)}")
    return found


def alive(family: list[psutil.Process]) -> list[int]:
    """Processes that have not ended; a number that another process has got since is none of them."""
    return [one.pid for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
