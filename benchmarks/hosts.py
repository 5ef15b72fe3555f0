"""Hosts for benchmarks: plugins installed beside the environment, a site file, ports of their own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil
import yaml

HERE = Path(__file__).resolve().parent
START_LIMIT = 180.0
STOP_LIMIT = 30.0
COUNT_LIMIT = 5.0


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory for one benchmark, with the benchmark plugins installed into `plugins`."""
    directory = Path(tempfile.mkdtemp(prefix="iocmng-bench-"))
    try:
        install(directory, HERE / "plugin")
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def install(place: Path, project: Path) -> None:
    """Install a project into the folder `plugins` of a workplace."""
    command = ["uv", "pip", "install", "-q", "--python", sys.executable, "--no-deps", "--target"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run([*command, str(place / "plugins"), str(project)], check=True, env=environment)


def program() -> list[str]:
    """The command `iocmng` of this environment; where it is not installed but on the path, its module."""
    script = Path(sys.executable).parent / "iocmng"
    return [str(script)] if script.exists() else [sys.executable, "-m", "iocmng_cli"]


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process and the children it has waited for have used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now, for TCP and UDP."""
    found: list[int] = []
    held: list[socket.socket] = []
    while len(found) < count:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        try:
            udp.bind(("127.0.0.1", port))
        except OSError:
            continue
        found.append(port)
    for one in held:
        one.close()
    return found


class Ports(NamedTuple):
    """Where a server listens."""

    ca: int
    pva: int
    broadcast: int

    @classmethod
    def free(cls) -> Self:
        """Ports that nobody uses now."""
        return cls(*free_ports(3))


def epics_environment(own: Ports, *others: Ports) -> dict[str, str]:
    """The environment of a server and its clients that meet nobody but these others."""
    return {
        "EPICS_CA_SERVER_PORT": str(own.ca),
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_ADDR_LIST": " ".join(f"127.0.0.1:{one.ca}" for one in (own, *others)),
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVAS_SERVER_PORT": str(own.pva),
        "EPICS_PVAS_BROADCAST_PORT": str(own.broadcast),
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_ADDR_LIST": " ".join(f"127.0.0.1:{one.broadcast}" for one in (own, *others)),
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
    }


class HostProcess:
    """A host as a user starts it, on ports and in directories of its own."""

    def __init__(
        self, place: Path, name: str, site: Mapping[str, Any], *, reach: tuple[Ports, ...] = ()
    ) -> None:
        self.directory = place / name
        self.directory.mkdir(exist_ok=True)
        self.ports = Ports.free()
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            **epics_environment(self.ports, *reach),
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(place / "plugins"), os.environ.get("PYTHONPATH")))
            ),
            "IOCMNG_URL": self.url,
            "IOCMNG_STATE_DIR": str(self.directory / "state"),
            "XDG_CACHE_HOME": str(self.directory / "cache"),
        }
        self.site = self.directory / "iocmng.yaml"
        self.site.write_text(
            yaml.safe_dump({"prefix": f"BENCH:{name.upper()}", "admin": {"port": self.port}, **site})
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.cpu_to_ready = 0.0

    def start(self, *, instances: int, limit: float = START_LIMIT) -> float:
        """Start, wait until so many instances run, and return the seconds from exec to ready, at most `limit`."""
        command = [*program(), "run", "--config", str(self.site)]
        with (self.directory / "output.txt").open("ab") as output:
            begun = time.monotonic()
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=output, cwd=self.directory
            )
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() - begun > limit:
                self.stop()
                text = (self.directory / "output.txt").read_text()[-3000:]
                raise RuntimeError(f"host not ready after {time.monotonic() - begun:.0f} s:\n{text}")
            time.sleep(0.05)
        taken = time.monotonic() - begun
        self.cpu_to_ready = cpu_seconds(self.process.pid)
        end = time.monotonic() + COUNT_LIMIT
        while (running := self.get("/api/v1/host")["running"]) != instances and time.monotonic() < end:
            time.sleep(0.05)
        if running != instances:
            self.stop()
            raise RuntimeError(f"{running} instances run, {instances} should")
        return taken

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return cpu_seconds(self.process.pid) if self.process else 0.0

    def get(self, path: str) -> Any:
        """Ask the host over HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> float:
        """Stop in good order and return the seconds that took."""
        if self.process is None:
            return 0.0
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        return time.monotonic() - begun


def instances(plugin: str, count: int, **parameters: Any) -> list[dict[str, Any]]:
    """Site-file entries for so many instances of one plugin."""
    return [
        {
            "plugin": plugin,
            "name": f"{plugin}-{number:04}",
            "prefix": f"T{number:04}",
            "parameters": parameters,
        }
        for number in range(count)
    ]
