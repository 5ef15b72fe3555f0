"""A host as a child process, for as long as its sources stay as they are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_PATIENCE = 15.0


class HostProcess:
    """One `iocmng run`; its output goes where ours goes."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], import_path: Sequence[Path]
    ) -> None:
        self._command = [sys.executable, "-m", "iocmng_cli", "run", *arguments]
        inherited = environment.get("PYTHONPATH", "")
        path = os.pathsep.join([*map(str, import_path), *([inherited] if inherited else [])])
        self._environment = {**environment, "PYTHONPATH": path}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(self._command, env=self._environment, stdin=subprocess.DEVNULL)

    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def stop(self) -> None:
        """End it: politely, and by force when that takes too long; again does nothing."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"the host did not stop within {STOP_PATIENCE:g} s and is killed", file=sys.stderr)
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port that nobody listened at a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
