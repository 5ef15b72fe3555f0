"""The plugin, served by fake records and links and a virtual clock: no network, no waiting."""

from __future__ import annotations

from importlib.resources import files

from iocmng.testing import run_task

CONFIG = str(files("{{ cookiecutter.__module }}") / "config.yaml")
NORMAL = {"PRESSURE": 5.0, "PUMP": True}


def test_it_trips_when_the_pressure_stays_high():
    with run_task(None, config=CONFIG, inputs=NORMAL) as task:
        assert not task.get("HIGH")
        task.put("PRESSURE", 12.0)
        task.step(2.0)
        assert task.get("HIGH")
        assert not task.get("PUMP")
        assert task.get("LAST_TRIP").endswith("pressure is above the limit")


def test_it_waits_for_an_operator():
    with run_task(None, config=CONFIG, inputs=NORMAL) as task:
        task.put("PRESSURE", 12.0)
        task.step(2.0)
        task.put("PRESSURE", 5.0)
        assert task.get("HIGH")
        task.put("CLEAR", 1)
        assert not task.get("HIGH")


def test_an_unknown_pressure_counts_as_high():
    with run_task(None, config=CONFIG, inputs=NORMAL) as task:
        task.disconnect("PRESSURE")
        task.step(2.0)
        assert task.get("HIGH")


def test_the_average_follows():
    with run_task(None, config=CONFIG, inputs=NORMAL) as task:
        task.put("PRESSURE", 7.0)
        assert task.get("AVERAGE") == 6.0
