"""The arithmetic, without a machine."""

from __future__ import annotations

from collections import namedtuple

import psutil
import pytest
from iocmng_host_monitor import measure
from iocmng_host_monitor.measure import Traffic

Chip = namedtuple("Chip", "label current high critical")


def test_rates_are_kib_per_second_in_the_order_of_the_names():
    before = Traffic({"eth1": 0, "eth0": 1024}, {"eth1": 0, "eth0": 0})
    after = Traffic({"eth1": 4096, "eth0": 1024}, {"eth1": 2048, "eth0": 1024})
    found = measure.rates(before, after, 2.0, most=64)
    assert found.names == ("eth0", "eth1")
    assert found.received == (0.0, 2.0)
    assert found.sent == (0.5, 1.0)


def test_an_interface_that_came_back_has_no_negative_rate():
    before = Traffic({"eth0": 5000}, {"eth0": 5000})
    after = Traffic({"eth0": 10, "eth1": 10}, {"eth0": 10, "eth1": 10})
    found = measure.rates(before, after, 1.0, most=64)
    assert found.names == ("eth0",)
    assert found.received == found.sent == (0.0,)


def test_no_more_interfaces_than_fit():
    counters = {f"eth{index:03}": 0 for index in range(100)}
    found = measure.rates(Traffic(counters, counters), Traffic(counters, counters), 1.0, most=64)
    assert len(found.names) == len(found.received) == len(found.sent) == 64


@pytest.mark.parametrize(
    ("chips", "sensor", "expected"),
    [
        ({}, "", None),
        ({"cpu": [Chip("a", 40.0, None, None), Chip("b", 55.5, None, None)]}, "", 55.5),
        ({"cpu": [Chip("a", 40.0, None, None)], "nvme": [Chip("", 60.0, None, None)]}, "cpu", 40.0),
        ({"cpu": [Chip("a", 40.0, None, None)]}, "gpu", None),
    ],
)
def test_the_hottest_sensor(monkeypatch, chips, sensor, expected):
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: chips, raising=False)
    assert measure.temperature(sensor) == expected


def test_a_system_without_sensors(monkeypatch):
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    assert measure.temperature() is None


def test_a_path_that_does_not_exist():
    with pytest.raises(OSError, match="no-such-place"):
        measure.disk("/no-such-place")
