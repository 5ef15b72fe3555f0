"""What a host needs that plugins are installed into: a base of unpacked wheels, and a folder that is its index."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from support.started import Started, started

EXAMPLES = ("host-monitor", "disk-probe")
"""Plugins that the tests' own environment may have: README's command lines install them there."""


def based(home: Path, *wheels: Path) -> dict[str, str]:
    """Put wheels where pip would have put them; returns the environment in which a host finds them."""
    base = home / "base"
    base.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(base)
    return {"PYTHONPATH": str(base)}


def indexed(home: Path, site: Mapping[str, Any], *, confirm_for: float = 0.2) -> tuple[Path, dict[str, str]]:
    """Write a site file whose index is a folder of wheels; returns that folder and the environment."""
    index = home / "index"
    index.mkdir(parents=True, exist_ok=True)
    file = home / "site.yaml"
    install = {"index": str(index), "confirm_for": confirm_for}
    file.write_text(yaml.safe_dump({"exclude": list(EXAMPLES), "install": install, **site}))
    return index, {"IOCMNG_CONFIG": str(file)}


@contextmanager
def installing_host(home: Path, prefix: str, environment: Mapping[str, str]) -> Iterator[Started]:
    """Run a host until the block ends, and see that everything has been started that is to run."""
    with started(home, prefix, env=environment) as host:
        for view in host.client.list(kind="task"):
            host.reaches(view.name, "RUN")
        yield host


def standing(host: Started) -> dict[str, Any]:
    """What is installed and what runs: the pointer, the lock, every generation, every instance and its state."""
    state = host.state_dir
    pointer, lock = state / "generations" / "current.json", state / "plugins.lock"
    return {
        "pointer": json.loads(pointer.read_text()) if pointer.exists() else {},
        "lock": lock.read_text() if lock.exists() else "",
        "folders": sorted(path.name for path in pointer.parent.iterdir() if path.is_dir()),
        "generations": {view.number: (view.current, view.problem) for view in host.client.generations()},
        "instances": {
            view.name: (view.state, view.version, view.generation, view.origin, view.restarts)
            for view in host.client.list()
        },
        "spares": host.client.pv(f"{host.client.host().prefix}:HOST:SPARES_FREE").value,
    }
