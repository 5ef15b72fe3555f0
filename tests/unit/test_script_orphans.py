"""What a host that was killed leaves running: found, ended, its lock held until then; nobody else is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from children import Lines
from support.jobs import DEADLINE, TESTER, script_config, yard

from iocmng import ScriptJob
from iocmng.errors import Refused
from iocmng.lifecycle import JobState
from iocmng.runtime.runs import MemoryRuns
from iocmng.runtime.runs_disk import DiskRuns
from iocmng.runtime.script.orphans import Orphans, find_orphans
from iocmng.runtime.script.process import RUN_FOLDER, RUN_ID, ProcessMark, boot_id, stat_of
from iocmng.wire import RunView

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
said: dict[int, Lines] = {}
HOST = """
import os, signal, sys
from pathlib import Path
from support.jobs import yard
from iocmng import ScriptJob
from iocmng.runtime.runs_disk import DiskRuns
with yard(DiskRuns(Path(sys.argv[1]))) as jobs:
    jobs.add(ScriptJob, Path(sys.argv[2]))
    run = jobs.start()
    jobs.until(lambda: "up" in jobs.texts(run))
    jobs.store.flush(20.0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(DEADLINE)
        said.pop(process.pid).close()


def begin(started: list[subprocess.Popen[str]], code: str, **env: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={"PATH": "/bin", **env},
        start_new_session=True,
        text=True,
    )
    started.append(process)
    said[process.pid] = Lines(process.stdout)
    said[process.pid].until("up")
    return process


def running(store: MemoryRuns | DiskRuns) -> RunView:
    run = RunView("20261121-100000-aaaaaa", "tune", JobState.RUNNING, started=1.0, lock="crate1")
    store.save(run)
    return run


def test_a_killed_host_leaves_no_script_behind(tmp_path: Path) -> None:
    children = tmp_path / "children"
    code = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], stdout=subprocess.PIPE)\n"
        "away = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
        "start_new_session=True)\n"
        "child.stdout.readline()\n"
        f"open({str(children)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} {{away.pid}}')\n"
        "print('up')\ntime.sleep(600)\n"
    )
    config = script_config(tmp_path / "plugin", code, stop_grace=0.3, job={"lock": "crate1"})
    tests = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *filter(None, sys.path)])}
    store_at = tmp_path / "runs"
    host = subprocess.run([sys.executable, "-c", HOST, str(store_at), str(config)], env=env, timeout=DEADLINE)
    assert host.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in children.read_text().split()]
    assert all(stat_of(pid) for pid in pids)
    store = DiskRuns(store_at)
    with yard(store) as jobs:
        (before,) = store.unfinished()
        jobs.recover()
        jobs.add(ScriptJob, config)
        with pytest.raises(Refused, match=rf"lock crate1 is held by tune, run {before.id} \(left by a dead"):
            jobs.start()
        view = store.run(before.id)
        assert view.state is JobState.LOST
        assert "3 processes of it had stayed" in view.message
        jobs.until(lambda: jobs.shared.locks.holder("lock crate1") is None)
        for pid in pids:
            stat = stat_of(pid)
            assert stat is None or stat.state in "ZX"
        assert "up" in jobs.texts(before.id)
        run = jobs.start()
        jobs.until(lambda: "up" in jobs.texts(run))
        jobs.until(lambda: children.read_text().split()[2:] not in ([], [str(pids[2])]))
        # What leaves the group of a run that is aborted is nobody's.
        os.kill(int(children.read_text().split()[2]), signal.SIGKILL)
        jobs.jobs["tune"].abort(TESTER)
        assert jobs.over(run).state is JobState.ABORTED
    store.close()


def test_only_processes_of_the_run_are_found(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    store = MemoryRuns()
    run = running(store)
    files = store.files(run.id)
    own = begin(started, SLEEP, **{RUN_ID: run.id, RUN_FOLDER: str(files.folder)})
    begin(started, SLEEP, **{RUN_ID: run.id, RUN_FOLDER: "/of/another/host"})
    begin(started, SLEEP, **{RUN_ID: "20261121-100000-bbbbbb", RUN_FOLDER: str(files.folder)})
    begin(started, SLEEP)
    assert find_orphans({run.id: files})[run.id].pids == (own.pid,)


def test_one_that_cleared_its_environment_is_known_by_its_leader(
    started: list[subprocess.Popen[str]],
) -> None:
    store = MemoryRuns()
    run = running(store)
    files = store.files(run.id)
    files.process.parent.mkdir(parents=True)
    process = begin(started, SLEEP)
    stat = stat_of(process.pid)
    assert stat is not None
    mark = ProcessMark(process.pid, stat.started, boot_id(), 1.0)
    mark.write(files.process)
    assert find_orphans({run.id: files})[run.id].pids == (process.pid,)
    for other in (
        replace(mark, started=stat.started + 1),
        replace(mark, boot="another"),
        replace(mark, pid=1),
    ):
        other.write(files.process)
        assert find_orphans({run.id: files}) == {}
    files.process.write_text("{torn")
    assert find_orphans({run.id: files}) == {}


def test_term_comes_before_kill(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    store = MemoryRuns()
    run = running(store)
    files = store.files(run.id)
    files.process.parent.mkdir(parents=True)
    environment = {RUN_ID: run.id, RUN_FOLDER: str(files.folder)}
    polite = begin(started, SLEEP, **environment)
    stubborn = begin(started, STUBBORN, **environment)
    stat = stat_of(stubborn.pid)
    assert stat is not None
    ProcessMark(stubborn.pid, stat.started, boot_id(), 0.2).write(files.process)
    done: list[float] = []
    find_orphans({run.id: files})[run.id].end(lambda: done.append(time.monotonic()))
    assert polite.wait(DEADLINE) == -signal.SIGTERM
    assert stubborn.wait(DEADLINE) == -signal.SIGKILL
    end = time.monotonic() + DEADLINE
    while not done:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not files.process.exists()


def test_a_host_that_dies_while_it_ends_them_leaves_that_to_the_next(
    tmp_path: Path, started: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DiskRuns(tmp_path / "runs")
    run = running(first)
    files = first.files(run.id)
    process = begin(started, SLEEP, **{RUN_ID: run.id, RUN_FOLDER: str(files.folder)})
    assert first.flush(DEADLINE)
    first.close()
    second = DiskRuns(tmp_path / "runs")
    with monkeypatch.context() as dead, yard(second) as jobs:
        dead.setattr(Orphans, "end", lambda orphans, done: None)
        jobs.recover()
        assert second.run(run.id).state is JobState.LOST
    second.close()
    assert process.poll() is None
    third = DiskRuns(tmp_path / "runs")
    assert third.unfinished() == ()
    with yard(third) as jobs:
        jobs.recover()
        assert jobs.shared.locks.holder("lock crate1") is not None
        assert process.wait(DEADLINE) == -signal.SIGTERM
        jobs.until(lambda: jobs.shared.locks.holder("lock crate1") is None)
        assert third.held() == ()
    third.close()
