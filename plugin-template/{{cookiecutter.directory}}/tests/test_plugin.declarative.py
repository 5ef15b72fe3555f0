"""The plugin, served by fake records and a virtual clock: no network, no waiting."""

from __future__ import annotations

from importlib.resources import files

from iocmng.testing import run_task

CONFIG = str(files("{{ cookiecutter.__module }}") / "config.yaml")


def test_declared_values_are_valid_once_it_runs():
    with run_task(None, config=CONFIG) as task:
        task.step(1.0)
        assert task.status == "RUN"
        assert task.get("LIMIT") == 100.0
        assert task.severity("LIMIT") == 0
