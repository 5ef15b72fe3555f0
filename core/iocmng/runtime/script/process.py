"""One process group: started, signalled and reaped without ever reaching a foreign process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

RUN_ID, RUN_FOLDER = "IOCMNG_RUN_ID", "IOCMNG_RUN_FOLDER"
"""Environment variables by which a process is known to belong to a run, also after its host has died."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STEP = 0.02
KILL_WAIT = 2.0
"""Seconds in which what was killed has to be gone."""

DEAD = frozenset("ZXx")
"""Letters of processes that run no more."""


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """What tells the leader of a group from every other process: pid, its start (kernel ticks), boot of the machine."""

    pid: int
    started: int
    boot: str
    grace: float

    def write(self, path: Path) -> None:
        """Keep it, in one step."""
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps(asdict(self)))
        os.replace(temporary, path)

    @classmethod
    def read(cls, path: Path) -> ProcessMark | None:
        """What was kept, None when there is nothing readable."""
        try:
            plain = json.loads(path.read_text())
            return cls(int(plain["pid"]), int(plain["started"]), str(plain["boot"]), float(plain["grace"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def boot_id() -> str:
    """Which boot of the machine this is, "" where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Stat:
    """Of a process: state letter, parent, process group, session, start in kernel ticks."""

    state: str
    parent: int
    group: int
    session: int
    started: int


def stat_of(pid: int) -> Stat | None:
    """What the system says of a process; None when there is none, or no such system."""
    try:
        # The name in parentheses may hold anything, also parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return Stat(fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))
    except (OSError, IndexError, ValueError):
        return None


def process_ids() -> Iterator[int]:
    """All processes of this machine, none where the system does not list them."""
    with suppress(OSError):
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())


class ProcessGroup:
    """A program in a session of its own, with everything that it starts and that stays in its group."""

    def __init__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], pass_fds: Sequence[int] = ()
    ) -> None:
        """Start it with closed stdin and two pipes.

        Raises:
            OSError: It cannot be started.
        """
        self._process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout, self.stderr = self._process.stdout, self._process.stderr
        self.pid = self._process.pid

    def mark(self, grace: float) -> ProcessMark:
        """What tells it from every other process."""
        stat = stat_of(self.pid)
        return ProcessMark(self.pid, stat.started if stat else 0, boot_id(), grace)

    def exit_code(self) -> int | None:
        """The exit code, minus the signal's number when one ended it; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to the whole group; return whether anybody was there.

        The group's number is no other's as long as the leader has not been reaped or a member lives.
        """
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def sweep(self, grace: float, kill_wait: float = KILL_WAIT) -> bool:
        """End what the leader has left behind in the group: TERM, grace, KILL; return whether there was anything.

        To be called after `exit_code` has given one.
        """
        if not self._lives():
            return False
        self.signal(signal.SIGTERM)
        if not self._vanishes(grace):
            self.signal(signal.SIGKILL)
            self._vanishes(kill_wait)
        return True

    def _lives(self) -> bool:
        """Whether the group has a member that is more than a zombie which nobody reaps."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        stats = [stat for pid in process_ids() if (stat := stat_of(pid)) and stat.group == self.pid]
        return not stats or any(stat.state not in DEAD for stat in stats)

    def _vanishes(self, timeout: float) -> bool:
        end = time.monotonic() + timeout
        while self._lives():
            if time.monotonic() >= end:
                return False
            time.sleep(_STEP)
        return True

    def kill(self) -> None:
        """End it at once if it still runs, whatever kept others from doing so."""
        if self.exit_code() is None:
            self.signal(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_WAIT)

    def close(self) -> None:
        """Let go of the pipes."""
        for stream in (self.stdout, self.stderr):
            with suppress(OSError):
                stream.close()
