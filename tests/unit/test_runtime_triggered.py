"""Triggered tasks and jobs on fake records and a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from iocmng import JobBase, JobResult, TaskBase
from iocmng.errors import BadInput, Refused
from iocmng.testing import make_job, run_job, run_task
from iocmng.testing.kit import JobUnderTest, TaskUnderTest
from iocmng.values import Severity
from iocmng.wire import Actor

TRIGGERED: dict[str, Any] = {
    "parameters": {"mode": "triggered"},
    "arguments": {"outputs": {"RUNS": {"type": "int"}}},
}
JOB: dict[str, Any] = {
    "arguments": {
        "inputs": {
            "STEPS": {"type": "int", "value": 3, "low": 1, "high": 10},
            "SPEED": {"type": "enum", "labels": ["slow", "fast"], "value": "slow"},
        },
        "outputs": {"SUM": {"type": "float"}},
    },
    "job": {"run_timeout": 60.0, "keep_runs": 3},
}
WHO = Actor(user="me", via="cli")


class Pressed(TaskBase):
    """Takes two seconds for a run."""

    def initialize(self) -> None:
        self.runs = 0

    def triggered(self) -> None:
        self.sleep(2.0)
        self.runs += 1
        self.set_pv("RUNS", self.runs)


def press(task: TaskUnderTest) -> Any:
    completion = task.bench.records.client_put(task.bench.record("RUN").name, 1)
    task.step()
    return completion


def test_a_put_runs_it_once_and_completes_at_its_end() -> None:
    with run_task(Pressed, TRIGGERED) as task:
        task.step(5.0)
        assert task.get("BUSY") is False
        done = press(task)
        assert task.get("BUSY") is True
        assert task.get("RUN") is True
        assert not done.done
        task.step(2.0)
        assert done.done
        assert task.get("RUN") is False
        assert task.get("RUNS") == 1


def test_one_more_waits_and_further_ones_are_refused() -> None:
    with run_task(Pressed, TRIGGERED) as task:
        instance = task.task
        instance.trigger(None, WHO)
        task.step()
        instance.trigger(None, WHO)
        with pytest.raises(Refused, match="1 more waits"):
            instance.trigger(None, WHO)
        task.step(4.0)
        assert task.get("RUNS") == 2
        assert task.get("RUN") is False


def test_no_run_while_paused_and_the_put_still_completes() -> None:
    with run_task(Pressed, TRIGGERED) as task:
        task.act("pause")
        done = press(task)
        assert done.done
        assert task.get("RUN") is False
        assert "RUN refused" in task.message
        assert "cannot run while PAUSED" in task.message


def test_stopping_completes_what_waits() -> None:
    with run_task(Pressed, TRIGGERED) as task:
        done = press(task)
        task.act("stop")
        task.step(2.0)
        assert done.done
        assert task.status == "END"


def test_a_waiting_task_never_stalls() -> None:
    with run_task(Pressed, TRIGGERED) as task:
        task.step(600.0)
        assert task.status == "RUN"


def test_execute_serves_where_triggered_is_not_written() -> None:
    class Old(TaskBase):
        def execute(self) -> None:
            self.set_pv("RUNS", 5)

    with run_task(Old, TRIGGERED) as task:
        press(task)
        assert task.get("RUNS") == 5


class Summing(JobBase):
    """Adds up its steps, one a second."""

    def execute(self) -> JobResult:
        total, steps = 0, int(self.arguments["STEPS"])
        for step in range(steps):
            self.progress(step / steps, f"step {step + 1} of {steps}")
            self.set_pv("SUM", total)
            if not self.sleep(1.0):
                return JobResult(False, message="left early")
            total += step
        self.set_pv("SUM", total)
        return JobResult(True, {"sum": total, "speed": self.get_input("SPEED")}, f"sum is {total}")


def test_run_job_gives_the_result() -> None:
    result = run_job(Summing, JOB, STEPS=4, SPEED="fast")
    assert result.success
    assert result.data == {"sum": 6, "speed": 1}
    assert result.message == "sum is 6"


def test_any_other_value_is_success_and_an_exception_failure() -> None:
    class Plain(JobBase):
        def execute(self) -> dict[str, int]:
            return {"x": 1}

    class Broken(JobBase):
        async def execute(self) -> None:
            raise RuntimeError("no beam")

    assert run_job(Plain, JOB).data == {"x": 1}
    failed = run_job(Broken, JOB)
    assert not failed.success
    assert failed.message == "RuntimeError: no beam"


def start(job: JobUnderTest, **arguments: object) -> str:
    run = job.job.start_run(arguments, WHO)
    job.step()
    return run.id


def test_pvs_follow_a_run() -> None:
    with make_job(Summing, JOB) as job:
        assert job.status == "IDLE"
        assert job.severity("SUM") is Severity.INVALID
        run_id = start(job)
        job.step(1.0)
        assert job.status == "RUNNING"
        assert job.get("RUN") is True
        assert job.get("RUN_ID") == run_id
        assert job.get("MESSAGE") == "step 2 of 3"
        assert round(float(job.get("PROGRESS") or 0)) == 33
        assert job.severity("SUM") is Severity.INVALID
        job.step(2.0)
        assert job.status == "SUCCESS"
        assert (job.get("SUM"), job.severity("SUM")) == (3.0, Severity.NO_ALARM)
        assert job.get("PROGRESS") == 100.0
        assert job.get("ELAPSED") == 3.0
        assert job.get("RUN") is False


def test_outputs_are_invalid_after_a_run_that_fails() -> None:
    class Moody(JobBase):
        def execute(self) -> None:
            self.set_pv("SUM", 1)
            if self.arguments["STEPS"] == 2:
                raise ValueError("two")

    with make_job(Moody, JOB) as job:
        start(job)
        assert job.severity("SUM") is Severity.NO_ALARM
        start(job, STEPS=2)
        assert job.status == "FAILED"
        assert job.severity("SUM") is Severity.INVALID
        assert "two" in job.last_error


def test_a_busy_job_refuses_and_an_abort_ends_it() -> None:
    with make_job(Summing, JOB) as job:
        run_id = start(job)
        with pytest.raises(Refused, match=run_id):
            job.job.start_run({}, WHO)
        job.put("ABORT", 1)
        assert job.status == "ABORTED"
        assert job.get("ABORT") is False
        assert job.job.store.run(run_id).message == "aborted by operator@localhost (pv)"
        job.job.abort(WHO)
        assert job.status == "ABORTED"


def test_a_run_that_takes_too_long_times_out() -> None:
    class Endless(JobBase):
        def execute(self) -> None:
            while self.sleep(10.0):
                continue

    with make_job(Endless, JOB) as job:
        run_id = start(job)
        job.step(61.0)
        assert job.status == "TIMEOUT"
        assert "60 s" in job.job.store.run(run_id).message


def test_all_bad_arguments_are_named_at_once() -> None:
    with make_job(Summing, JOB) as job, pytest.raises(BadInput) as refusal:
        job.job.start_run({"STEPS": "many", "SPEED": "medium", "STEP": 1}, WHO)
    for part in ("STEPS", "many", "SPEED", "medium", "'STEP'"):
        assert part in refusal.value.detail


def test_run_from_the_pv_takes_arguments_from_pvs_and_completes_at_the_end() -> None:
    with make_job(Summing, JOB) as job:
        job.put("STEPS", 2)
        completion = job.bench.records.client_put(job.bench.record("RUN").name, 1)
        job.step(1.0)
        assert not completion.done
        job.step(1.0)
        assert completion.done
        assert job.get("SUM") == 1.0


def test_only_so_many_runs_are_kept() -> None:
    with make_job(Summing, JOB) as job:
        ids = []
        for _ in range(5):
            ids.append(start(job, STEPS=1))
            job.step(1.0)
        assert [run.id for run in job.job.store.runs("job")] == ids[:1:-1]


def test_what_the_job_logs_is_in_the_log_of_its_run() -> None:
    class Talking(JobBase):
        def execute(self) -> None:
            self.logger.warning("look here")

    with make_job(Talking, JOB) as job:
        run_id = start(job)
        assert [line.text for line in job.job.store.log(run_id) if "look" in line.text] == ["look here"]
