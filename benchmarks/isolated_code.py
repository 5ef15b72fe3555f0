"""What the workers of `isolation.py` run; imported by no host."""

from __future__ import annotations

import time

from iocmng import TaskBase

VALUES = 20_000
READS = 2_000
ARRAYS = 500
LENGTH = 4096


class Bare(TaskBase):
    """Nothing."""

    def execute(self) -> None:
        pass


class Writer(TaskBase):
    """Writes as fast as it can, and tells the processor time of its process for each value, in seconds."""

    def execute(self) -> None:
        began = time.process_time()
        for number in range(VALUES):
            self.set_pv("VALUE", number)
        self.set_pv("PER_VALUE", (time.process_time() - began) / VALUES)
        self.set_pv("DONE", True)
        self.sleep(3600)


class Speaker(TaskBase):
    """Writes and reads as fast as it can, and tells how long that took, in seconds for each."""

    def execute(self) -> None:
        import numpy as np

        began = time.perf_counter()
        for number in range(VALUES):
            self.set_pv("VALUE", number)
        # The answer comes when the host has taken all of them.
        self.get_pv("VALUE")
        values = (time.perf_counter() - began) / VALUES
        began = time.perf_counter()
        for _ in range(READS):
            self.get_pv("VALUE")
        reads = (time.perf_counter() - began) / READS
        array = np.zeros(LENGTH)
        began = time.perf_counter()
        for _ in range(ARRAYS):
            self.set_pv("ARRAY", array)
        self.get_pv("VALUE")
        arrays = (time.perf_counter() - began) / ARRAYS
        self.set_pv("PER_VALUE", values)
        self.set_pv("PER_READ", reads)
        self.set_pv("PER_ARRAY", arrays)
        self.set_pv("DONE", True)
