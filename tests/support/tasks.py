"""Small tasks and configs for tests of the runtime."""

from __future__ import annotations

from typing import Any

from iocmng import TaskBase

CONFIG: dict[str, Any] = {
    "parameters": {"interval": 1.0},
    "arguments": {
        "inputs": {"FAIL": {"type": "bool", "value": False}},
        "outputs": {
            "WRITTEN": {"type": "float"},
            "DECLARED": {"type": "float", "value": 3.0},
            "SAFE": {"type": "float", "value": 1.0, "fail_safe": -1.0},
        },
    },
}


def config(**supervision: Any) -> dict[str, Any]:
    return {**CONFIG, "supervision": supervision}


def block(task: TaskBase, seconds: float) -> None:
    """Wait as a driver's call would: deaf to everything, without progress."""
    task._bound._run._clock.wakeup().wait(seconds)  # type: ignore[attr-defined]


class Counting(TaskBase):
    """Writes its cycle number; fails while FAIL is set."""

    def initialize(self) -> None:
        self.number = 0
        self.ended = False

    def execute(self) -> None:
        self.number += 1
        if self.get_pv("FAIL"):
            raise ValueError("told to")
        self.set_pv("WRITTEN", self.number)
