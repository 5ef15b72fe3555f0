"""The triggered task `disk-probe`: times one write to a disk each time RUN is put."""

from __future__ import annotations

import os
import tempfile
import time

from pydantic import Field

from iocmng import ParameterModel, TaskBase

MIB = 1024 * 1024


class DiskProbe(TaskBase):
    """Writes SIZE MiB to a file, waits until the disk has them, and removes the file."""

    class Parameters(ParameterModel):
        """Where to write."""

        directory: str = Field("", description="directory to write in; empty for the system's temporary one")

    def triggered(self) -> None:
        """Time one write."""
        size = int(self.get_pv("SIZE"))
        directory = self.parameters.directory or tempfile.gettempdir()
        self.set_message(f"writing {size} MiB to {directory}")
        seconds = self._write(directory, size)
        if seconds is None:
            self.set_message("stopped before the write was complete")
            return
        self.set_pv("WRITE_TIME", seconds)
        self.set_pv("WRITE_RATE", size / seconds)
        self.set_message(f"{size} MiB in {seconds:.3f} s")
        self.logger.info("%d MiB to %s in %.3f s", size, directory, seconds)

    def _write(self, directory: str, size: int) -> float | None:
        """Seconds that `size` MiB took, or None when the task was told to stop in between."""
        block = os.urandom(MIB)
        with tempfile.TemporaryFile(dir=directory) as file:
            began = time.perf_counter()
            for _ in range(size):
                if self.stopping:
                    return None
                file.write(block)
                self.keepalive()
            file.flush()
            os.fsync(file.fileno())
            return time.perf_counter() - began
