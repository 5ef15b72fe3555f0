"""Plugins come, change and go beside 20 tasks and their clients: `python tests/churn --rounds 100`."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from churn.clients import ClientProcess, client_processes, lateness, lost_cycles, percentile
from churn.world import FAST, PREFIX, counters, guest, instances, others, write_world
from hosts import own_world
from soak.program import KEPT_OPEN, POOL, resources
from support.installing import installing_host
from support.started import Started

from iocmng.wire import OperationState, OperationView, Step

GUEST, LATE = "guest", "latecomer"
COUNT, LEVEL = (f"{PREFIX}:{GUEST.upper()}:{port}" for port in ("COUNT", "LEVEL"))
LATE_COUNT = f"{PREFIX}:{LATE.upper()}:COUNT"
OPERATION = 120.0
NEW = 10.0
"""Seconds within which a client has to see what has come, be it new or waiting for long."""
QUIET = 2.0
LIBCA = 25.0
"""The same of a CA client that has seen a server come within that time: it looks again every 8 s, or every 16 s."""
SETTLED = 3
"""Rounds after which everything has been loaded and started that a host keeps."""


@dataclass
class Found:
    """What one churn has measured.

    Attributes:
        operations: How many there were.
        steps: Seconds of each step, by step.
        arrivals: Seconds until a new client had its first valid value, by provider.
        waited: The same of clients that waited for the name, by provider.
        before, during: Lateness of all fast tasks, seconds.
        starved: Beats of bare threads that were late by a quarter of a cycle or more.
        memory: RSS of the host after each round, MiB.
    """

    operations: int = 0
    steps: dict[Step, list[float]] = field(default_factory=dict)
    arrivals: dict[str, list[float]] = field(default_factory=dict)
    waited: dict[str, list[float]] = field(default_factory=dict)
    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    starved: int = 0
    memory: list[float] = field(default_factory=list)

    @property
    def per_change(self) -> float:
        """KiB that an operation has left in memory, by the slope of the last two thirds of all rounds."""
        late = self.memory[len(self.memory) // 3 :]
        if len(late) < 3:
            return float("nan")
        slope = statistics.linear_regression(range(len(late)), late).slope
        return slope * 1024 * len(self.memory) / self.operations

    def __str__(self) -> str:
        def late(values: list[float]) -> str:
            p99, worst = percentile(values, 0.99), max(values, default=float("nan"))
            return f"p99 {p99 * 1e3:.1f} ms, max {worst * 1e3:.1f} ms"

        lines = [f"{self.operations} operations in {len(self.memory)} rounds"]
        lines += [f"{step}: median {statistics.median(took):.2f} s" for step, took in self.steps.items()]
        lines += [
            f"new client over {provider}: median {statistics.median(took):.3f} s, max {max(took):.3f} s"
            for provider, took in self.arrivals.items()
        ]
        lines += [
            f"waiting clients over {provider}: {', '.join(f'{one:.2f} s' for one in took)}"
            for provider, took in self.waited.items()
        ]
        lines += [f"lateness before: {late(self.before)}", f"lateness during: {late(self.during)}"]
        lines += [f"beats of bare threads that were late meanwhile: {self.starved}"]
        lines += [
            f"memory {self.memory[0]:.1f} → {self.memory[-1]:.1f} MiB, {self.per_change:.0f} KiB a change"
        ]
        return "\n".join(lines)


class Churn:
    """Lets plugins come and go.

    Args:
        host: Into which they come.
        index: Where their wheels are written.
        clients: Subscribed to the 20 tasks; the first of each provider follows the guest too.
    """

    def __init__(self, host: Started, index: Path, clients: Sequence[ClientProcess]) -> None:
        self.host = host
        self.index = index
        self.clients = clients
        self.found = Found()
        self.version = 0
        self.firsts = {client.provider: client for client in reversed(clients)}

    def done(self, begun: OperationView) -> OperationView:
        """Wait for the end of an operation, which must be a good one."""
        view = self.host.client.operation(begun.id, wait=OPERATION)
        told = f"{view.verb}: {view.state} in {view.failed_step}: {view.message} ({view.hint})"
        assert view.state is OperationState.DONE, f"{told}\n{self.host.host.output}"
        self.found.operations += 1
        for step in view.steps:
            if step.state == "done":
                self.found.steps.setdefault(step.step, []).append(step.ended - step.started)
        return view

    def bring(self, verb: str, name: str = GUEST) -> OperationView:
        """Install or upgrade a version that there has not been yet."""
        self.version += 1
        asked = guest(self.index, name, self.version)
        client = self.host.client
        return self.done((client.install if verb == "install" else client.upgrade)(asked, wait=0.0))

    def round(self) -> None:
        """The guest comes, a new client reads it, it changes, and it goes; who follows it sees all of that."""
        before = time.time()
        arrived = self.bring("install")
        assert arrived.plan is not None
        assert arrived.plan.hot, arrived.plan.reasons
        for provider, client in self.firsts.items():
            if not self.found.memory:
                # Who had searched before the latecomer came would be told of this one after half a minute only.
                client.ask("watch", names=[COUNT])
            _, valid = client.ask("connect", name=LEVEL, deadline=NEW)
            self.found.arrivals.setdefault(provider, []).append(valid)
            client.ask("until", name=COUNT, valid=True, since=before, deadline=NEW)
        assert self.host.client.jobs["job"].start().wait(OPERATION).state.name == "SUCCESS"
        before = time.time()
        self.bring("upgrade")
        for client in self.firsts.values():
            # Never valid from stop to start, and valid with what the new code counts.
            client.ask("until", name=COUNT, valid=False, since=before, deadline=NEW)
            client.ask("until", name=COUNT, valid=True, since=before, deadline=NEW)
        assert self.host.view(GUEST).version == f"1.{self.version}"
        before = time.time()
        self.done(self.host.client.uninstall(GUEST, wait=0.0))
        for client in self.firsts.values():
            client.ask("until", name=COUNT, valid=False, since=before, deadline=NEW)
        self.found.memory.append(psutil.Process(self.host.host.process.pid).memory_info().rss / 2**20)

    def arrive_late(self) -> float:
        """Let those have it who have been waiting since the beginning; returns when it was there."""
        arrived = self.bring("install", LATE)
        return next(step.ended for step in arrived.steps if step.step is Step.SWITCH)

    def check_late(self, there: float, limits: Mapping[str, float]) -> None:
        """See that all who waited have it, within so many seconds of each provider."""
        for client in self.clients:
            limit = limits[client.provider]
            at = client.ask("until", name=LATE_COUNT, valid=True, since=0.0, deadline=limit)
            self.found.waited.setdefault(client.provider, []).append(at - there)
            assert at - there <= limit, f"{client.provider}: {at - there:.1f} s"

    def spares_free(self) -> int:
        """How many more plugins would fit."""
        return int(self.host.client.pv(f"{PREFIX}:HOST:SPARES_FREE").value)


@contextmanager
def watched(clients: Sequence[ClientProcess], late: list[float]) -> Iterator[None]:
    """See that no subscriber is cut off and no cycle is lost until the block ends.

    Args:
        clients: Subscribed to the counters.
        late: Takes how late the cycles of the fast tasks were.
    """
    for client in clients:
        client.ask("begin")
    yield
    spared = starved(clients)
    for client in clients:
        assert client.ask("disconnects") == {}, client.provider
        for name, seen in client.ask("seen").items():
            told = f"{name} over {client.provider}"
            # A subscriber that gets no processor sees two events as one.
            assert len(seen["jumps"]) <= spared, f"{told}: not one after the other: {seen['jumps']}"
            interval = counters()[name]
            lost = lost_cycles(seen["stamps"], interval)
            assert lost <= spared, f"{told}: {lost} cycles lost, {spared} beats of a bare thread were late"
            if interval == FAST and client is clients[0]:
                late.extend(lateness(seen["stamps"], interval))


def starved(clients: Sequence[ClientProcess]) -> int:
    """How often a bare thread was late by a quarter of a cycle: then the machine, not the host, may lose one."""
    return max(sum(late > FAST / 4 for late in client.ask("beats")) for client in clients)


def check_counters(host: Started, spared: int) -> None:
    """By their own account, too, everything went its way."""
    for view in host.client.list(kind="task"):
        if view.name in instances():
            assert (view.state, view.cycle_errors, view.restarts) == ("RUN", 0, 0), view
            assert view.overruns <= spared, view


def check_level(found: Found, before: Counter[str], after: Counter[str]) -> None:
    """Nothing grows with the number of changes."""
    more = after - before - Counter(threads=POOL)
    assert more.total() <= KEPT_OPEN, f"leaked: {more}"
    third = len(found.memory) // 3
    if third >= SETTLED:
        middle = statistics.median(found.memory[third : 2 * third])
        last = statistics.median(found.memory[2 * third :])
        # A change leaves some KiB of names and text behind, in the allocator or in caches.
        allowed = 4.0 + 0.1 * found.operations / 3
        assert last - middle < allowed, f"{middle:.1f} → {last:.1f} MiB: {found.memory}"


def churn(home: Path, rounds: int, *, seconds: float, confirm_for: float, wait: float) -> Found:
    """Let plugins come and go.

    Args:
        home: An empty folder.
        rounds: How often one comes, changes and goes.
        seconds: Begin no further round after that long; there is one at least.
        confirm_for: How long a new version has to run until it is confirmed.
        wait: How long clients have been waiting, at least, when what they wait for comes; all is quiet till then.

    Raises:
        AssertionError: Somebody has noticed.
    """
    index, environment = write_world(home, confirm_for)
    world = {**own_world(home), **environment}
    with client_processes(world, 2) as clients:
        for client in clients:
            client.ask("watch", names=[LATE_COUNT])
        waiting_since = time.monotonic()
        with installing_host(home, PREFIX, world) as host:
            churning = Churn(host, index, clients)
            for client in clients:
                client.ask("watch", names=list(counters()), counts=True)
                client.ask("watch", names=others())
                assert client.ask("all_there", but=[LATE_COUNT], deadline=NEW) == [], client.provider
            with watched(clients, churning.found.before):
                time.sleep(max(QUIET, waiting_since + wait - time.monotonic()))
            with watched(clients, churning.found.during):
                there = churning.arrive_late()
                began = time.monotonic()
                churning.round()
                resting = resources(host.host.process.pid)
                free = churning.spares_free()
                for _ in range(1, rounds):
                    if time.monotonic() - began > seconds:
                        break
                    churning.round()
                assert churning.spares_free() == free
                churning.check_late(there, {"ca": NEW if wait > LIBCA else LIBCA, "pva": NEW})
            churning.found.starved = starved(clients)
            check_counters(host, churning.found.starved)
            check_level(churning.found, resting, resources(host.host.process.pid))
            assert host.host.stop() == 0
    return churning.found


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=100, help="how often a plugin comes, changes, goes (100)"
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin no more rounds then (3600)")
    parser.add_argument("--confirm-for", type=float, default=1.0, help="of each new version, seconds (1)")
    parser.add_argument("--wait", type=float, default=120.0, help="how long clients wait for a name (120)")
    parser.add_argument("--json", action="store_true", help="print every figure")
    parser.add_argument(
        "--arrivals", type=int, default=0, help="only let a plugin arrive so often, and print JSON"
    )
    parser.add_argument("--kills", type=int, default=0, help="only kill the host so often while it installs")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of chance")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if given.kills:
            from churn.kills import kills

            print(f"seed {given.seed}", flush=True)
            chance = random.Random(given.seed)
            print(kills(home, given.seed, [chance.choice(list(Step)) for _ in range(given.kills)]))
        elif given.arrivals:
            from churn.arrivals import arrivals

            print(json.dumps(arrivals(home, given.arrivals, quiet=10.0, confirm_for=given.confirm_for)))
        else:
            found = churn(
                home, given.rounds, seconds=given.seconds, confirm_for=given.confirm_for, wait=given.wait
            )
            figures = {**asdict(found), "per_change": found.per_change}
            print(json.dumps(figures) if given.json else found)
