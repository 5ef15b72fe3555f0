"""Random faults against a host with 50 instances, for as long as asked: `python tests/soak --seconds 600`."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from hosts import own_world
from soak.world import COUNTS, FAULTS, instances, policy, write_world
from support.started import Started, started

from iocmng.client import Client

PREFIX = "SOAK"
DRIVERS = 4
DEADLINE = 30.0
POOL = 8
"""Threads that a host makes once it is asked for something, and keeps: pools do not shrink."""
KEPT_OPEN = 2
"""Files and sockets that may come and go at any moment: a log that is renewed, a file that is being written."""


def until(holds: Callable[[], object], what: Callable[[], str]) -> None:
    """Wait until `holds()`."""
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.02)


def resources(pid: int) -> Counter[str]:
    """Threads, and what is open: files by path, all else by kind; but for the logs, one per instance at most."""
    found = Counter({"threads": psutil.Process(pid).num_threads()})
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        found[target.partition(":[")[0]] += 1
    logs = {file for file in found if Path(file).suffix == ".log"}
    return Counter({what: count for what, count in found.items() if what not in logs or count > 1})


def left_behind(state: Path) -> list[str]:
    """Processes that came from a host with this state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("IOCMNG_STATE_DIR") == str(state):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


class Driver:
    """Does to some of the instances what operators and fate do, and knows what each has to come to.

    Args:
        client: Of the host.
        names: The instances, of which nobody else takes care.
        seed: Of chance.
    """

    def __init__(self, client: Client, names: list[str], seed: int) -> None:
        self.client = client
        self.names = names
        self.random = random.Random(seed)
        self.runs: dict[str, tuple[str, ...]] = {}
        self.done: Counter[str] = Counter()

    def drive(self, over: threading.Event) -> None:
        """Go on until `over`."""
        while not over.is_set():
            self.act(self.random.choice(self.names))

    def act(self, name: str) -> None:
        """Do one thing to an instance, and see that it comes to what it has to."""
        if name.startswith(("job", "script")):
            self._run(name)
            return
        fault = self.random.choice((*FAULTS[1:], "pause", "restart", "stopped"))
        self.done[fault] += 1
        if fault == "pause":
            self.client.tasks[name].pause()
            self._reaches(name, "PAUSED", fault)
            self.client.tasks[name].resume()
        elif fault == "restart":
            self.client.tasks[name].restart()
        elif fault in ("stop", "stopped"):
            self._fault(name, fault if fault == "stop" else "none")
            self.client.tasks[name].stop()
            self._reaches(name, "END", fault)
            self._fault(name, "none")
            self.client.tasks[name].start()
        else:
            self._break(name, fault)
        self._reaches(name, "RUN", fault)

    def _break(self, name: str, fault: str) -> None:
        """Have a task meet its fault, and take that away when it shows."""
        restarts = self.client.show(name).view.restarts
        self._fault(name, fault)
        if fault == "start":
            self.client.tasks[name].restart(wait=0.0)
        if fault == "slow":
            time.sleep(0.5)
            assert self._state(name) == "RUN", f"{name} is slow, not broken"
        else:
            until(
                lambda: self._shows(name, restarts),
                lambda: f"{name} does not show {fault}: {self._said(name)}",
            )
        self._fault(name, "none")
        fails = fault in ("cycle", "start", "die")
        rules = policy(name)
        if fails and rules["restart"] == "no":
            self._stays(name, fault)
        elif "restart_max" in rules:
            until(
                lambda: self._state(name) in ("RUN", "ERROR"),
                lambda: f"{name} after {fault}: {self._said(name)}",
            )
            if self._state(name) == "ERROR":
                assert "restart_max allows 2" in self._said(name)
                self._stays(name, fault)

    def _shows(self, name: str, restarts: int) -> bool:
        view = self.client.show(name).view
        return view.restarts > restarts or view.state in ("BACKOFF", "ERROR", "STALLED")

    def _stays(self, name: str, fault: str) -> None:
        """It is in ERROR, and stays there until somebody resets it."""
        self._reaches(name, "ERROR", fault)
        self.done["error until reset"] += 1
        time.sleep(0.5)
        assert self._state(name) == "ERROR"
        self.client.tasks[name].reset(wait=0.0)

    def _run(self, name: str) -> None:
        """Start a run, perhaps abort it, and wait for its end."""
        steps, fail = self.random.randint(3, 10), self.random.random() < 0.3
        run = self.client.jobs[name].start(STEPS=steps, FAIL=fail)
        self.runs[run.id] = ("FAILED",) if fail else ("SUCCESS",)
        if self.random.random() < 0.3:
            self.runs[run.id] += ("ABORTED",)
            time.sleep(self.random.random() * 0.4)
            run.abort()
        run.wait(DEADLINE)
        self.done[name.partition("-")[0]] += 1

    def _fault(self, name: str, fault: str) -> None:
        self.client.put_pv(f"{PREFIX}:{name.upper()}:FAULT", fault)

    def _state(self, name: str) -> str:
        return str(self.client.show(name).view.state)

    def _said(self, name: str) -> str:
        view = self.client.show(name).view
        return f"{view.state} ({view.message})"

    def _reaches(self, name: str, state: str, fault: str) -> None:
        until(
            lambda: self._state(name) == state,
            lambda: f"{name} ({policy(name)}) after {fault}: {self._said(name)}, not {state}",
        )


