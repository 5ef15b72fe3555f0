"""The disk probe, with fake records."""

from __future__ import annotations

from iocmng_host_monitor.probe import DiskProbe

from iocmng.values import Severity


def test_it_times_a_write_each_time_run_is_put(run_task, tmp_path):
    task = run_task(DiskProbe, parameters={"directory": str(tmp_path)}, inputs={"SIZE": 2})
    assert task.severity("WRITE_TIME") == Severity.INVALID
    task.put("RUN", 1)
    task.step(1.0)
    assert task.get("WRITE_TIME") > 0
    assert task.get("WRITE_RATE") > 0
    assert task.get("RUN") == 0
    assert "2 MiB in" in task.message
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_does_not_exist_is_a_failure_with_its_name(run_task):
    task = run_task(DiskProbe, parameters={"directory": "/no-such-place"})
    task.put("RUN", 1)
    task.step(0.0)
    assert task.status == "BACKOFF"
    assert "no-such-place" in task.last_error


def test_the_size_is_limited(run_task, tmp_path):
    task = run_task(DiskProbe, parameters={"directory": str(tmp_path)})
    task.put("SIZE", 0)
    assert task.get("SIZE") == 1
