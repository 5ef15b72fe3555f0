"""`restart-host`: a new process in the place of the old one, and the generation that it starts with."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from environments import Environment, outside
from hosts import Client, RunningHost, own_world, running
from support.staged import staged
from support.wheels import wheel

from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.model import Pointer

DEADLINE = 40.0
SECRET = "handed-over-0123456789abcdef"
ARGV = [sys.executable, "-m", "iocmng_cli", "run"]
CODE = """
import os, subprocess
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        if self.name == "beam" and os.path.exists("may-leave-a-child"):
            os.remove("may-leave-a-child")
            child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.set_pv("CHILD", child.pid)

    def execute(self):
        self.set_pv("TWICE", 2 * self.get_pv("SETPOINT"))
"""
CONFIG = """
parameters: {interval: 0.1}
arguments:
  inputs: {SETPOINT: {type: float, value: 1.0}}
  outputs: {TWICE: {type: float}, CHILD: {type: int}}
"""
FAILING = CODE.replace("        if self.name", "        raise OSError('no gas')\n        if self.name")
DEADLY = "import os; os._exit(9)\n"
SITE = """
prefix: AGAIN
only_listed: true
install: {confirm_for: 0.3}
instances:
  - {plugin: beam}
  - {plugin: beam, name: stopped}
  - {plugin: beam, name: paused}
"""


@contextmanager
def serving(folder: Path, world: dict[str, str]) -> Iterator[RunningHost]:
    (folder / "iocmng.yaml").write_text(SITE)
    with running(Environment(Path(sys.prefix)), folder, argv=ARGV, env=world) as host:
        yield host


def package(folder: Path, version: str, code: str = CODE, pth: str = "") -> Path:
    """A wheel of the plugin `beam`; with `pth` it brings code that runs as soon as it is on the import path."""
    files = {"acme_beam/plugin.py": code, "acme_beam/config.yaml": CONFIG}
    files |= {"acme_beam.pth": pth} if pth else {}
    return wheel(folder / "made", "acme-beam", version, plugin="beam", files=files)


def request(url: str, method: str, path: str) -> tuple[int, str]:
    """Status and text of one answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=DEADLINE)
    with closing(connection):
        connection.request(method, path, headers={"Authorization": f"Bearer {SECRET}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


class Asked:
    """The admin endpoint, asked over a connection of its own each time."""

    def __init__(self, host: RunningHost) -> None:
        self._host = host

    def __call__(self, method: str, path: str, status: int = 200) -> Any:
        found, text = request(self._host.url, method, f"/api/v1{path}")
        assert found in (status, 202, 204), text
        return json.loads(text) if text else None

    def restarted(self) -> dict[str, Any]:
        """Restart the host, and wait until it was replaced; what it is then."""
        before = self("GET", "/host")["boot_id"]
        self("POST", "/host/restart")
        end = time.monotonic() + DEADLINE
        while True:
            found: dict[str, Any] = self("GET", "/host")
            if found["boot_id"] != before:
                return found
            assert time.monotonic() < end, self._host.output
            time.sleep(0.02)


def states(asked: Asked) -> dict[str, str]:
    return {one["name"]: one["state"] for one in asked("GET", "/plugins")["plugins"]}


def gone(pid: int) -> bool:
    end = time.monotonic() + DEADLINE
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Callers:
    """Connects again and again for as long as the block lasts, each time anew, and asks for something."""

    def __init__(self, url: str) -> None:
        self.failures: list[str] = []
        self.answers = 0
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._call)

    def _call(self) -> None:
        while not self._over.is_set():
            try:
                status, text = request(self._url, "GET", "/livez")
                if status != 200:
                    self.failures.append(text)
                self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            time.sleep(0.002)

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(DEADLINE)


def told(systemd: socket.socket, wanted: str) -> list[str]:
    """Datagrams up to the first that begins with a word."""
    heard: list[str] = []
    end = time.monotonic() + DEADLINE
    while not heard or not heard[-1].startswith(wanted):
        assert time.monotonic() < end, heard
        heard.append(systemd.recv(4096).decode())
    return heard


def test_a_restarted_host_is_the_same_process_with_the_same_state(tmp_path: Path) -> None:
    state = tmp_path / "state"
    store = Generations(state)
    staged(state, 1, package(tmp_path, "1.0"))
    store.point(Pointer(current=1))
    (tmp_path / "may-leave-a-child").touch()
    notify = tmp_path / "notify"
    world = {
        **own_world(tmp_path),
        "IOCMNG_TOKEN": SECRET,
        "NOTIFY_SOCKET": str(notify),
        "WATCHDOG_USEC": "30000000",
    }
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(notify))
        systemd.settimeout(DEADLINE)
        with serving(tmp_path, world) as host:
            asked = Asked(host)
            before = asked("GET", "/host")
            host.write("ca", "AGAIN:BEAM:SETPOINT", 7.5)
            host.read("pva", "AGAIN:BEAM:TWICE", wanted=15.0)
            child = int(host.read("ca", "AGAIN:BEAM:CHILD"))
            asked("POST", "/plugins/stopped/stop")
            asked("POST", "/plugins/paused/pause")
            told(systemd, "READY=1")
            (tmp_path / "iocmng.yaml").write_text(f"{SITE}prefx: X\n")
            assert "prefx" in asked("POST", "/host/restart", 422)["detail"]
            (tmp_path / "iocmng.yaml").write_text(SITE)
            staged(state, 2, package(tmp_path, "2.0"))
            store.point(Pointer(current=1, pending=2))
            with Callers(host.url) as callers:
                after = asked.restarted()
            assert callers.failures == []
            assert callers.answers > 1
            assert (after["pid"], before["pid"]) == (host.process.pid, host.process.pid)
            assert after["url"] == before["url"]
            assert gone(child)
            assert states(asked) == {"beam": "RUN", "stopped": "END", "paused": "PAUSED"}
            assert asked("GET", "/plugins/beam")["version"] == "2.0"
            end = time.monotonic() + DEADLINE
            while store.pointer() != Pointer(current=2, previous=1):
                assert time.monotonic() < end, store.pointer()
                time.sleep(0.02)
            heard = told(systemd, "READY=1")
            assert not any("STOPPING=1" in one for one in heard)
            assert any(one.startswith("RELOADING=1\nSTATUS=restarting\nMONOTONIC_USEC=") for one in heard)
            assert "WATCHDOG_USEC=30000000" in heard[-1]
            words = Path(f"/proc/{host.process.pid}/cmdline").read_bytes()
            assert words.split(b"\0")[1:-1] == [word.encode() for word in ARGV[1:]]
            sockets = [os.readlink(link) for link in Path(f"/proc/{host.process.pid}/fd").iterdir()]
            assert len(sockets) < 80
            fresh = Client(host.environment, host.env)
            try:
                for provider in ("ca", "pva"):
                    answer = fresh.ask(
                        do="read", provider=provider, name="AGAIN:BEAM:TWICE", value=15.0, deadline=DEADLINE
                    )
                    assert answer == {"value": 15.0}
            finally:
                fresh.close()
            assert host.stop() == 0
            assert told(systemd, "STOPPING=1")
            assert not (state / "endpoint.json").exists()
    assert SECRET not in host.output


