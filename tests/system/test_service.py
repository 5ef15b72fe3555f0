"""A host as a service: what systemd hears of it, its unit, and streams over a restart."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from environments import Environment
from hosts import own_world, running

from iocmng.client.stream import Message, messages

DEADLINE = 40.0
UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "iocmng.service"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end of what a host tells, under `tmp_path / "notify"`."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(DEADLINE)
        yield end


def told(systemd: socket.socket, wanted: str) -> list[str]:
    """Datagrams up to the first that holds a line."""
    heard: list[str] = []
    end = time.monotonic() + DEADLINE
    while not heard or wanted not in heard[-1].splitlines():
        assert time.monotonic() < end, heard
        heard.append(systemd.recv(4096).decode())
    return heard


def test_systemd_and_streams_follow_a_host_over_its_restart(tmp_path: Path, systemd: socket.socket) -> None:
    world = {**own_world(tmp_path), "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
    argv = [sys.executable, "-m", "iocmng_cli", "run", "--prefix", "RESTARTED"]
    seen: list[Message] = []
    with running(Environment(Path(sys.prefix)), tmp_path, argv=argv, env=world) as first:
        listening = threading.Event()

        def listen() -> None:
            with (
                httpx.Client(base_url=first.url, trust_env=False, timeout=DEADLINE) as http,
                http.stream("GET", "/api/v1/events?after=0") as answer,
            ):
                for message in messages(answer.iter_lines()):
                    seen.append(message)
                    listening.set()

        thread = threading.Thread(target=listen)
        thread.start()
        assert listening.wait(DEADLINE)
        assert told(systemd, "READY=1")[0].startswith("READY=1\nSTATUS=RUN: ")
        told(systemd, "WATCHDOG=1")
        os.kill(first.process.pid, signal.SIGTERM)
        assert told(systemd, "STOPPING=1")[-1] == "STOPPING=1\nSTATUS=stopping"
        assert first.process.wait(DEADLINE) == 0, first.output
        thread.join(DEADLINE)
        assert not thread.is_alive()
        assert any(message.data["text"] == "stopping" for message in seen)
    assert not (Path(world["IOCMNG_STATE_DIR"]) / "endpoint.json").exists()
    with running(Environment(Path(sys.prefix)), tmp_path, argv=argv, env=world) as second:
        headers = {"Last-Event-ID": seen[-1].id}
        with (
            httpx.Client(base_url=second.url, trust_env=False, timeout=DEADLINE) as http,
            http.stream("GET", "/api/v1/events", headers=headers) as answer,
        ):
            stream: Any = messages(answer.iter_lines())
            assert next(stream).kind == "gap"
            assert next(stream).data["id"] == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd")
def test_systemd_has_no_complaint_about_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    for setting in ("Type=notify", "WatchdogSec=", "RestartForceExitStatus=75"):
        assert f"\n{setting}" in text
    made = tmp_path / UNIT.name
    made.write_text(text.replace("ExecStart=/opt/iocmng/.venv/bin/iocmng", f"ExecStart={sys.executable}"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(made)], capture_output=True, text=True, timeout=DEADLINE
    )
    assert (done.returncode, done.stderr) == (0, "")
