"""The task on this machine, with fake records and a virtual clock."""

from __future__ import annotations

import psutil
import pytest
from iocmng_host_monitor import measure
from iocmng_host_monitor.monitor import HostMonitor

from iocmng.values import Severity


def test_it_publishes_what_psutil_says(run_task):
    task = run_task(HostMonitor)
    task.step(2.0)
    assert task.status == "RUN"
    assert task.get("CPU_COUNT") == psutil.cpu_count()
    assert 0 < task.get("MEMORY") <= 100
    assert task.get("DISK_FREE") == pytest.approx(measure.disk("/").free, rel=0.1)
    for name in ("CPU", "LOAD1", "MEMORY", "DISK", "PROCESSES", "NET_IN", "NET_NAMES"):
        assert task.severity(name) < Severity.INVALID, name


def test_names_and_rates_belong_together(run_task):
    task = run_task(HostMonitor, parameters={"ignore_interfaces": []})
    task.step(4.0)
    names = task.get("NET_NAMES").split("\n")
    assert "lo" in names
    assert len(task.get("NET_IN")) == len(task.get("NET_OUT")) == len(names)


def test_without_a_sensor_the_temperature_stays_invalid(run_task, monkeypatch):
    monkeypatch.setattr(measure, "temperature", lambda sensor="": None)
    task = run_task(HostMonitor)
    task.step(4.0)
    assert task.severity("TEMPERATURE") == Severity.INVALID


def test_a_hot_machine_is_an_alarm(run_task, monkeypatch):
    monkeypatch.setattr(measure, "temperature", lambda sensor="": 97.0)
    task = run_task(HostMonitor)
    task.step(2.0)
    assert task.get("TEMPERATURE") == 97.0
    assert task.severity("TEMPERATURE") == Severity.MAJOR


def test_the_limit_that_operators_write_decides(run_task, monkeypatch):
    monkeypatch.setattr(measure, "disk", lambda path: measure.Usage(50.0, 5.0))
    task = run_task(HostMonitor)
    task.step(2.0)
    assert not task.get("DISK_LOW")
    task.put("DISK_LIMIT", 10.0)
    task.step(2.0)
    assert task.get("DISK_LOW")
    assert task.severity("DISK_LOW") == Severity.MAJOR


def test_a_path_that_does_not_exist_is_reported_and_tried_again(run_task):
    task = run_task(HostMonitor, parameters={"disk_path": "/no-such-place"})
    task.step(2.0)
    assert task.get("CYCLE_ERRORS") == 2
    assert task.status == "RUN"
    task.step(2.0)
    assert task.status == "BACKOFF"
    assert "no-such-place" in task.message
    assert task.severity("CPU") == Severity.INVALID


def test_a_full_disk_degrades(run_task, monkeypatch):
    monkeypatch.setattr(measure, "disk", lambda path: measure.Usage(99.9, 0.01))
    task = run_task(HostMonitor)
    task.step(65.0)
    assert task.get("DEGRADED")
    assert task.severity("DISK") == Severity.MAJOR