def test_a_generation_that_kills_two_starts_is_left_for_the_one_before(tmp_path: Path) -> None:
    state = tmp_path / "state"
    staged(state, 1, package(tmp_path, "1.0"))
    staged(state, 2, package(tmp_path, "2.0", pth=DEADLY))
    store = Generations(state)
    store.point(Pointer(current=1, pending=2))
    (tmp_path / "iocmng.yaml").write_text(SITE)
    world = {**own_world(tmp_path), "IOCMNG_TOKEN": SECRET}
    for attempt in (1, 2):
        died = subprocess.run(
            ARGV, cwd=tmp_path, env={**outside(), **world}, capture_output=True, timeout=DEADLINE
        )
        assert died.returncode == 9, died.stderr
        assert store.pointer().attempts == attempt
    with serving(tmp_path, world) as host:
        asked = Asked(host)
        beam = asked("GET", "/plugins/beam")
        assert (beam["state"], beam["version"], beam["generation"]) == ("RUN", "1.0", 1)
        assert any("generation 2 was not kept" in problem for problem in asked("GET", "/host")["problems"])
        assert asked("GET", "/host")["state"] == "RUN"
        # Killed between the switch of the pointer and the next start.
        staged(state, 3, package(tmp_path, "3.0", code=FAILING))
        store.point(Pointer(current=1, pending=3))
        os.kill(host.process.pid, signal.SIGKILL)
        host.process.wait(DEADLINE)
    with serving(tmp_path, world) as host:
        # That generation starts, and does not run well: another restart leaves it.
        host.lines.until("generation 3 is not kept, the host restarts with 1: beam ")
        host.lines.until(host.url)
        asked = Asked(host)
        assert "no gas" in store.pointer().rejected[3]
        assert (store.pointer().current, store.pointer().pending) == (1, None)
        assert (asked("GET", "/plugins/beam")["version"], asked("GET", "/host")["state"]) == ("1.0", "RUN")
        assert any("no gas" in problem for problem in asked("GET", "/host")["problems"])
