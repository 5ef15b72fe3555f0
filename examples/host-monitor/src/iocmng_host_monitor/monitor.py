"""The continuous task `host-monitor`: measures the machine once per cycle."""

from __future__ import annotations

import time

import psutil
from pydantic import Field

from iocmng import ParameterModel, TaskBase
from iocmng_host_monitor import measure

MOST_INTERFACES = 64
"""The `length` of NET_IN and NET_OUT in monitor.config.yaml."""


class HostMonitor(TaskBase):
    """Publishes load, memory, disk, temperature and network rates of the machine."""

    class Parameters(ParameterModel):
        """What to look at."""

        disk_path: str = Field("/", description="a path on the file system to watch")
        sensor: str = Field("", description="name of the temperature chip; empty for the hottest of all")
        ignore_interfaces: list[str] = Field(
            ["lo", "veth*"], description="network interfaces to leave out; * and ? match"
        )

    def initialize(self) -> None:
        """Take the first look at the counters, from which the first rates are counted."""
        self.set_pv("CPU_COUNT", psutil.cpu_count() or 0)
        self.set_pv("BOOTED", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(psutil.boot_time())))
        psutil.cpu_percent()
        self._traffic = measure.traffic(self.parameters.ignore_interfaces)
        self._looked = time.monotonic()
        self._disk: measure.Usage | None = None
        if measure.temperature(self.parameters.sensor) is None:
            self.logger.warning("this machine shows no temperature: TEMPERATURE stays INVALID")

    def execute(self) -> None:
        """Measure everything once."""
        self._processor()
        self._memory()
        self._storage()
        self._network()

    def health(self) -> str | None:
        """Say so when the watched file system is nearly full."""
        if self._disk is not None and self._disk.free < 0.1:
            return f"{self.parameters.disk_path}: {self._disk.free * 1024:.0f} MiB left"
        return None

    def metrics(self) -> dict[str, float]:
        """Numbers for the metrics endpoint beside the PVs."""
        return {"network_interfaces": float(len(self._traffic.received))}

    def _processor(self) -> None:
        self.set_pv("CPU", psutil.cpu_percent())
        for name, load in zip(("LOAD1", "LOAD5", "LOAD15"), psutil.getloadavg(), strict=True):
            self.set_pv(name, load)
        self.set_pv("PROCESSES", len(psutil.pids()))
        hottest = measure.temperature(self.parameters.sensor)
        if hottest is not None:
            self.set_pv("TEMPERATURE", hottest)

    def _memory(self) -> None:
        memory = measure.memory()
        self.set_pv("MEMORY", memory.percent)
        self.set_pv("MEMORY_FREE", memory.free)
        self.set_pv("SWAP", psutil.swap_memory().percent)

    def _storage(self) -> None:
        self._disk = measure.disk(self.parameters.disk_path)
        self.set_pv("DISK", self._disk.percent)
        self.set_pv("DISK_FREE", self._disk.free)
        self.set_pv("DISK_LOW", self._disk.free < self.get_pv("DISK_LIMIT"))

    def _network(self) -> None:
        now, seen = time.monotonic(), measure.traffic(self.parameters.ignore_interfaces)
        if now > self._looked:
            found = measure.rates(self._traffic, seen, now - self._looked, MOST_INTERFACES)
            self.set_pv("NET_NAMES", "\n".join(found.names))
            self.set_pv("NET_IN", found.received)
            self.set_pv("NET_OUT", found.sent)
        self._looked, self._traffic = now, seen
