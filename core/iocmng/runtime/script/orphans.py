"""Processes that a dead host has left behind: found by what only they carry, and ended."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iocmng.runtime.runs_files import RunFiles
from iocmng.runtime.script.process import (
    DEAD,
    RUN_FOLDER,
    RUN_ID,
    ProcessMark,
    boot_id,
    process_ids,
    stat_of,
)

GRACE = 5.0
KILL_WAIT = 5.0
_STEP = 0.05
_log = logging.getLogger("iocmng.runs")


@dataclass(frozen=True, slots=True)
class Orphans:
    """Living processes of one run, with the grace that its script has."""

    run: str
    files: RunFiles
    pids: tuple[int, ...]
    grace: float = GRACE

    def __str__(self) -> str:
        return "1 process" if len(self.pids) == 1 else f"{len(self.pids)} processes"

    def end(self, done: Callable[[], None]) -> None:
        """End them in a thread of its own: TERM, grace, KILL; `done` is called there when it is over."""

        def work() -> None:
            try:
                self._end()
            finally:
                done()

        threading.Thread(target=work, name="iocmng-orphans", daemon=True).start()

    def _end(self) -> None:
        for number, wait in ((signal.SIGTERM, self.grace), (signal.SIGKILL, KILL_WAIT)):
            end = time.monotonic() + wait
            told: set[int] = set()
            # Looked for again each time: what is being ended may still start others.
            while present := self._present():
                for pid in {*present} - told:
                    self._send(pid, number)
                    told.add(pid)
                if time.monotonic() >= end:
                    break
                time.sleep(_STEP)
            else:
                break
        if left := self._present():
            _log.error("run %s: processes %s do not end", self.run, ", ".join(map(str, left)))
        with suppress(OSError):
            self.files.process.unlink(missing_ok=True)

    def _present(self) -> tuple[int, ...]:
        found = find_orphans({self.run: self.files}).get(self.run)
        return found.pids if found else ()

    def _send(self, pid: int, number: signal.Signals) -> None:
        """Signal a process, after making sure once more that it is the one, by a handle that no other can get."""
        with suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                if pid in self._present():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def find_orphans(runs: Mapping[str, RunFiles]) -> dict[str, Orphans]:
    """Living processes of runs, looked for once for all of them.

    A process belongs to a run when its environment carries run and folder, as it inherited them. One that has
    cleared its environment does when it is in the session of a leader that is known by pid, start and boot of the
    machine, or in a session in which another one carries the environment.
    """
    marks = {run: ProcessMark.read(files.process) for run, files in runs.items()}
    boot = boot_id()
    by_session: dict[int, list[int]] = {}
    found: dict[str, set[int]] = {run: set() for run in runs}
    sessions: dict[str, set[int]] = {run: set() for run in runs}
    for pid in process_ids():
        stat = stat_of(pid)
        if stat is None or stat.state in DEAD or pid == os.getpid():
            continue
        by_session.setdefault(stat.session, []).append(pid)
        run = _carried(pid, runs)
        if run:
            found[run].add(pid)
            sessions[run].add(stat.session)
        for one, mark in marks.items():
            if mark and (mark.pid, mark.started, mark.boot) == (pid, stat.started, boot):
                sessions[one].add(pid)
    own = os.getsid(0)
    for run, leaders in sessions.items():
        for leader in leaders:
            mark = marks[run]
            # Only sessions that a run began: one that a script merely joined has foreign members.
            if leader != own and mark is not None and leader == mark.pid and mark.boot == boot:
                found[run].update(by_session.get(leader, ()))
    graces = {run: mark.grace if mark else GRACE for run, mark in marks.items()}
    return {
        run: Orphans(run, runs[run], tuple(sorted(pids)), graces[run]) for run, pids in found.items() if pids
    }


def _carried(pid: int, runs: Mapping[str, RunFiles]) -> str:
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    if RUN_ID.encode() not in content:
        return ""
    carried = dict(entry.partition(b"=")[::2] for entry in content.split(b"\0"))
    run = carried.get(RUN_ID.encode(), b"").decode("utf-8", "replace")
    if run in runs and carried.get(RUN_FOLDER.encode(), b"") == os.fsencode(runs[run].folder):
        return run
    return ""
