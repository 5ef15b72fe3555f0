"""The stage with records that the test plays and a virtual clock: no IOC, no network, no waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from iocmng_stage_bridge import Stage

from iocmng.bridge import TaskStatus
from iocmng.testing import TaskUnderTest, run_task

RECORDS = {
    "Trigger": 0,
    "Busy": 0,
    "Heartbeat": 0,
    "TaskStatus": 0,
    "TaskDuration": 0.0,
    "Target": 0.0,
    "Position": 0.0,
    "Limit": 50.0,
}


def pv(name: str) -> str:
    return f"pva://STAGE:{name}"


@pytest.fixture
def stage() -> Iterator[TaskUnderTest]:
    with run_task(Stage, start=False) as under_test:
        for name, value in RECORDS.items():
            under_test.bench.links.serve(pv(name), value)
        under_test.act("start")
        yield under_test


def move(stage: TaskUnderTest, target: float, seconds: float) -> TaskStatus:
    """Put a target, trigger, let time pass."""
    stage.bench.links.serve(pv("Target"), target)
    stage.bench.links.serve(pv("Trigger"), 1)
    stage.step(seconds)
    return TaskStatus(int(stage.bench.links.get(pv("TaskStatus")).value))


def test_it_moves_one_unit_in_a_tenth_of_a_second(stage: TaskUnderTest) -> None:
    assert move(stage, 3.5, 0.4) is TaskStatus.SUCCESS
    assert stage.bench.links.get(pv("Position")).value == 3.5
    assert stage.bench.links.get(pv("TaskDuration")).value == pytest.approx(0.4)


def test_it_stays_where_it_is_when_it_is_there_or_may_not_go_there(stage: TaskUnderTest) -> None:
    assert move(stage, 0.0, 0.0) is TaskStatus.SKIPPED
    assert move(stage, 51.0, 0.0) is TaskStatus.LOGIC_FAILURE
    assert stage.bench.links.get(pv("Position")).value == 0.0


def test_a_record_that_does_not_answer_is_an_io_failure(stage: TaskUnderTest) -> None:
    stage.bench.links.disconnect(pv("Limit"))
    assert move(stage, 1.0, 3.0) is TaskStatus.IO_FAILURE