def check_runs(host: Started, runs: dict[str, tuple[str, ...]]) -> None:
    """No run is lost, over HTTP and on disk, and each has an outcome that it can have."""
    known = {
        view.id: view.state.name
        for name in instances()
        if name.startswith(("job", "script"))
        for view in host.client.runs(name)
    }
    assert set(runs) <= set(known), f"lost: {set(runs) - set(known)}"
    wrong = {run: known[run] for run, outcomes in runs.items() if known[run] not in outcomes}
    assert not wrong, f"{wrong} should be {[runs[run] for run in wrong]}"
    on_disk = {path.name for path in (host.state_dir / "runs").rglob("*")}
    assert not [run for run in runs if not any(run in name for name in on_disk)]


def check_resources(pid: int, before: Counter[str]) -> None:
    """Nothing has leaked that was opened or started for what is over."""

    def more() -> Counter[str]:
        return resources(pid) - before - Counter(threads=POOL)

    until(lambda: more().total() <= KEPT_OPEN, lambda: f"leaked: {more()}")


def soak(home: Path, seconds: float, seed: int) -> Counter[str]:
    """Run the host for `seconds` under faults; returns how often what was done.

    Raises:
        AssertionError: Something is lost, leaked, left behind, or in a state that its policy does not say.
    """
    environment = {**own_world(home), **write_world(home)}
    drivers: list[Driver] = []
    with started(home, PREFIX, env=environment) as host:
        tasks = [name for name, plugin in instances().items() if plugin not in ("job", "script")]
        for name in tasks:
            host.reaches(name, "RUN")
        warmed = Driver(host.client, [], seed)
        for plugin in COUNTS:
            warmed.act(f"{plugin}-0")
        before = resources(host.host.process.pid)
        chance, names, over = random.Random(seed), list(instances()), threading.Event()
        chance.shuffle(names)
        token = (host.state_dir / "token").read_text().strip()
        with ThreadPoolExecutor(DRIVERS) as pool:
            for number in range(DRIVERS):
                client = Client(host.host.url, token)
                drivers.append(Driver(client, names[number::DRIVERS], seed + 1 + number))
            ends = [pool.submit(driver.drive, over) for driver in drivers]
            end = time.monotonic() + seconds
            while time.monotonic() < end and not any(one.done() for one in ends):
                time.sleep(0.05)
            over.set()
            for one in ends:
                one.result(2 * DEADLINE)
        for driver in drivers:
            driver.client.close()
        for name in tasks:
            host.reaches(name, "RUN", DEADLINE)
            # A thread that was given up while it hung ends when its hang is over.
            until(
                lambda name=name: not host.client.show(name).abandoned,
                lambda name=name: f"{name} has left threads: {host.client.show(name).abandoned}",
            )
        check_runs(host, {run: outcomes for one in (*drivers, warmed) for run, outcomes in one.runs.items()})
        check_resources(host.host.process.pid, before)
        assert host.host.stop() == 0
        state = host.state_dir
    until(lambda: not left_behind(state), lambda: f"left behind: {left_behind(state)}")
    return sum((driver.done for driver in drivers), Counter())


def main() -> None:
    """Soak for as long as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long faults go on (600)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of chance")
    parser.add_argument("--kills", type=int, default=0, help="kill the host so often instead (0)")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as home:
        if given.kills:
            from soak.crash import crash

            done = crash(Path(home), given.kills, given.seed)
        else:
            done = soak(Path(home), given.seconds, given.seed)
    print(", ".join(f"{what}: {count}" for what, count in sorted(done.items())))
