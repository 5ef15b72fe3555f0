"""What iocmng 2.x plugins assign to themselves: their own log and parameters, and `running = False`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from iocmng import TaskBase
from iocmng.testing import run_task

CONFIG: dict[str, Any] = {
    "parameters": {"interval": 1.0, "gain": 2},
    "arguments": {"outputs": {"N": {"type": "int"}}},
}


def test_a_task_may_have_a_log_and_parameters_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    class Old(TaskBase):
        def __init__(self, name: str, parameters: Any, **others: Any) -> None:
            super().__init__(name, parameters, **others)
            self.logger = logging.getLogger("of.its.own")
            self.parameters = {**parameters, "gain": 3}

        def execute(self) -> None:
            self.parameters = dict(self.parameters)
            seen.append((self.logger.name, self.parameters["gain"]))

    with caplog.at_level(logging.WARNING), run_task(Old, CONFIG) as task:
        task.step(2.0)
        assert task.status == "RUN"
    assert set(seen) == {("of.its.own", 3)}
    said = [record.getMessage() for record in caplog.records if "assigns self." in record.getMessage()]
    assert [line.partition(":")[0] for line in said] == [
        "Old assigns self.logger",
        "Old assigns self.parameters",
    ]


def test_a_task_that_sets_running_to_false_ends_in_order_and_can_be_started_again() -> None:
    cleaned: list[TaskBase] = []

    class Once(TaskBase):
        def initialize(self) -> None:
            self.running = True

        def execute(self) -> None:
            self.set_pv("N", 1)
            self.running = False
            assert not self.running

        def cleanup(self) -> None:
            cleaned.append(self)

    with run_task(Once, CONFIG) as task:
        for count in (1, 2):
            task.step(5.0)
            assert task.status == "END"
            assert task.message == "ended by itself: its code set running to False"
            assert task.get("RESTARTS") == 0
            assert task.last_error == ""
            assert len(cleaned) == count
            if count == 1:
                task.act("start")
