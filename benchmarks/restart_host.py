"""How long no PV answers while a host with 20 tasks is replaced by a new process of itself."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from hosts import HostProcess, instances, workplace
from table import Row, sample, show

COUNT = 20
GOAL = 4.0
WATCH = 15.0
"""Seconds that each client looks: a subscribed one takes its time."""
CLIENT = Path(__file__).with_name("restart_client.py")
PVS = ("STATUS", "MESSAGE", "LAST_ERROR", "VERSION", "CYCLE_COUNT", "HEARTBEAT", "TASK_DURATION", "RESTARTS")
CLIENTS = {
    "new CA client": ("ca", "new"),
    "new PVA client": ("pva", "new"),
    "subscribed CA client": ("ca", "subscribed"),
    "subscribed PVA client": ("pva", "subscribed"),
}


@contextmanager
def client(host: HostProcess, provider: str, kind: str, names: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A client that has seen its first value."""
    process = subprocess.Popen(
        [sys.executable, str(CLIENT), provider, kind, str(WATCH), *names],
        env=host.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"a {kind} {provider} client sees nothing")
        yield process


def restart(host: HostProcess) -> float:
    """Ask for it, wait until HTTP is answered by the new process; return the seconds that took."""
    before = host.get("/api/v1/host")["boot_id"]
    token = (host.directory / "state" / "token").read_text().strip()
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=20)
    connection.request("POST", "/api/v1/host/restart", headers={"Authorization": f"Bearer {token}"})
    status = connection.getresponse().status
    connection.close()
    if status >= 300:
        raise RuntimeError(f"the host does not restart: {status}")
    while host.get("/api/v1/host")["boot_id"] == before:
        time.sleep(0.002)
    return time.monotonic() - begun


def outage(times: list[float], asked: float, answered: float) -> float:
    """The longest time without a value after the restart was asked for, seconds."""
    if times[-1] < answered:
        raise RuntimeError(f"within {WATCH:g} s the client sees nothing of the new process")
    around = [time for time in times if time < asked][-1:] + [time for time in times if time >= asked]
    return max(after - before for before, after in pairwise(around))


def rows(runs: int) -> list[Row]:
    """One restart for each run and each kind of client, which is alone with the host then."""
    found: dict[str, list[float]] = {what: [] for what in ("HTTP, asked to answered", *CLIENTS)}
    with workplace() as place:
        listed = instances("bench-cycle", COUNT)
        names = [f"BENCH:AGAIN:T{number:04}:{name}" for name in PVS for number in range(COUNT)]
        host = HostProcess(place, "again", {"only_listed": True, "instances": listed})
        # The first start validates.
        host.start(instances=COUNT)
        try:
            for _ in range(runs):
                for what, (provider, kind) in CLIENTS.items():
                    wanted = names if kind == "new" else ["BENCH:AGAIN:T0003:CYCLE_COUNT"]
                    with client(host, provider, kind, wanted) as process:
                        time.sleep(1.0)
                        asked = time.monotonic()
                        taken = restart(host)
                        assert process.stdout is not None
                        times = json.loads(process.stdout.readline())
                        found["HTTP, asked to answered"].append(taken)
                        found[what].append(outage(times, asked, asked + taken))
        finally:
            host.stop()
    goal = sample((GOAL,), "s")
    return [
        Row(
            f"restart-host with {COUNT} tasks, {what}",
            sample(times, "s"),
            "goal" if "new" in what else "",
            goal if "new" in what else None,
            1.0 if "new" in what else None,
            "" if "subscribed" not in what else "when it looks again is up to its own library",
        )
        for what, times in found.items()
    ]


if __name__ == "__main__":
    show("restart_host", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
