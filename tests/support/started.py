"""Hosts of plugin directories, started as a user starts them, with a client that may do everything."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from environments import Environment, outside
from hosts import RunningHost, own_world, running
from support.commands import typed

from iocmng.client import Client
from iocmng.wire import InstanceView

Plugins = Mapping[str, tuple[str, str]]
"""Code and config of plugin directories by name."""
DEADLINE = 40.0


def until(seen: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Wait until `seen()`."""
    end = time.monotonic() + deadline
    while not seen():
        assert time.monotonic() < end, f"it did not come that {what}"
        time.sleep(0.03)


def write_plugins(home: Path, plugins: Plugins) -> dict[str, str]:
    """Write plugin directories into `home`; returns the environment that has a host take them."""
    for name, (code, config) in plugins.items():
        folder = home / name
        folder.mkdir(parents=True, exist_ok=True)
        if code:
            (folder / f"{name.replace('-', '_')}.py").write_text(code)
        (folder / "config.yaml").write_text(config)
    listed = home / "plugins.yaml"
    listed.write_text(
        json.dumps({"plugins": [{"name": name, "local_path": str(home / name)} for name in plugins]})
    )
    return {"IOCMNG_PLUGINS_CONFIG": str(listed)}


def command(*arguments: str) -> list[str]:
    """`iocmng ARGUMENTS` of the environment that runs the tests."""
    return [sys.executable, "-m", "iocmng_cli", *arguments]


def ended(
    home: Path, env: Mapping[str, str], *arguments: str, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """`iocmng run ARGUMENTS` that is to end by itself."""
    return subprocess.run(
        command("run", *arguments),
        cwd=home,
        env={**outside(), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@dataclass
class Started:
    """A host that runs, and a client of its admin endpoint."""

    host: RunningHost
    client: Client

    def view(self, name: str) -> InstanceView:
        """An instance as the host lists it."""
        return self.client.show(name).view

    def reaches(self, name: str, state: str, deadline: float = DEADLINE) -> InstanceView:
        """Wait for a state."""
        end = time.monotonic() + deadline
        while (view := self.view(name)).state != state:
            assert time.monotonic() < end, f"{name} is {view.state} ({view.message}), not {state}"
            time.sleep(0.03)
        return view

    def iocmng(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command against this host; it runs in the test's own process."""
        done = typed(*arguments, env={**outside(), **self.host.env})
        return subprocess.CompletedProcess(arguments, done.code, done.out, done.err)

    @property
    def state_dir(self) -> Path:
        """Its state directory."""
        return Path(self.host.env["IOCMNG_STATE_DIR"])


@contextmanager
def started(
    home: Path,
    prefix: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
) -> Iterator[Started]:
    """Run a host with the plugins of `env` (see `write_plugins`) until the block ends."""
    world = {**own_world(home), **(env or {})}
    argv = [str(python), "-m", "iocmng_cli", "run", "--prefix", prefix, *arguments]
    with running(Environment(Path(sys.prefix)), home, argv=argv, env=world) as host:
        token = Path(world["IOCMNG_STATE_DIR"], "token").read_text().strip()
        with Client(host.url, token) as client:
            yield Started(host, client)
