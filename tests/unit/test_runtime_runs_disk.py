"""Runs on disk: what a crash, a full disk or a broken file leaves of them, and that nothing grows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from iocmng.lifecycle import JobState
from iocmng.runtime.runs_disk import DiskRuns
from iocmng.wire import Actor, LogLine, RunView

DEADLINE = 30.0


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., DiskRuns]]:
    stores: list[DiskRuns] = []

    def make(**more: object) -> DiskRuns:
        stores.append(DiskRuns(tmp_path / "runs", **more))  # type: ignore[arg-type]
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def running(number: int, job: str = "tune") -> RunView:
    return RunView(f"20261121-{number:06}-aaaaaa", job, JobState.RUNNING, {"bands": [0, 1]}, float(number))


def ended(run: RunView, state: JobState = JobState.SUCCESS) -> RunView:
    return replace(run, state=state, ended=run.started + 1)


def line(text: str) -> LogLine:
    return LogLine(1.5, "INFO", "tune", text)


def texts(store: DiskRuns, run: RunView) -> list[str]:
    return [one.text for one in store.log(run.id)]


def test_record_log_and_result_survive_a_restart(opened: Callable[..., DiskRuns]) -> None:
    first, run = opened(), running(1)
    first.save(run)
    first.append(run.id, line("größer {} %s\n\ttwo lines \x00"))
    done = replace(ended(run), data={"peaks": [1.5, None]}, exit_code=3, actor=Actor("eve", "pc", "cli"))
    first.save(done)
    first.append(run.id, line("late"))
    first.close()
    again = opened()
    assert again.run(run.id) == done
    assert again.runs("tune") == (done,)
    assert texts(again, run) == ["größer {} %s\n\ttwo lines \x00", "late"]
    assert again.unfinished() == ()


def test_a_run_under_way_is_found_after_a_host_that_was_killed(
    opened: Callable[..., DiskRuns], tmp_path: Path
) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from iocmng.lifecycle import JobState
from iocmng.runtime.runs_disk import DiskRuns
from iocmng.wire import LogLine, RunView
store = DiskRuns(Path(sys.argv[1]))
for number in range(40):
    store.save(RunView(f"20261121-{number:06}-aaaaaa", f"job{number % 4}", JobState.RUNNING, {}, 1.0))
    store.append(f"20261121-{number:06}-aaaaaa", LogLine(1.0, "INFO", "x", "said"))
assert store.flush(30)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "runs")], timeout=DEADLINE)
    assert done.returncode == -9
    store = opened()
    assert len(store.unfinished()) == 40
    assert [one.text for one in store.log(store.unfinished()[7].id)] == ["said"]
    for run in store.unfinished():
        store.save(replace(run, state=JobState.LOST, ended=2.0))
    store.close()
    assert opened().unfinished() == ()


def test_what_a_crash_cut_costs_only_itself(opened: Callable[..., DiskRuns], tmp_path: Path) -> None:
    first = opened()
    for number in range(3):
        first.save(running(number))
        first.append(running(number).id, line("whole"))
        first.save(ended(running(number)))
    first.close()
    folder = tmp_path / "runs" / "tune"
    (folder / f"{running(1).id}.json").write_text('{"id": "2026')
    (folder / f".{running(2).id}.json.tmp").write_text("{")
    with (folder / f"{running(2).id}.log").open("a") as log:
        log.write('[1.0, "INFO", "tu')
    (folder / "20200101-000000-bbbbbb.log").write_text("of nobody")
    told: list[str] = []
    again = opened(on_problem=told.append)
    assert [run.id for run in again.runs("tune")] == [running(2).id, running(0).id]
    (problem,) = told
    assert "no run record" in problem
    assert running(1).id in problem
    again.append(running(2).id, line("after"))
    assert again.flush(DEADLINE)
    assert texts(again, running(2)) == ["1 earlier lines were dropped", "whole", "after"]
    assert not list(folder.glob("*bbbbbb*"))
    assert not list(folder.glob(".*"))


def test_three_hundred_runs_leave_what_is_kept(opened: Callable[..., DiskRuns], tmp_path: Path) -> None:
    store = opened(keep_runs=5)
    for number in range(300):
        run = running(number)
        store.save(run)
        files = store.files(run.id)
        files.folder.mkdir(parents=True)
        (files.folder / "data.bin").write_bytes(b"x" * 1000)
        files.output.write_text("said")
        for count in range(20):
            store.append(run.id, line(f"line {count}"))
        store.save(ended(run))
    assert store.flush(DEADLINE)
    names = {path.name.partition(".")[0] for path in (tmp_path / "runs" / "tune").iterdir()}
    assert names == {running(number).id for number in range(295, 300)}
    assert len(store.runs("tune")) == 5
    assert not store._dirty
    assert not store._waiting
    assert not store._files._logs


def test_a_log_file_stays_bounded(opened: Callable[..., DiskRuns], tmp_path: Path) -> None:
    store, run = opened(keep_lines=50), running(1)
    store.save(run)
    for number in range(1000):
        store.append(run.id, line(str(number)))
        if number % 7 == 0:
            store.flush(DEADLINE)
    store.save(ended(run))
    assert store.flush(DEADLINE)
    lines = (tmp_path / "runs" / "tune" / f"{run.id}.log").read_text().splitlines()
    assert len(lines) <= 101
    note, *kept = texts(store, run)
    assert note == "950 earlier lines were dropped"
    assert kept == [str(number) for number in range(950, 1000)]


def test_a_disk_that_fails_costs_no_run(opened: Callable[..., DiskRuns], tmp_path: Path) -> None:
    told: list[str] = []
    (tmp_path / "runs").write_text("a file where the directory should be")
    store, run = opened(on_problem=told.append), running(1)
    store.save(run)
    store.append(run.id, line("one"))
    assert not store.flush(DEADLINE)
    assert store.problem
    store.save(ended(run))
    store.append(run.id, line("two"))
    assert store.run(run.id).over
    assert texts(store, run) == ["one", "two"]
    (tmp_path / "runs").unlink()
    end = time.monotonic() + DEADLINE
    while not store.flush(1.0):
        assert time.monotonic() < end
    assert told == [told[0], "runs are written again"]
    store.close()
    again = opened()
    assert again.run(run.id) == ended(run)
    assert texts(again, run) == ["one", "two"]


def test_progress_alone_is_seldom_written(opened: Callable[..., DiskRuns], tmp_path: Path) -> None:
    store, run = opened(), running(1)
    store.save(run)
    assert store.flush(DEADLINE)
    record = tmp_path / "runs" / "tune" / f"{run.id}.json"
    before = record.stat().st_mtime_ns
    for number in range(100):
        store.save(replace(run, progress=float(number)))
    assert store.flush(DEADLINE)
    assert store.run(run.id).progress == 99.0
    assert record.stat().st_mtime_ns == before


def test_a_record_that_the_end_of_the_machine_cut_off_is_of_a_lost_run(
    opened: Callable[..., DiskRuns], tmp_path: Path
) -> None:
    first = opened()
    first.save(running(1))
    first.close()
    (tmp_path / "runs" / ".live" / running(1).id).unlink()
    again = opened()
    assert again.unfinished() == ()
    assert again.run(running(1).id).state is JobState.LOST
    assert again.flush(DEADLINE)
    assert '"LOST"' in (tmp_path / "runs" / "tune" / f"{running(1).id}.json").read_text()


def test_what_earlier_hosts_left_is_read_when_somebody_asks(
    opened: Callable[..., DiskRuns], tmp_path: Path
) -> None:
    first = opened()
    for number in range(4):
        first.save(ended(running(number)))
    first.save(running(9, "scan"))
    first.close()
    again = opened(keep_runs=3)
    assert again.unfinished() == (running(9, "scan"),)
    assert again.run(running(2).id) == ended(running(2))
    for unknown in ("20990101-000000-aaaaaa", "../tune/20261121-000001-aaaaaa", ""):
        with pytest.raises(KeyError):
            again.run(unknown)
    third = opened(keep_runs=3)
    third.save(running(5))
    third.save(ended(running(5)))
    assert third.flush(DEADLINE)
    names = {path.name.partition(".")[0] for path in (tmp_path / "runs" / "tune").iterdir()}
    assert names == {running(number).id for number in (2, 3, 5)}
    assert [run.id for run in third.runs("tune")] == [running(number).id for number in (5, 3, 2)]
    assert not list((tmp_path / "runs" / ".live").glob("*-000005-*"))
