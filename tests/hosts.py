"""A host in a process of its own, started as a user does, and CA and PVA clients in processes of theirs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import SystemRandom
from typing import Any

from children import Lines, ending
from environments import Environment, outside

START = 60.0
STOP = 20.0

LOWEST, HIGHEST = 10_000, 32_000
# Not `random`'s own numbers: these begin anew with each test, in every process alike.
_PORTS = islice(cycle(range(LOWEST, HIGHEST)), SystemRandom().randrange(HIGHEST - LOWEST), None)
CLIENT = Path(__file__).with_name("support") / "client_program.py"


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, neither for TCP nor for UDP.

    They lie below those that the system gives to clients, so that a host which is down for a while gets its own back.
    """
    ports: list[int] = []
    for port in _PORTS:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            try:
                stream.bind(("127.0.0.1", port))
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            break
    return ports


def own_world(directory: Path) -> dict[str, str]:
    """Environment variables that give a host and its clients ports and a state directory of their own."""
    ca, pva, broadcast, repeater, http = map(str, free_ports(5))
    return {
        "EPICS_CA_SERVER_PORT": ca,
        "EPICS_CAS_SERVER_PORT": ca,
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{ca}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        # The first client of a machine passes beacons on to all others, and none comes when that one has ended.
        "EPICS_CA_REPEATER_PORT": repeater,
        "EPICS_PVAS_SERVER_PORT": pva,
        "EPICS_PVAS_BROADCAST_PORT": broadcast,
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        # What is sent to one address reaches one of the clients that share the port.
        "EPICS_PVAS_BEACON_ADDR_LIST": f"127.255.255.255:{broadcast}",
        "EPICS_PVA_BROADCAST_PORT": broadcast,
        "EPICS_PVA_ADDR_LIST": f"127.0.0.1:{broadcast}",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING": "NO",
        "IOCMNG_PORT": http,
        "IOCMNG_URL": f"http://127.0.0.1:{http}",
        "IOCMNG_STATE_DIR": str(directory / "state"),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "XDG_STATE_HOME": str(directory / "user-state"),
    }


class Client:
    """A CA and PVA client in a process of its own; see client_program.py."""

    def __init__(self, environment: Environment, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [environment.program("python"), str(CLIENT)],
            env={**outside(), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines = Lines(self._process.stdout)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Have one request answered."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._lines.next(2 * request["deadline"] + 30.0, f"{request}"))
        return answer

    def close(self) -> None:
        """End it."""
        with ending(self._process):
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(STOP)
        self._lines.close()


@dataclass
class RunningHost:
    """A host that said where it listens."""

    process: subprocess.Popen[str]
    environment: Environment
    env: dict[str, str]
    lines: Lines
    _client: Client | None = None

    @property
    def url(self) -> str:
        return self.env["IOCMNG_URL"]

    @property
    def output(self) -> str:
        return str(self.lines)

    def iocmng(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line against this host."""
        return self.environment.run("iocmng", *arguments, env=self.env)

    def read(self, provider: str, name: str, wanted: Any = None, deadline: float = 20.0) -> Any:
        """The value a client in another process reads, once it is valid (and equal to `wanted`)."""
        return self._told("read", provider, name, wanted, deadline)

    def write(self, provider: str, name: str, value: Any, deadline: float = 20.0) -> None:
        """Put with callback, by a client in another process."""
        self._told("write", provider, name, value, deadline)

    def _told(self, do: str, provider: str, name: str, value: Any, deadline: float) -> Any:
        if self._client is None:
            self._client = Client(self.environment, self.env)
        answer = self._client.ask(do=do, provider=provider, name=name, value=value, deadline=deadline)
        assert "error" not in answer, f"{answer['error']}\n{self.output}"
        return answer["value"]

    def forget(self) -> None:
        """Let go of what is left when the process has ended."""
        if self._client is not None:
            self._client.close()
        self.lines.close()

    def stop(self) -> int:
        """End it as systemd does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP)

    def interrupt(self) -> int:
        """End it as Ctrl-C in a terminal does: everything in the foreground hears of it."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP)


def without_example(directory: Path) -> dict[str, str]:
    """Settings that leave out the example's plugins: README's command lines install them where the tests run."""
    directory.mkdir(parents=True, exist_ok=True)
    site = directory / "without-example.yaml"
    site.write_text("exclude: [host-monitor, disk-probe]\n")
    return {"IOCMNG_CONFIG": str(site)}


@contextmanager
def running(
    environment: Environment,
    directory: Path,
    *arguments: str,
    argv: list[str] | None = None,
    env: dict[str, str] | None = None,
    start: float = START,
) -> Iterator[RunningHost]:
    """`iocmng run ARGUMENTS` (or `argv`) in `directory`, from when it prints its URL until the block ends.

    `env` is laid over a world of its own; `start` is how long the URL may take, seconds.
    """
    world = {**own_world(directory), **(env or {})}
    process = subprocess.Popen(
        argv or [environment.program("iocmng"), "run", *arguments],
        cwd=directory,
        env={**outside(), **world},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    host = RunningHost(process, environment, world, Lines(process.stdout))
    try:
        _until_it_serves(host, start)
        yield host
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP)
        host.forget()


def _until_it_serves(host: RunningHost, start: float) -> None:
    end = time.monotonic() + start
    while host.url not in (line := host.lines.next(end - time.monotonic(), "the host's URL")):
        assert line, f"the host ended with code {host.process.wait(STOP)}:\n{host.output}"
