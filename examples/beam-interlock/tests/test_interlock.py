"""The interlock with PVs that the test plays and a virtual clock: no IOC, no network, no waiting."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from iocmng.testing import TaskUnderTest, run_task
from iocmng.values import Severity

CONFIG = str(files("iocmng_beam_interlock") / "config.yaml")
TRACE = Path(__file__).parents[1] / "traces" / "leak.csv"
GOOD = {
    "CURRENT": 200.0,
    "P1": 1e-9,
    "P2": 1e-9,
    "P3": 1e-9,
    "FLOW": 12.0,
    "T_IN": 22.0,
    "T_OUT": 32.0,
    "SHUTTER": True,
    "SHUTTER_POSITION": 2,
    "VALVE": True,
    "DISK_FREE": 10.0,
}


@pytest.fixture
def task():
    with run_task(None, config=CONFIG, inputs=GOOD) as task:
        yield task


def wait(task: TaskUnderTest, seconds: float) -> None:
    """Let time pass while the cooling's device gives signs of life and the shutter obeys."""
    for _ in range(round(seconds / 0.5)):
        task.put("SHUTTER_POSITION", 2 if task.get("SHUTTER") else 0)
        for name in ("FLOW", "T_OUT"):
            task.put(name, task.get(name))
        task.step(0.5)


def leak(task: TaskUnderTest) -> None:
    task.put("P1", 1e-5)
    task.put("P2", 1e-5)


def heal(task: TaskUnderTest) -> None:
    task.put("P1", 1e-9)
    task.put("P2", 1e-9)
    wait(task, 2.0)


def test_a_good_machine_has_its_permit(task):
    assert task.status == "RUN"
    assert task.get("PERMIT")
    for output in ("PERMIT", "VACUUM", "COOLING", "PRESSURE", "HEAT"):
        assert task.severity(output) == Severity.NO_ALARM, output
    assert task.get("PRESSURE") == pytest.approx(1e-9)
    assert task.get("HEAT") == pytest.approx(8.4, rel=0.01)


def test_one_gauge_alone_does_not_trip(task):
    task.put("P1", 1e-3)
    assert task.get("PERMIT")
    assert not task.get("VACUUM")


def test_a_leak_trips_and_closes(task):
    leak(task)
    assert not task.get("PERMIT")
    assert task.severity("VACUUM") == Severity.MAJOR
    assert task.sent("VALVE") == (False,)
    assert task.sent("SHUTTER") == (False,)
    assert task.get("TRIP_FIRST") == "vacuum"
    assert task.get("LAST_TRIP").endswith("vacuum is bad, shutter and valve are closed")


def test_the_permit_comes_back_when_somebody_clears_it_and_not_before(task):
    leak(task)
    task.put("CLEAR", 1)
    assert not task.get("PERMIT")
    heal(task)
    assert not task.get("VACUUM")
    assert not task.get("PERMIT")
    task.put("CLEAR", 1)
    assert task.get("PERMIT")


def test_what_is_opened_by_hand_during_a_trip_is_closed_again(task):
    leak(task)
    task.put("VALVE", True)
    wait(task, 11.0)
    assert task.sent("VALVE") == (False, False)


def test_operators_move_the_limit(task):
    task.put("PRESSURE_MAX", 1e-9)
    task.put("P1", 2e-9)
    task.put("P3", 2e-9)
    assert not task.get("PERMIT")


def test_one_dead_gauge_is_shown_and_two_trip(task):
    task.disconnect("P1")
    wait(task, 6.0)
    assert task.get("PERMIT")
    assert task.get("DEGRADED")
    assert task.severity("PRESSURE") == Severity.INVALID
    task.disconnect("P2")
    assert not task.get("PERMIT")
    task.reconnect("P1")
    task.reconnect("P2")
    wait(task, 2.0)
    task.put("CLEAR", 1)
    assert task.get("PERMIT")


def test_a_short_dip_of_the_flow_is_forgiven(task):
    task.put("FLOW", 5.0)
    task.step(0.3)
    task.put("FLOW", 12.0)
    wait(task, 1.0)
    assert task.get("PERMIT")


def test_without_cooling_the_shutter_closes_and_the_valve_stays_open(task):
    task.put("FLOW", 1.0)
    task.step(1.0)
    assert not task.get("PERMIT")
    assert task.get("TRIP_FIRST") == "cooling"
    assert not task.get("SHUTTER")
    assert task.get("VALVE")


def test_the_water_must_be_well_below_the_limit_again(task):
    task.put("T_OUT", 46.0)
    task.step(1.0)
    assert task.get("COOLING")
    task.put("T_OUT", 44.0)
    assert task.get("COOLING")
    task.put("T_OUT", 42.0)
    assert not task.get("COOLING")


def test_a_frozen_gateway_is_noticed_by_the_time_stamps(task):
    task.step(2.0)
    assert task.get("PERMIT")
    task.step(2.0)
    assert task.severity("FLOW") == Severity.INVALID
    assert not task.get("PERMIT")


def test_the_first_of_several_is_remembered(task):
    task.put("FLOW", 0.0)
    task.step(1.0)
    leak(task)
    assert task.get("TRIP_FIRST") == "cooling"


def test_a_shutter_that_does_not_close_takes_the_beam(task):
    task.put("SHUTTER", False)
    task.step(3.0)
    assert task.get("PERMIT")
    task.step(2.0)
    assert task.get("SHUTTER_STUCK")
    assert not task.get("PERMIT")


def test_the_lifetime_comes_from_the_slope(task):
    current = 200.0
    for _ in range(20):
        current -= 0.05
        task.step(1.0)
        task.put("CURRENT", current)
    assert task.get("LIFETIME") == pytest.approx(current / 0.05 / 3600, rel=0.01)
    task.put("LIFETIME_MIN", 5.0)
    task.step(6.0)
    assert task.severity("LIFETIME_LOW") == Severity.MINOR


def test_nothing_is_decided_before_the_machine_answers():
    with run_task(None, config=CONFIG) as task:
        task.step(1.0)
        assert not task.get("PERMIT")
        assert task.severity("PERMIT") == Severity.INVALID
        task.step(6.0)
        assert task.get("VACUUM"), "settle is over: unknown counts as bad"


def test_a_stop_takes_the_permit_away(task):
    assert task.sent("PERMIT")[-1] is True
    task.act("stop")
    assert task.sent("PERMIT")[-1] is False
    assert not task.get("PERMIT")
    assert task.severity("PERMIT") == Severity.INVALID


def test_a_recorded_leak_is_decided_as_the_trace_expects():
    command = [sys.executable, "-m", "iocmng_cli", "rules", "test", CONFIG, str(TRACE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "first TRIP: vacuum" in done.stdout
