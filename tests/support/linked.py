"""A host whose instances are linked to other IOCs, and a client that watches all of it over CA and PVA."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from environments import Environment
from hosts import RunningHost, own_world, running
from support.other_ioc import OtherIoc
from support.plugins import Package, plugin_environment
from support.watching import Watch, watching

from iocmng.client import Client
from iocmng.wire import InstanceDetail

PROVIDERS = ("ca", "pva")
DEADLINE = 30.0
LIFETIME = 900.0


def declared(key: str, config: str) -> Package:
    """A package that is only a config."""
    package = Package(key, code="", config=config)
    return Package(key, code="", config=config, target=f"{package.module}.plugin")


def until(holds: Callable[[], Any], what: str, deadline: float = DEADLINE) -> None:
    """Wait until it holds."""
    end = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class World:
    """Everything that takes part; `restart_host` puts another process in the host's place, at the same ports."""

    def __init__(self, prefix: str, folder: Path, python: Path, others: Mapping[str, OtherIoc]) -> None:
        self.prefix = prefix
        self._folder = folder
        self._environment = Environment(python.parent.parent)
        self._argv = [str(python), "-m", "iocmng_cli", "run", "--prefix", prefix]
        self.env = own_world(folder)
        for other in others.values():
            self.env = other.reach(self.env)
        self._stack = ExitStack()
        self.watch = Watch()
        self._start()

    def _start(self) -> None:
        self.host: RunningHost = self._stack.enter_context(
            running(self._environment, self._folder, argv=self._argv, env=self.env)
        )
        token = Path(self.env["IOCMNG_STATE_DIR"], "token").read_text().strip()
        self.client = self._stack.enter_context(Client(self.host.url, token))

    def restart_host(self, *, kill: bool) -> None:
        """End the host, in order or with SIGKILL, and start it again."""
        if kill:
            self.host.process.kill()
            self.host.process.wait(DEADLINE)
        else:
            assert self.host.stop() == 0
        self._stack.close()
        self._start()

    def close(self) -> None:
        """End the host in order; nothing has failed but tasks that are meant to."""
        code, lines = self.host.stop(), self.host.output.splitlines()
        self._stack.close()
        assert code == 0, lines
        for before, line in pairwise(lines):
            assert "Traceback" not in line or "ERROR [failing]" in before, "\n".join(lines)

    def pv(self, name: str) -> str:
        """`INSTANCE:PORT` with the host's prefix; OTHER:NAME as it is."""
        return name if name.startswith("OTHER:") else f"{self.prefix}:{name}"

    def show(self, instance: str) -> InstanceDetail:
        """Everything of one instance."""
        return self.client.show(instance)

    def events(self, name: str, provider: str) -> list[dict[str, Any]]:
        """What one client has seen of a PV, oldest first, without what it was told about connections."""
        return [one for one in self.watch.of(self.pv(name), provider) if one["severity"] is not None]

    def latest(self, name: str) -> dict[str, tuple[Any, int]]:
        """Value and severity that each client saw last."""
        found = {provider: self.events(name, provider) for provider in PROVIDERS}
        return {
            provider: (events[-1]["value"], events[-1]["severity"])
            for provider, events in found.items()
            if events
        }

    def shows(self, name: str, value: Any = ..., severity: int | None = 0) -> bool:
        """Whether both clients saw this last; `...` and None for whatever it is."""
        latest = self.latest(name)
        return len(latest) == len(PROVIDERS) and all(
            value in (..., seen) and severity in (None, quality) for seen, quality in latest.values()
        )

    def comes(self, name: str, value: Any = ..., severity: int | None = 0) -> None:
        """Wait until both clients see this."""
        until(
            lambda: self.shows(name, value, severity),
            f"{name} does not come to {value} with severity {severity}, but to {self.latest(name)}",
        )


@contextmanager
def linked_world(
    prefix: str,
    folder: Path,
    packages: list[Package],
    others: Mapping[str, OtherIoc],
    watched: list[str],
) -> Iterator[World]:
    """Run a host with these plugins, and watch PVs (`INSTANCE:PORT`, or OTHER:NAME)."""
    world = World(prefix, folder, plugin_environment(folder, packages), others)
    try:
        with watching(world.env, *map(world.pv, watched), seconds=LIFETIME) as watch:
            world.watch = watch
            yield world
    finally:
        world.close()
