"""Jobs that are busy: refusals that name the holder, queues that keep their order, locks that nothing keeps."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.jobs import TESTER, Yard, yard

from iocmng import JobBase, JobResult
from iocmng.errors import Refused
from iocmng.lifecycle import JobState, Trigger
from iocmng.runtime import job as job_module
from iocmng.runtime.jobyard import DIED, DIED_WAITING
from iocmng.runtime.runs import MemoryRuns
from iocmng.runtime.runs_disk import DiskRuns
from iocmng.runtime.streams import route_streams
from iocmng.wire import Event, RunView

INPUTS = {"arguments": {"inputs": {"WHAT": {"type": "string", "size": 39, "value": "wait"}}}}


class Work(JobBase):
    """Does what its argument says."""

    def execute(self) -> Any:
        match self.arguments["WHAT"]:
            case "wait":
                while self.sleep(0.05):
                    continue
                return "left"
            case "raise":
                raise RuntimeError("no beam")
            case "exit":
                raise SystemExit(3)
            case "hang":
                time.sleep(3)
                return "too late"
            case "nan":
                return {"peaks": [1.0, float("nan")]}
            case "object":
                return {"thing": object()}
            case "print":
                print("printed")
                self.logger.info("logged %s", 5)
                self.gather(half=1)
                return JobResult(True, message="said")
            case word:
                return word


@pytest.fixture
def jobs() -> Iterator[Yard]:
    with yard() as made:
        yield made


def config(**job: Any) -> dict[str, Any]:
    return {**INPUTS, "job": job} if job else INPUTS


def test_a_busy_job_refuses_and_says_with_which_run(jobs: Yard) -> None:
    jobs.add(Work, config())
    run = jobs.start()
    with pytest.raises(Refused, match=f"tune is busy with run {run}"):
        jobs.start()
    assert [view.id for view in jobs.store.runs("tune")] == [run]
    jobs.jobs["tune"].abort(TESTER)
    assert jobs.over(run).state is JobState.ABORTED
    assert jobs.run(WHAT="fine").data == "fine"


def test_a_shared_lock_names_its_holder(jobs: Yard) -> None:
    jobs.add(Work, config(lock="crate1"), "tune")
    jobs.add(Work, config(lock="crate1"), "scan")
    jobs.add(Work, config(lock="crate2"), "other")
    run = jobs.start("tune")
    assert jobs.store.run(run).lock == "crate1"
    with pytest.raises(Refused, match=f"scan: lock crate1 is held by tune, run {run}"):
        jobs.start("scan")
    assert jobs.run("other", WHAT="free").state is JobState.SUCCESS
    done = jobs.put("RUN", 1, "scan")
    jobs.until(lambda: done.done)
    assert jobs.pv("MESSAGE", "scan") == f"RUN refused: scan: lock crate1 is held by tune, run {run}"
    jobs.jobs["tune"].abort(TESTER)
    jobs.over(run)
    assert jobs.run("scan", WHAT="mine").state is JobState.SUCCESS


@pytest.mark.parametrize("what", ["raise", "exit", "nan", "object", "fine"])
def test_no_end_of_a_run_keeps_the_lock(jobs: Yard, what: str) -> None:
    jobs.add(Work, config(lock="crate1"))
    state = JobState.SUCCESS if what == "fine" else JobState.FAILED
    assert jobs.run(WHAT=what).state is state
    assert jobs.run(WHAT="again").state is JobState.SUCCESS


def test_data_without_a_json_form_is_refused_where_it_is_written(jobs: Yard) -> None:
    jobs.add(Work, config())
    assert jobs.run(WHAT="nan").message == (
        "ValueError: data.peaks[1] is nan: a result's data holds finite numbers only"
    )
    assert "numbers, texts, lists and mappings only" in jobs.run(WHAT="object").message
    with pytest.raises(ValueError, match=r"data\.x is inf"):
        JobResult(True, data={"x": float("inf")})


def test_a_thread_that_cannot_be_started_is_a_failed_run_without_a_lock(
    jobs: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.add(Work, config(lock="crate1"))
    jobs.jobs["tune"]

    def refuse(*_: Any) -> threading.Thread:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(type(jobs.clock), "spawn", refuse)
        view = jobs.run(WHAT="fine")
    assert (view.state, view.message) == (JobState.FAILED, "cannot start: can't start new thread")
    assert jobs.run(WHAT="again").state is JobState.SUCCESS


def test_a_thread_that_does_not_leave_is_given_up_with_its_lock(jobs: Yard) -> None:
    jobs.add(Work, {**config(lock="crate1"), "supervision": {"stop_timeout": 0.1}})
    run = jobs.start(WHAT="hang")
    jobs.jobs["tune"].abort(TESTER)
    assert jobs.over(run).state is JobState.ABORTED
    assert jobs.run(WHAT="next").data == "next"
    assert jobs.store.run(run).state is JobState.ABORTED
    jobs.start(WHAT="hang")
    jobs.jobs["tune"].abort(TESTER)
    jobs.until(jobs.jobs["tune"].shutdown_done)
    with pytest.raises(Refused, match="2 threads of it hang already"):
        jobs.start(WHAT="hang")


def test_a_queue_keeps_its_order_over_jobs_and_shows_what_waits(jobs: Yard) -> None:
    jobs.add(Work, config(lock="crate1", on_busy="queue"), "tune")
    jobs.add(Work, config(lock="crate1", on_busy="queue"), "scan")
    first = jobs.start("tune")
    waiting = [jobs.start(name, WHAT=f"{name}{n}") for n in range(3) for name in ("scan", "tune")]
    assert [view.state for view in jobs.store.runs("scan")] == [JobState.QUEUED] * 3
    assert jobs.pv("STATUS", "scan") == int(JobState.QUEUED)
    assert jobs.pv("STATUS", "tune") == int(JobState.RUNNING)
    held = f"scan: lock crate1 is held by tune, run {first}"
    assert jobs.store.run(waiting[0]).message == f"waits: {held}"
    assert jobs.store.run(waiting[2]).message == f"waits: {held}; 2 before it"
    assert jobs.pv("MESSAGE", "scan") == f"waits: {held}"
    jobs.jobs["tune"].abort(TESTER)
    for run in waiting:
        assert jobs.over(run).state is JobState.SUCCESS
    views = [jobs.store.run(run) for run in waiting]
    assert [view.data for view in views] == ["scan0", "tune0", "scan1", "tune1", "scan2", "tune2"]
    ends = [(view.started, view.ended) for view in views]
    assert all(after[0] >= (before[1] or 0) for before, after in itertools.pairwise(ends))
    assert jobs.jobs["scan"].waiting == ()


def test_a_run_that_waits_can_be_aborted(jobs: Yard) -> None:
    jobs.add(Work, config(on_busy="queue"))
    first, second, third = jobs.start(), jobs.start(WHAT="b"), jobs.start(WHAT="c")
    job = jobs.jobs["tune"]
    job.abort_run(second, TESTER)
    job.abort_run(second, TESTER)
    view = jobs.store.run(second)
    assert (view.state, view.message) == (JobState.ABORTED, "aborted by test (http) before it started")
    assert jobs.store.run(third).message == f"waits: tune is busy with run {first}"
    assert job.state is JobState.RUNNING
    job.abort(TESTER)
    assert jobs.over(third).data == "c"
    assert jobs.store.run(second) == view


def test_a_stop_ends_what_runs_and_what_waits(jobs: Yard) -> None:
    jobs.add(Work, config(on_busy="queue"))
    runs = [jobs.start() for _ in range(3)]
    jobs.jobs["tune"].apply(Trigger.STOP, TESTER)
    assert {jobs.over(run).state for run in runs} == {JobState.ABORTED}
    assert jobs.jobs["tune"].shutdown_done()


def test_the_queue_is_bounded(jobs: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_module, "QUEUE", 3)
    jobs.add(Work, config(on_busy="queue"))
    for _ in range(4):
        jobs.start()
    with pytest.raises(Refused, match="and 3 runs wait already"):
        jobs.start()
    jobs.jobs["tune"].apply(Trigger.STOP, TESTER)


def test_puts_of_run_complete_when_their_own_run_is_over(jobs: Yard) -> None:
    jobs.add(Work, config(on_busy="queue"))
    jobs.put("WHAT", "one")
    done = jobs.put("RUN", 1)
    jobs.until(lambda: done.done)
    assert jobs.pv("RUN") is False
    assert jobs.pv("STATUS") == int(JobState.SUCCESS)
    assert [view.data for view in jobs.store.runs("tune")] == ["one"]


def test_prints_and_log_lines_of_a_run_stand_in_its_log(jobs: Yard, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "iocmng.task.tune")
    undo = route_streams(lambda instance, stream, text: None)
    try:
        jobs.add(Work, config())
        view = jobs.run(WHAT="print")
    finally:
        undo()
    lines = [(line.level, line.source, line.text) for line in jobs.store.log(view.id)]
    assert ("INFO", "stdout", "printed") in lines
    assert ("INFO", "tune", "logged 5") in lines
    assert (view.message, view.data) == ("said", {"half": 1})


def test_what_a_dead_host_left_is_lost() -> None:
    store = MemoryRuns()
    ran = RunView("20261121-100000-aaaaaa", "tune", JobState.RUNNING, started=1.0, progress=40.0)
    store.save(ran)
    store.save(replace(ran, id="20261121-100001-bbbbbb", job="scan", state=JobState.QUEUED))
    with yard(store) as jobs:
        jobs.recover()
        jobs.add(Work, config(), "tune")
        jobs.add(Work, config(), "scan")
        tune, scan = jobs.jobs["tune"], jobs.jobs["scan"]
        assert (tune.state, tune.message) == (JobState.LOST, DIED)
        assert (scan.state, scan.message) == (JobState.LOST, DIED_WAITING)
        assert jobs.pv("STATUS") == int(JobState.LOST)
        assert jobs.pv("RUN_ID") == ran.id
        assert jobs.pv("PROGRESS") == 40.0
        assert store.run(ran.id).state is JobState.LOST
        assert store.unfinished() == ()
        assert jobs.run(WHAT="next").state is JobState.SUCCESS


def present() -> Counter[str]:
    """Objects by type, but for events: the bus keeps the latest few thousand of them."""
    gc.collect()
    return Counter(type(one).__name__ for one in gc.get_objects() if not isinstance(one, Event))


def test_three_hundred_runs_leave_neither_files_nor_objects(tmp_path: Path) -> None:
    store = DiskRuns(tmp_path / "runs", keep_runs=5)
    with yard(store) as jobs:
        jobs.add(Work, config(lock="crate1"))

        def run(count: int) -> None:
            for number in range(count):
                assert jobs.run(WHAT=f"{number}").state is JobState.SUCCESS
            del jobs.events[:]

        run(60)
        assert store.flush(30)
        before = present()
        run(280)
        assert store.flush(30)
        # One object a run would be 280 of its kind; a few of many kinds are those of other tests' threads.
        grown = present() - before
        assert max(grown.values(), default=0) < 140, grown
        kept = jobs.store.runs("tune")
        assert [view.data for view in kept] == ["279", "278", "277", "276", "275"]
        names = {path.name.partition(".")[0] for path in (tmp_path / "runs" / "tune").iterdir()}
        assert names == {view.id for view in kept}
    store.close()
    again = DiskRuns(tmp_path / "runs", keep_runs=5)
    assert again.runs("tune") == kept
    again.close()


def test_a_disk_that_fails_stops_no_run(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the directory should be")
    store = DiskRuns(tmp_path / "runs", on_problem=lambda text: None)
    with yard(store) as jobs:
        jobs.add(Work, config())
        assert jobs.run(WHAT="fine").data == "fine"
    assert store.problem
    store.close()
