"""Another IOC beside the host under test: it can be set, slowed, stopped, killed, and started at the same ports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from children import Lines
from environments import outside
from hosts import free_ports

PROGRAM = Path(__file__).with_name("switches_ioc.py")
DEADLINE = 20.0


class OtherIoc:
    """Serves the records OTHER:NAME and tells what they are written; see switches_ioc.py for the forms of a name.

    Attributes:
        changes: Values by name, oldest first.
    """

    def __init__(self, scratch: Path, *names: str) -> None:
        self._ca, self._pva, self._broadcast = map(str, free_ports(3))
        self._command = [sys.executable, str(PROGRAM), str(scratch), *names]
        self.changes: dict[str, list[Any]] = {name.partition("=")[0]: [] for name in names}
        self.start()

    def reach(self, world: dict[str, str]) -> dict[str, str]:
        """A host's environment in which this one is found too, and its death is noticed soon."""
        return {
            **world,
            "EPICS_CA_ADDR_LIST": f"{world['EPICS_CA_ADDR_LIST']} 127.0.0.1:{self._ca}",
            "EPICS_PVA_ADDR_LIST": f"{world['EPICS_PVA_ADDR_LIST']} 127.0.0.1:{self._broadcast}",
            "EPICS_CA_CONN_TMO": "2",
            "EPICS_PVA_CONN_TMO": "2",
        }

    def start(self) -> None:
        env = {
            "EPICS_CA_SERVER_PORT": self._ca,
            "EPICS_CAS_SERVER_PORT": self._ca,
            "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_PVAS_SERVER_PORT": self._pva,
            "EPICS_PVAS_BROADCAST_PORT": self._broadcast,
            "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING": "NO",
        }
        self._process = subprocess.Popen(
            self._command,
            env={**outside(), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines = Lines(self._process.stdout, self._heard)
        self._lines.until("ready", 60.0)

    def _heard(self, line: str) -> None:
        if line.startswith("{"):
            change = json.loads(line)
            value = change["value"]
            self.changes[change["name"]].append(value)

    def set(self, name: str, value: Any, severity: int = 0) -> None:
        """Change a record from inside, with or without an alarm."""
        self._say(f"set {name} {severity} {value!r}")

    def slow(self, name: str, seconds: float) -> None:
        """Let every write of a record take so long."""
        self._say(f"slow {name} {seconds}")

    def _say(self, line: str) -> None:
        stream = self._process.stdin
        assert stream is not None
        stream.write(f"{line}\n")
        stream.flush()

    def hang(self) -> None:
        """Stop it where it stands: its connections stay, and nobody answers."""
        self._process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self._process.pid}/task")
        end = time.monotonic() + DEADLINE
        # The signal stops one thread after another; one that still runs may answer.
        while any((task / "stat").read_text().rpartition(") ")[2][0] != "T" for task in tasks.iterdir()):
            assert time.monotonic() < end, "the other IOC does not stop"

    def go_on(self) -> None:
        """Let it run again after `hang`."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, with nobody told."""
        self._process.kill()
        self._process.wait(DEADLINE)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
