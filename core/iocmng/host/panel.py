"""The host's own PVs."""

from __future__ import annotations

import os
import socket
import time

from iocmng.lifecycle import HostState, JobState, State
from iocmng.runtime.job import JobInstance
from iocmng.runtime.panel import ascii_text
from iocmng.runtime.ports import Record
from iocmng.runtime.supervisor import Supervisor
from iocmng.runtime.task import TaskInstance
from iocmng.runtime.watchdog import Beat
from iocmng.values import Value
from iocmng.version import VERSION

_FAILED = (State.ERROR, State.BACKOFF, State.STALLED, State.INVALID)
_FAILED_JOBS = (JobState.FAILED, JobState.TIMEOUT, JobState.LOST)


class HostPanel:
    """Shows the host on `{prefix}:HOST:…`; the watchdog's thread calls `beat`, everything else the loop's."""

    def __init__(self, records: dict[str, Record], started: float) -> None:
        self._records = records
        self._shown: dict[str, Value] = {}
        self._started = started
        self._beats = 0
        self._cpu = (time.monotonic(), time.process_time())
        self.cpu = 0.0
        self.memory = 0.0
        self.counts = {"INSTANCES": 0, "RUNNING": 0, "FAILED": 0, "DEGRADED": 0}

    def show(self, name: str, value: Value) -> None:
        """Show `value` on one of the host's PVs, when it is another than before."""
        record = self._records.get(name)
        if record is not None and self._shown.get(name) != value:
            self._shown[name] = value
            record.publish(ascii_text(value, record.spec.length) if isinstance(value, str) else value)

    def introduce(self, boot_id: str, url: str) -> None:
        """Show what stays the same for the life of the process."""
        constants: dict[str, Value] = {
            "VERSION": VERSION,
            "BOOT_ID": boot_id,
            "HOSTNAME": socket.gethostname(),
            "PID": os.getpid(),
            "URL": url,
            "RESTART_REQUIRED": False,
        }
        for name, value in constants.items():
            self.show(name, value)

    def state(self, state: HostState) -> None:
        """Show STATE and SAFE_MODE."""
        self.show("STATE", int(state))
        self.show("SAFE_MODE", state is HostState.SAFE_MODE)

    def count(self, supervisor: Supervisor) -> None:
        """Show how many instances there are and how they are."""
        running = failed = degraded = 0
        for instance in supervisor:
            if isinstance(instance, TaskInstance):
                running += instance.state is State.RUN
                failed += instance.state in _FAILED
            elif isinstance(instance, JobInstance):
                running += instance.state is JobState.RUNNING
                failed += instance.state in _FAILED_JOBS
            degraded += bool(instance.degraded)
        self.counts = {
            "INSTANCES": len(supervisor),
            "RUNNING": running,
            "FAILED": failed,
            "DEGRADED": degraded,
        }
        for name, number in self.counts.items():
            self.show(name, number)

    def beat(self, beat: Beat) -> None:
        """Once a second: the heartbeat and the counter that ALIVE watches move only while the supervision answers."""
        self.show("UPTIME", time.time() - self._started)
        self._measure()
        self.show("CPU", self.cpu)
        self.show("MEMORY", self.memory)
        if beat.alive:
            self._beats += 1
            self.show("BEAT", self._beats % 2_000_000_000)
            self.show("HEARTBEAT", self._beats % 2 == 1)

    def _measure(self) -> None:
        (wall, used), self._cpu = self._cpu, (time.monotonic(), time.process_time())
        passed = self._cpu[0] - wall
        self.cpu = 100.0 * (self._cpu[1] - used) / passed if passed > 0 else 0.0
        self.memory = resident_mib()


def resident_mib() -> float:
    """Resident memory of this process in MiB; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as statm:
            pages = int(statm.read().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2
