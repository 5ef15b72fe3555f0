"""What a worker asks of the system: to end with its host, to be bounded in memory, to be ended before others."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"
_MIB = 1 << 20


def end_with(host: int) -> None:
    """End when the host ends, however it does; at once when it has."""
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
    prctl.restype = ctypes.c_int
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != host:
        # It was faster: nobody would send that signal any more.
        os._exit(1)


def prepare() -> None:
    """Be no one's but the host's to end, tell where a crash happens, and go first when memory runs out."""
    faulthandler.enable(file=sys.stderr, all_threads=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        # systemd sends it to all processes of the host, which tells its workers itself. A handler, unlike SIG_IGN,
        # is not handed down to what the code starts.
        signal.signal(number, _not_ours)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def _not_ours(number: int, frame: object) -> None:
    """The host ends its workers itself."""


def bound_memory(limit: float) -> None:
    """Let this process take `limit` MiB more than it has now; beyond that allocations fail."""
    present = 0
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmData:"):
                present = int(line.split()[1]) << 10
    size = present + int(limit * _MIB)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def end_at_once() -> None:
    """End this process and what it started in its group."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
