"""The live model of a run: progress, one outcome, one moment."""

from __future__ import annotations

import math
import re
import threading

import pytest

from iocmng.lifecycle import JobState
from iocmng.runtime.runs import Run, new_run_id


def run() -> Run:
    return Run("20261121-102300-3f9a1c", "tune", {"bands": [0]}, started=10.0)


def test_ids_sort_by_time_and_fit_a_string_record() -> None:
    ids = [new_run_id(1_764_000_000.0 + seconds) for seconds in range(5)]
    assert ids == sorted(ids)
    assert len({new_run_id(0.0) for _ in range(100)}) == 100
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", one) for one in ids)
    assert max(map(len, ids)) <= 39


@pytest.mark.parametrize(
    ("fraction", "shown"), [(0.0, 0.0), (0.25, 25.0), (1.5, 100.0), (-1.0, 0.0), (math.inf, 100.0)]
)
def test_progress_stays_within_its_scale(fraction: float, shown: float) -> None:
    one = run()
    assert one.report(fraction, "measuring")
    assert one.view.progress == shown
    assert one.view.message == "measuring"


def test_progress_that_is_no_number_changes_only_the_message() -> None:
    one = run()
    one.report(0.5, "half")
    one.report(math.nan, "lost count")
    one.report(0.75)
    assert (one.view.progress, one.view.message) == (75.0, "lost count")


def test_the_first_outcome_stands() -> None:
    one = run()
    assert one.end(JobState.ABORTED, 12.0, message="aborted by eve")
    assert not one.end(JobState.SUCCESS, 13.0, data=5)
    assert not one.report(1.0, "too late")
    view = one.view
    assert view.over
    assert (view.state, view.ended, view.data, view.message) == (
        JobState.ABORTED,
        12.0,
        None,
        "aborted by eve",
    )


def test_success_is_all_of_the_way_and_failure_stays_where_it_was() -> None:
    done, failed = run(), run()
    for one in (done, failed):
        one.report(0.3, "measuring")
    done.end(JobState.SUCCESS, 11.0, data=[1.0], exit_code=0)
    failed.end(JobState.FAILED, 11.0, exit_code=3)
    assert (done.view.progress, done.view.data, done.view.message) == (100.0, [1.0], "measuring")
    assert (failed.view.progress, failed.view.exit_code) == (30.0, 3)


@pytest.mark.parametrize("state", [JobState.IDLE, JobState.RUNNING])
def test_what_is_no_outcome_is_refused(state: JobState) -> None:
    with pytest.raises(ValueError, match="is no outcome"):
        run().end(state, 1.0)


def test_only_one_of_many_threads_ends_it() -> None:
    one = run()
    begin = threading.Barrier(8)
    first: list[JobState] = []

    def end(state: JobState) -> None:
        begin.wait(10)
        if one.end(state, 1.0):
            first.append(state)

    states = [JobState.SUCCESS, JobState.FAILED, JobState.ABORTED, JobState.TIMEOUT] * 2
    threads = [threading.Thread(target=end, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert first == [one.view.state]
