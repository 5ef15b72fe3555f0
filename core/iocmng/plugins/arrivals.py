"""Plugins that arrive while the host runs: those of changed distributions only, judged beside what runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from iocmng.plugins.catalog import Catalog, assemble
from iocmng.plugins.discovery import Discovered, mark_duplicates
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.installing.discovered import advertised_with
from iocmng.plugins.installing.model import Lock
from iocmng.plugins.load import FileState, file_state
from iocmng.plugins.sitepath import base_path, import_folders
from iocmng.plugins.verdict import Prober, VerdictStore
from iocmng.settings.settings import Settings
from iocmng.spec import InstanceSpec


def base_environment() -> Environment:
    """What is installed where the host is, read again only when something was installed there or removed."""
    return _base(tuple((entry, file_state(entry)) for entry in base_path()))


@lru_cache(maxsize=1)
def _base(path: tuple[tuple[str, FileState], ...]) -> Environment:
    return Environment.read([entry for entry, _ in path])


def environment_over(site: Path | None) -> Environment:
    """The base and what a generation's site folder adds to it; where both have something the base's counts."""
    base = base_environment()
    if site is None:
        return base
    own = Environment.read([str(site)])
    return Environment({**own.installed, **base.installed}, (*base.complaints, *own.complaints))


def import_path(site: Path | None) -> list[str]:
    """The import path of a host that runs on a generation."""
    return [*base_path(), *import_folders(site)]


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
    beside = [spec for spec in running if canonical(spec.plugin.distribution) not in changed]
    asked = replace(environment, only=frozenset(changed))
    # The child imports as the host will: the base comes first.
    found = [
        replace(one, first=False) for one in advertised_with(asked, lock, importable=False, settings=settings)
    ]
    others = {spec.plugin.name: Discovered(plugin=spec.plugin) for spec in beside}
    marked = mark_duplicates([*found, *others.values()])[: len(found)]
    return assemble(marked, settings, hooks, prober=prober, store=store, beside=beside)
