"""What every RunStore does; a new store is added by one entry in STORES."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iocmng.lifecycle import JobState
from iocmng.runtime.runs import MemoryRuns, RunStore
from iocmng.runtime.runs_disk import DiskRuns
from iocmng.wire import Actor, LogLine, RunView

OUTCOMES = [state for state in JobState if state not in (JobState.IDLE, JobState.RUNNING, JobState.QUEUED)]
STORES: dict[str, Callable[[Path, int, int], RunStore]] = {
    "memory": lambda _directory, keep_runs, keep_lines: MemoryRuns(keep_runs, keep_lines),
    "disk": lambda directory, keep_runs, keep_lines: DiskRuns(directory, keep_runs, keep_lines),
}


@pytest.fixture(params=sorted(STORES))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., RunStore]:
    def made(keep_runs: int = 3, keep_lines: int = 5) -> RunStore:
        return STORES[request.param](tmp_path, keep_runs, keep_lines)

    return made


def running(number: int, job: str = "tune") -> RunView:
    return RunView(f"id-{number:05}", job, JobState.RUNNING, {"bands": [0, 1]}, started=float(number))


def over(run: RunView, state: JobState = JobState.SUCCESS) -> RunView:
    return replace(run, state=state, ended=run.started + 1)


def line(text: str) -> LogLine:
    return LogLine(1.0, "INFO", "tune", text)


def test_a_run_is_found_as_it_was_saved_last(make: Callable[..., RunStore]) -> None:
    store = make()
    first = running(1)
    store.save(first)
    assert store.run(first.id) == first
    data: dict[str, Any] = {"peaks": [1.5, 2.5], "label": "größer\n{}%s\x00"}
    ended = replace(
        over(first), data=data, message="done", exit_code=0, progress=100.0, actor=Actor("eve", "host", "cli")
    )
    store.save(ended)
    assert store.run(first.id) == ended
    assert store.runs("tune") == (ended,)


def test_unknown_runs_and_jobs(make: Callable[..., RunStore]) -> None:
    store = make()
    with pytest.raises(KeyError):
        store.run("nope")
    with pytest.raises(KeyError):
        store.log("nope")
    assert store.runs("nope") == ()
    assert store.unfinished() == ()
    store.append("nope", line("lost"))
    with pytest.raises(KeyError):
        store.log("nope")


def test_newest_come_first_and_the_oldest_go(make: Callable[..., RunStore]) -> None:
    store = make(keep_runs=3)
    for number in range(6):
        store.save(running(number))
        store.append(f"id-{number:05}", line("hello"))
        store.save(over(running(number)))
    assert [run.id for run in store.runs("tune")] == ["id-00005", "id-00004", "id-00003"]
    for lookup in (store.run, store.log):
        with pytest.raises(KeyError):
            lookup("id-00002")


@pytest.mark.parametrize("state", OUTCOMES)
def test_every_outcome_counts_as_over(make: Callable[..., RunStore], state: JobState) -> None:
    store = make(keep_runs=1)
    for number in range(3):
        store.save(over(running(number), state))
    assert [run.id for run in store.runs("tune")] == ["id-00002"]
    assert store.unfinished() == ()


def test_a_run_that_is_not_over_is_never_dropped(make: Callable[..., RunStore]) -> None:
    store = make(keep_runs=2)
    store.save(running(0))
    for number in range(1, 10):
        store.save(over(running(number)))
    assert [run.id for run in store.runs("tune")] == ["id-00009", "id-00008", "id-00000"]
    assert store.unfinished() == (running(0),)


def test_jobs_do_not_count_against_each_other(make: Callable[..., RunStore]) -> None:
    store = make(keep_runs=2)
    for number in range(5):
        store.save(over(running(number, "tune")))
        store.save(over(running(100 + number, "scan")))
    assert len(store.runs("tune")) == 2
    assert len(store.runs("scan")) == 2


def test_keep_is_per_job_and_acts_at_once(make: Callable[..., RunStore]) -> None:
    store = make(keep_runs=10)
    for number in range(5):
        store.save(over(running(number)))
    store.keep("tune", 1)
    assert [run.id for run in store.runs("tune")] == ["id-00004"]
    store.keep("tune", 0)
    store.save(over(running(7)))
    assert store.runs("tune") == ()


def test_a_log_keeps_its_latest_lines_and_counts_the_others(make: Callable[..., RunStore]) -> None:
    store = make(keep_lines=5)
    store.save(running(1))
    for number in range(5):
        store.append("id-00001", line(f"{number} {{}} %d \x00 é"))
    assert [kept.text for kept in store.log("id-00001")] == [
        f"{number} {{}} %d \x00 é" for number in range(5)
    ]
    for number in range(5, 12):
        store.append("id-00001", line(str(number)))
    note, *kept = store.log("id-00001")
    assert note.text == "7 earlier lines were dropped"
    assert [entry.text for entry in kept] == [str(number) for number in range(7, 12)]


def test_a_log_survives_its_runs_newer_states(make: Callable[..., RunStore]) -> None:
    store = make()
    store.save(running(1))
    store.append("id-00001", line("before"))
    store.save(over(running(1)))
    store.append("id-00001", line("after"))
    assert [kept.text for kept in store.log("id-00001")] == ["before", "after"]


def test_many_threads_at_once(make: Callable[..., RunStore]) -> None:
    store = make(keep_runs=1000, keep_lines=1000)
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(50):
                run = running(worker * 1000 + number)
                store.save(run)
                store.append(run.id, line("x"))
                store.save(over(run))
                store.runs("tune")
                store.unfinished()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert not failures
    assert len(store.runs("tune")) == 200
    assert store.unfinished() == ()
