"""The task, run on fake records and a virtual clock: no network, no waiting."""

from __future__ import annotations

from iocmng.testing import run_task

from {{ cookiecutter.__module }}.plugin import {{ cookiecutter.__class }}


def test_it_follows_the_setpoint():
    with run_task({{ cookiecutter.__class }}) as task:
        task.put("SETPOINT", 40.0)
        task.step(20.0)
        assert abs(task.get("READBACK") - 40.0) < 0.01
        assert task.status == "RUN"


def test_it_says_that_it_moves():
    with run_task({{ cookiecutter.__class }}) as task:
        task.step(1.0)
        assert task.get("MOVING")
        task.step(20.0)
        assert not task.get("MOVING")
