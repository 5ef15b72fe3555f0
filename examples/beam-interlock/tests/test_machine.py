"""The simulated ring behaves as the README says, without EPICS."""

from __future__ import annotations

from random import Random

import pytest
from iocmng_beam_interlock.simulation.machine import FULL, GOOD, Machine, Position


@pytest.fixture
def machine() -> Machine:
    return Machine(Random(1))


def run(machine: Machine, seconds: float) -> None:
    for _ in range(round(seconds / 0.1)):
        machine.step(0.1)


def test_beam_is_stored_while_the_permit_is_given(machine):
    run(machine, 10.0)
    assert machine.current == 0.0
    machine.permit = True
    run(machine, 6.0)
    assert 0.95 * FULL < machine.current <= FULL
    machine.permit = False
    run(machine, 0.1)
    assert machine.current == 0.0


def test_it_is_lost_slowly_and_filled_again(machine):
    machine.permit = True
    run(machine, 6.0)
    before = machine.current
    run(machine, 60.0)
    assert 0.95 * before < machine.current < before
    run(machine, 600.0)
    assert machine.current > 0.85 * FULL


def test_a_leak_raises_all_pressures_and_heals(machine):
    machine.leak = True
    run(machine, 3.0)
    assert min(machine.pressures) > 1e-6
    machine.leak = False
    run(machine, 12.0)
    assert machine.pressures == pytest.approx([GOOD] * 3, rel=0.01)


def test_without_cooling_the_water_stands_still_and_gets_hot(machine):
    machine.permit = True
    run(machine, 10.0)
    assert machine.outlet < 35
    machine.no_cooling = True
    run(machine, 5.0)
    assert machine.flow < 0.1
    assert machine.outlet > 60


def test_blades_take_their_time_and_can_be_stuck(machine):
    machine.shutter.command = False
    run(machine, 0.5)
    assert machine.shutter.position is Position.MOVING
    run(machine, 1.5)
    assert machine.shutter.position is Position.CLOSED
    machine.shutter.stuck, machine.shutter.command = True, True
    run(machine, 5.0)
    assert machine.shutter.position is Position.CLOSED


def test_a_closed_valve_costs_the_beam(machine):
    machine.permit = True
    run(machine, 6.0)
    machine.valve.command = False
    run(machine, 0.2)
    assert machine.current == 0.0
