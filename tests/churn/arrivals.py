"""How soon new clients read a plugin that arrives, and how late cycles of others are meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from churn.clients import ClientProcess, client_process, client_processes, lateness
from churn.program import GUEST, LEVEL, NEW, Churn
from churn.world import FAST, PREFIX, counters, others, write_world
from hosts import own_world
from support.installing import installing_host

from iocmng.wire import Step

PATIENCE, DEADLINE = 0.1, 60.0
"""Seconds that each new client tries, and until one has to have come through."""


def late_during(clients: Sequence[ClientProcess], act: Callable[[], object]) -> list[float]:
    """How late the fast tasks were while something was done, seconds."""
    clients[0].ask("begin")
    act()
    seen = clients[0].ask("seen")
    return [
        late
        for name, interval in counters().items()
        if interval == FAST
        for late in lateness(seen[name]["stamps"], interval)
    ]


def arrivals(home: Path, count: int, *, quiet: float, confirm_for: float) -> dict[str, Any]:
    """Let a plugin come and go so often beside 20 instances with 100 subscriptions.

    Args:
        home: An empty folder.
        count: How often.
        quiet: Seconds that nothing comes or goes before.
        confirm_for: How long each has to run until it is confirmed.

    Returns:
        In seconds: `ca` and `pva`, from the end of each probe until a new client had a valid value; `steps` with
        what each took; lateness `before` and `during`.
    """
    index, environment = write_world(home, confirm_for)
    world = {**own_world(home), **environment}
    found: dict[str, Any] = {"ca": [], "pva": [], "steps": {step.value: [] for step in Step}}
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
            assert client.ask("all_there", but=[], deadline=NEW) == [], client.provider

        def come_and_go() -> None:
            asked = {
                one.provider: one.begin("arrival", name=LEVEL, patience=PATIENCE, deadline=DEADLINE)
                for one in (new_ca, new_pva)
            }
            steps = {step.step: step for step in churning.bring("install").steps}
            for provider, came in asked.items():
                found[provider].append(came() - steps[Step.PROBE].ended)
            for step in steps.values():
                found["steps"][step.step.value].append(step.ended - step.started)
            churning.done(host.client.uninstall(GUEST, wait=0.0))

        found["before"] = late_during(clients, lambda: time.sleep(quiet))
        found["during"] = late_during(clients, lambda: [come_and_go() for _ in range(count)])
    return found
