"""A task that notes when each of its cycles began, and writes the times down when it is stopped."""

import json
import time
from pathlib import Path

from iocmng import TaskBase


class Cycle(TaskBase):
    """Does nothing in a cycle but note the time; `out` is the directory for the times."""

    def initialize(self):
        self.times = []

    def execute(self):
        self.times.append(time.monotonic())

    def cleanup(self):
        if out := self.parameters["out"]:
            (Path(out) / f"{self.name}.json").write_text(json.dumps(self.times))
