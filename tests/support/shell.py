"""Commands as processes of their own against an endpoint over a host in memory, and fixtures for both."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from children import Lines, ending
from environments import outside
from support.commands import Done, typed
from support.serving import SECRETS, Served, serving

DEADLINE = 30.0


class Shell:
    """Runs commands against the endpoint, by default as operator."""

    def __init__(self, url: str, home: Path) -> None:
        self.environ = {
            **outside(),
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "IOCMNG_URL": url,
            "IOCMNG_TOKEN": SECRETS["operator"],
        }

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        environ = {**self.environ, **options.pop("env", {})}
        command = [sys.executable, "-m", "iocmng_cli", *arguments]
        pipes = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }
        return subprocess.Popen(command, env=environ, **{**pipes, **options})

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run it in this process, without a terminal: half a second sooner."""
        return typed(*arguments, env={**self.environ, **(env or {})})

    def apart(self, *arguments: str, **options: Any) -> Done:
        """Run it in a process of its own: what depends on how a program begins and ends."""
        with ending(self.popen(*arguments, **options)) as process:
            out, err = process.communicate(timeout=DEADLINE)
        return Done(process.returncode, out, err)

    def on_terminal(self, *arguments: str, answer: str = "", columns: int = 100) -> Done:
        """Run it with a terminal as standard input, output and error; everything comes back as `out`."""
        leader, follower = pty.openpty()
        env = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
        process = self.popen(*arguments, stdin=follower, stdout=follower, stderr=follower, env=env)
        os.close(follower)
        with ending(process):
            if answer:
                os.write(leader, answer.encode())
            try:
                shown = read_all(leader, process)
            finally:
                os.close(leader)
            return Done(process.wait(DEADLINE), shown, "")


def read_all(leader: int, process: subprocess.Popen[str]) -> str:
    shown, end = b"", time.monotonic() + DEADLINE
    while time.monotonic() < end:
        ready, _, _ = select.select([leader], [], [], 0.1)
        try:
            part = os.read(leader, 65536) if ready else b""
        except OSError:  # Linux says EIO when the other side has closed
            break
        shown += part
        if not part and process.poll() is not None:
            break
    return shown.decode()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint that answers for the whole module."""
    with serving(tmp_path_factory.mktemp("state")) as found:
        yield found


@pytest.fixture
def served(endpoint: Served) -> Served:
    """The endpoint with a host as new."""
    endpoint.call(endpoint.control.__init__)  # type: ignore[misc]
    return endpoint


@pytest.fixture
def shell(served: Served, tmp_path: Path) -> Shell:
    """Commands of an operator."""
    return Shell(served.url, tmp_path)


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def followed(process: subprocess.Popen[str]) -> Iterator[Lines]:
    """What a command prints that goes on until Ctrl-C, which ends it cleanly and silently at the end."""
    with ending(process):
        lines = Lines(process.stdout)
        yield lines
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
        lines.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
