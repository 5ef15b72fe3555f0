"""Programs that an installation runs: bounded in time, without a terminal, ended with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iocmng.errors import InstallFailed
from iocmng.plugins.installing.model import Tell
from iocmng.plugins.installing.onlyone import shared_with_children

MOST_OUTPUT = 64 << 10
_POLL = 0.05
_REPORT = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code (negative: the signal), and the last 64 KiB of what it said."""

    code: int
    output: str


def run_child(
    argv: Sequence[str],
    *,
    what: str,
    env: Mapping[str, str],
    cwd: Path,
    timeout: float,
    tell: Tell,
) -> Ended:
    """Run a program to its end; `tell` hears once a second that it still runs, and may end it by raising.

    Args:
        argv: Program and arguments; no shell is asked.
        what: What it does, for progress and errors.
        env: All of its environment.
        cwd: Its working directory.
        timeout: Seconds after which it is ended.
        tell: Called with lines of progress.

    Raises:
        InstallFailed: There is no such program, or it took too long.
        Aborted: `tell` said so.
    """
    with tempfile.TemporaryFile() as output:
        try:
            # Neither fork nor preexec_fn: both hung in processes that run EPICS.
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=shared_with_children(),
            )
        except OSError as problem:
            raise InstallFailed(
                f"{what}: {argv[0]} cannot be started: {problem.strerror or problem}"
            ) from None
        try:
            _until_over(process, what, timeout, tell)
        finally:
            _end(process)
        output.seek(max(0, output.seek(0, os.SEEK_END) - MOST_OUTPUT))
        return Ended(process.returncode, output.read().decode("utf-8", "replace"))


def _until_over(process: subprocess.Popen[bytes], what: str, timeout: float, tell: Tell) -> None:
    begun = reported = time.monotonic()
    while process.poll() is None:
        now = time.monotonic()
        if now - begun > timeout:
            raise InstallFailed(f"{what} took more than {timeout:.0f} s and was ended")
        if now - reported >= _REPORT:
            reported = now
            tell(f"{what}: {now - begun:.0f} s")
        try:
            process.wait(_POLL)
        except subprocess.TimeoutExpired:
            continue


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it started, unless it ended by itself."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
