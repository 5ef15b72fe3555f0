"""Plugins that arrive while the host runs: those of changed distributions only, judged beside what runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from iocmng.plugins.catalog import Catalog
from iocmng.plugins.environment import Environment
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.installing.model import Lock
from iocmng.plugins.verdict import Prober, VerdictStore
from iocmng.settings.settings import Settings
from iocmng.spec import InstanceSpec


def judge_arrivals(
    settings: Settings,
    hooks: Hooks,
    *,
    environment: Environment,
    lock: Lock | None,
    prober: Prober,
    changed: Collection[str],
    running: Sequence[InstanceSpec],
    store: VerdictStore | None = None,
) -> Catalog:
    """Describe and judge the instances that plugins of changed distributions will give.

    Args:
        settings: The settings in force.
        hooks: The registered hooks: site policy applies to arrivals as to everything else.
        environment: The new one, base and generation; `environment_over` reads it cheaply.
        lock: The new generation's.
        prober: Imports them in a child: `iocmng.host.probe.Probe(path=import_path(site), sites=[site])`.
        changed: Canonical names of the distributions that are added or changed.
        running: What runs; instances of changed distributions among them are on their way out and clash with nothing.
        store: Keeps verdicts.

    Returns:
        Every instance of them, valid or not, in the order of starting.
    """
    raise NotImplementedError
