"""Who takes part in a circuit: IOCs of native records, the previous system's package, plugins made of a config."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import yaml
from hosts import HERE, STOP_LIMIT, Ports, cpu_seconds, epics_environment, install

PREVIOUS = "iocmng==2.7.9"
PATIENCE = 120.0

_PROJECT = """
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"
dependencies = ["iocmng>=3,<4"]

[project.entry-points."iocmng.plugins"]
{points}

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""


def declarative(place: Path, name: str, configs: Mapping[str, Mapping[str, object]]) -> None:
    """Install plugins that are only a config each: one package `name` with an entry point for every key."""
    package = name.replace("-", "_")
    folder = place / "projects" / name / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    points = []
    for plugin, config in configs.items():
        module = plugin.replace("-", "_")
        (folder / f"{module}.py").write_text("")
        (folder / f"{module}.config.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False))
        points.append(f'{plugin} = "{package}.{module}"')
    project = _PROJECT.format(name=name, package=package, points="\n".join(points))
    (folder.parent / "pyproject.toml").write_text(project)
    install(place, folder.parent)


class Peer:
    """A process that serves PVs on ports of its own and says a word when it does."""

    def __init__(self, command: list[str], environment: Mapping[str, str], word: str, log: Path) -> None:
        self._log: IO[bytes] = log.open("ab")
        self.process = subprocess.Popen(
            command,
            # As root EPICS would lock all of its memory: hosts do not let it either.
            env={**os.environ, "EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING": "NO", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout is not None
        limit = threading.Timer(PATIENCE, self.process.kill)
        limit.start()
        try:
            while word.encode() not in (line := self.process.stdout.readline()):
                if not line:
                    raise RuntimeError(f"{command} ended: {log.read_text()[-2000:]}")
        finally:
            limit.cancel()

    @property
    def cpu(self) -> float:
        """CPU seconds used so far."""
        return cpu_seconds(self.process.pid)

    def ask(self, question: str) -> str:
        """Send a line and return the line that answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{question}\n".encode())
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(STOP_LIMIT)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self._log.close()


class NativeIoc(Peer):
    """Native records from a database text; `reach` are the ports of those it links to."""

    def __init__(self, place: Path, name: str, database: str, reach: tuple[Ports, ...] = ()) -> None:
        self.ports = Ports.free()
        path = place / f"{name}.db"
        path.write_text(database)
        command = [sys.executable, str(HERE / "native_ioc.py"), str(path)]
        super().__init__(command, epics_environment(self.ports, *reach), "serving", place / f"{name}.log")


def previous_environment(place: Path) -> Path:
    """Make an environment that holds the previous system's package from the registry; its Python."""
    environment = place / "previous"
    path = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(environment)], check=True, env=path)
    python = environment / "bin" / "python"
    subprocess.run(["uv", "pip", "install", "-q", "--python", str(python), PREVIOUS], check=True, env=path)
    return python


class Previous(Peer):
    """The previous system: declarative tasks in one process, PVs at `PREFIX:NAME`.

    One task runs as its own program `iocmng-run` runs it. Its server gives PVs to the first plugin only, so several
    tasks are set up by its classes, in one process, before the records are served.
    """

    def __init__(
        self, place: Path, python: Path, configs: Mapping[str, Mapping[str, object]], reach: tuple[Ports, ...]
    ) -> None:
        self.ports = Ports.free()
        self.prefixes = tuple(configs)
        name = "_".join(self.prefixes[:1]).replace(":", "_")
        path = place / f"previous-{name}.yaml"
        path.write_text(yaml.safe_dump(dict(configs)))
        command = [str(python), str(HERE / "previous_run.py"), str(path)]
        environment = {**epics_environment(self.ports, *reach), "PYTHONPATH": ""}
        super().__init__(command, environment, "serving", place / f"previous-{name}.log")
