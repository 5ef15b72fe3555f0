"""Times put → monitor for several chains in turn: `python benchmarks/reaction_client.py SAMPLES BATCH < CHAINS.json`.

Each chain is {"name", "put", "seen", "pause", "rising"}: 10 and 0 are put in turn, 1 and 0 must be seen. The input is a
list of them; the output is a mapping of name to seconds. Times are taken when the library calls back, before any other
thread has to wake up.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from ctypes import byref, c_double
from typing import Any

import epics
import epicscorelibs.path.pyepics  # noqa: F401 - one libca in the process
from epics import ca

PATIENCE = 60.0
WARM_UP = 20
DBR_DOUBLE = 6


class Chain:
    """One pair of PVs."""

    def __init__(self, put: str, seen: str, pause: float, rising: bool) -> None:
        self.pause, self.rising = pause, rising
        self.times: list[float] = []
        self._wanted = -1.0
        self._arrived = threading.Event()
        self._at = 0.0
        self._value = -1.0
        self._put = epics.PV(put, auto_monitor=False)
        self._seen = epics.PV(seen, auto_monitor=True, callback=self._changed)
        for pv in (self._put, self._seen):
            if not pv.wait_for_connection(PATIENCE):
                raise TimeoutError(f"{pv.pvname} is not there")

    def _changed(self, value: Any = None, **_: Any) -> None:
        now = time.perf_counter()
        self._value = float(value)
        if (self._value > 0) == (self._wanted > 0):
            self._at = now
            self._arrived.set()

    def react(self, value: float) -> float:
        """Put a value and return the seconds until its consequence is seen."""
        self._wanted = value
        self._arrived.clear()
        number = c_double(value)
        begun = time.perf_counter()
        ca.libca.ca_array_put(DBR_DOUBLE, 1, self._put.chid, byref(number))
        ca.libca.ca_flush_io()
        if not self._arrived.wait(PATIENCE):
            raise TimeoutError(f"{self._seen.pvname} did not follow {self._put.pvname} to {value}")
        return self._at - begun

    def rest(self) -> None:
        """Let the chain come to rest with 0 seen, whatever it showed."""
        number = c_double(0.0)
        self._wanted = -1.0
        ca.libca.ca_array_put(DBR_DOUBLE, 1, self._put.chid, byref(number))
        ca.libca.ca_flush_io()
        end = time.monotonic() + PATIENCE
        while self._value != 0 or self._put.get(use_monitor=False) != 0:
            if time.monotonic() > end:
                raise TimeoutError(f"{self._seen.pvname} does not come to rest: {self._value}")
            time.sleep(0.01)
        time.sleep(self.pause)

    def batch(self, count: int, keep: bool) -> None:
        """So many reactions, with pauses of no fixed length so that nothing falls into step."""
        for number in range(count):
            time.sleep(self.pause * random.uniform(0.5, 1.5))
            taken = self.react(10.0 if number % 2 == 0 else 0.0)
            if keep and (not self.rising or number % 2 == 0):
                self.times.append(taken)


def main() -> None:
    """Measure all chains in turn."""
    samples, batch = int(sys.argv[1]), int(sys.argv[2])
    listed = json.load(sys.stdin)
    chains = {
        one["name"]: Chain(one["put"], one["seen"], one.get("pause", 0.01), one.get("rising", False))
        for one in listed
    }
    for chain in chains.values():
        chain.rest()
        chain.batch(min(WARM_UP, samples), keep=False)
    while pending := [chain for chain in chains.values() if len(chain.times) < samples]:
        for chain in pending:
            chain.rest()
            chain.batch(batch, keep=True)
    print(json.dumps({name: chain.times for name, chain in chains.items()}))


if __name__ == "__main__":
    main()
