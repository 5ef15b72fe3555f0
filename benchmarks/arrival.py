"""Plugins that arrive beside 20 tasks and 100 subscriptions: how soon a new client reads them, and what that costs."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from table import Row, Sample, sample, show

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from churn.clients import ClientProcess, client_process, client_processes, lateness, percentile
from churn.program import GUEST, LEVEL, Churn
from churn.world import FAST, PREFIX, counters, others, write_world
from hosts import own_world
from support.installing import installing_host

from iocmng.wire import OperationView, Step

GOAL = 300.0
ARRIVALS = 5
"""Of each run."""
QUIET = 10.0
CONFIRM_FOR = 1.0
PATIENCE, DEADLINE = 0.1, 60.0
"""Seconds that each new client tries, and until one has to have come through."""


class Figures:
    """What one run found."""

    def __init__(self) -> None:
        self.arrivals: dict[str, list[float]] = {}
        self.steps: dict[Step, list[float]] = {step: [] for step in Step}
        self.before: list[float] = []
        self.during: list[float] = []

    def note(self, view: OperationView, came: dict[str, float]) -> None:
        """Keep what one arrival took, in milliseconds."""
        ends = {step.step: step.ended for step in view.steps}
        for provider, at in came.items():
            self.arrivals.setdefault(provider, []).append((at - ends[Step.PROBE]) * 1e3)
        for step in view.steps:
            self.steps[step.step].append((step.ended - step.started) * 1e3)


def late(clients: list[ClientProcess], during: Callable[[], object]) -> list[float]:
    """How late the fast tasks were while something was done, milliseconds."""
    clients[0].ask("begin")
    during()
    seen = clients[0].ask("seen")
    return [
        one * 1e3
        for name, interval in counters().items()
        if interval == FAST
        for one in lateness(seen[name]["stamps"], interval)
    ]


def measured(home: Path) -> Figures:
    """Let a plugin come and go."""
    index, environment = write_world(home, CONFIRM_FOR)
    world = {**own_world(home), **environment}
    found = Figures()
    with (
        client_processes(world, 2) as clients,
        client_process("ca", world) as new_ca,
        client_process("pva", world) as new_pva,
        installing_host(home, PREFIX, world) as host,
    ):
        churning = Churn(host, index, clients)
        for client in clients:
            client.ask("watch", names=list(counters()), counts=True)
            client.ask("watch", names=others())
            if missing := client.ask("all_there", but=[], deadline=DEADLINE):
                raise RuntimeError(f"{missing} are not served")

        def come_and_go() -> None:
            asked = [
                one.begin("arrival", name=LEVEL, patience=PATIENCE, deadline=DEADLINE)
                for one in (new_ca, new_pva)
            ]
            view = churning.bring("install")
            found.note(view, dict(zip(("CA", "PVA"), (answer() for answer in asked), strict=True)))
            churning.done(host.client.uninstall(GUEST, wait=0.0))

        come_and_go()
        found = Figures()
        found.before = late(clients, lambda: time.sleep(QUIET))
        found.during = late(clients, lambda: [come_and_go() for _ in range(ARRIVALS)])
    return found


def rows(runs: int) -> list[Row]:
    """Measure in hosts of their own."""
    found = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as home:
            found.append(measured(Path(home)))

    def figure(values: Callable[[Figures], list[float]], share: float = 0.5) -> Sample:
        return sample([percentile(values(one), share) for one in found], "ms")

    made = [
        Row(
            f"end of the probe until a new {provider} client has a valid value",
            figure(lambda one, provider=provider: one.arrivals[provider]),  # type: ignore[misc]
            "goal",
            sample([GOAL], "ms"),
            1.0,
        )
        for provider in ("CA", "PVA")
    ]
    made += [
        Row(f"of an installation, {step}", figure(lambda one, step=step: one.steps[step]))  # type: ignore[misc]
        for step in (Step.PLAN, Step.STAGE, Step.PROBE, Step.SWITCH)
    ]
    made += [
        Row(
            f"lateness of the other tasks while plugins come and go: {name}",
            figure(lambda one: one.during, share),
            "before",
            figure(lambda one: one.before, share),
        )
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    ]
    return made


if __name__ == "__main__":
    show("arrival", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
