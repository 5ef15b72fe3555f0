"""Scripts as real processes: what they print, how they end, and what is left of them, whatever they do."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.jobs import TESTER, Yard, script_config, yard

from iocmng import ScriptJob
from iocmng.lifecycle import JobState
from iocmng.runtime.runs_disk import DiskRuns


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Yard]:
    with yard() as made:
        yield made


def add(jobs: Yard, tmp_path: Path, code: str, **more: Any) -> None:
    jobs.add(ScriptJob, script_config(tmp_path / "plugin", code, **more))


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def test_output_exit_code_and_last_line(jobs: Yard, tmp_path: Path) -> None:
    add(jobs, tmp_path, "import sys\nprint('first')\nprint('trouble {} %s', file=sys.stderr)\nsys.exit(3)\n")
    view = jobs.run()
    assert view.state is JobState.FAILED
    assert view.message == "exit code 3: trouble {} %s"
    assert view.exit_code == jobs.pv("EXIT_CODE") == 3
    lines = {line.text: (line.level, line.source) for line in jobs.store.log(view.id)}
    assert lines["first"] == ("INFO", "stdout")
    assert lines["trouble {} %s"] == ("WARNING", "stderr")
    assert jobs.pv("STATUS") == int(JobState.FAILED)
    assert jobs.pv("LAST_LINE") in lines


def test_what_is_no_utf8_is_replaced_and_kept_as_bytes(jobs: Yard, tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "whole = 'größe 😀'.encode()\n"
        "for byte in whole: os.write(1, bytes([byte])); time.sleep(0.002)\n"
        "os.write(1, b'\\n\\xff\\xfe broken\\r\\nno newline at the end')\n"
    )
    add(jobs, tmp_path, code)
    view = jobs.run()
    assert view.state is JobState.SUCCESS
    said = [line.text for line in jobs.store.log(view.id) if line.source == "stdout"]
    assert said == ["größe 😀", "�� broken", "no newline at the end"]
    assert (
        jobs.store.files(view.id).output.read_bytes().endswith(b"\n\xff\xfe broken\r\nno newline at the end")
    )


def test_megabytes_of_output_neither_block_nor_grow(jobs: Yard, tmp_path: Path) -> None:
    code = "import sys\nfor n in range(200000): sys.stdout.write('%06d %s\\n' % (n, 'x' * 60))\n"
    add(jobs, tmp_path, code, interpreter="python3")
    view = jobs.run()
    assert view.state is JobState.SUCCESS
    files = jobs.store.files(view.id)
    older = files.output.with_name(f"{files.output.name}.1")
    assert files.output.read_bytes().endswith(b"199999 " + b"x" * 60 + b"\n")
    assert files.output.stat().st_size + older.stat().st_size <= 8 * 1024 * 1024
    assert any("came too fast" in text for text in jobs.texts(view.id))


def test_an_abort_ends_the_whole_group_and_may_be_asked_again(jobs: Yard, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid)\n"
        "time.sleep(600)\n"
    )
    add(jobs, tmp_path, code)
    run = jobs.start()
    jobs.until(lambda: any(text.startswith("child") for text in jobs.texts(run)))
    child = int(next(text for text in jobs.texts(run) if text.startswith("child")).split()[1])
    jobs.jobs["tune"].abort(TESTER)
    jobs.jobs["tune"].abort(TESTER)
    jobs.put("ABORT", 1)
    view = jobs.over(run)
    assert view.state is JobState.ABORTED
    assert view.exit_code == -15
    assert "aborted by test" in view.message
    jobs.until(lambda: gone(child))
    jobs.jobs["tune"].abort(TESTER)
    assert jobs.store.run(run) == view


def test_who_ignores_term_is_killed_after_the_grace(jobs: Yard, tmp_path: Path) -> None:
    code = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('ready')\ntime.sleep(600)\n"
    add(jobs, tmp_path, code, stop_grace=0.2, job={"run_timeout": 0.5})
    run = jobs.start()
    view = jobs.over(run)
    assert (view.state, view.exit_code) == (JobState.TIMEOUT, -9)
    assert view.message == "still running after 0.5 s"
    assert jobs.pv("STATUS") == int(JobState.TIMEOUT)


def test_a_child_that_keeps_the_pipes_open_does_not_hold_up_the_end(jobs: Yard, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid)\n"
    )
    add(jobs, tmp_path, code)
    begun = time.monotonic()
    view = jobs.run()
    assert view.state is JobState.SUCCESS
    assert time.monotonic() - begun < 20
    child = next(int(text) for text in jobs.texts(view.id) if text.isdigit())
    jobs.until(lambda: gone(child))
    assert any("left processes behind" in text for text in jobs.texts(view.id))


def test_one_that_left_the_group_and_holds_the_pipes_is_told_and_left_alone(
    jobs: Yard, tmp_path: Path
) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'], "
        "start_new_session=True)\n"
        "print(child.pid)\n"
    )
    add(jobs, tmp_path, code)
    view = jobs.run()
    assert view.state is JobState.SUCCESS
    assert any("holds its output open" in text for text in jobs.texts(view.id))
    child = next(int(text) for text in jobs.texts(view.id) if text.isdigit())
    assert not gone(child)
    os.kill(child, 9)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ({"path": "missing.py"}, "script .*missing.py: No such file"),
        ({"interpreter": "no-such-interpreter"}, "cannot start no-such-interpreter: No such file"),
        ({"argv": ["/dev/null"]}, "cannot start /dev/null: Permission denied"),
        ({"cwd": "/no/such/place"}, "cannot start /no/such/place: No such file"),
    ],
)
def test_what_cannot_be_started_is_a_failed_run(
    jobs: Yard, tmp_path: Path, script: dict[str, Any], message: str
) -> None:
    add(jobs, tmp_path, "", **script)
    view = jobs.run()
    assert view.state is JobState.FAILED
    assert view.exit_code is None
    assert re.match(message, view.message)
    assert jobs.run().state is JobState.FAILED


def test_progress_and_data_come_over_the_pipe(jobs: Yard, tmp_path: Path) -> None:
    code = """
import json, os, sys
pipe = os.fdopen(int(os.environ["IOCMNG_PROGRESS_FD"]), "w", buffering=1)
def report(**what): pipe.write(json.dumps(what) + "\\n")
report(progress=0.25, message="quarter")
report(data={"peaks": [1.5, 2.5]})
report(data={"bad": float("nan")})
pipe.write('{"progress": 1e999}\\nnonsense\\n[1]\\n{"data": 5}\\n')
report(type="session_data", payload={"band": 3})
report(progress=0.75, message="nearly")
report(type="data_file", payload={"path": "/x.npy"})
"""
    add(jobs, tmp_path, code + "sys.exit(1)\n")
    view = jobs.run()
    assert view.data == {"peaks": [1.5, 2.5], "band": 3, "files": [{"path": "/x.npy"}]}
    assert (view.progress, view.state) == (75.0, JobState.FAILED)
    assert jobs.pv("PROGRESS") == 75.0
    refused = [text for text in jobs.texts(view.id) if text.startswith("report refused")]
    assert len(refused) == 5
    assert "NaN is no number of JSON" in refused[0]


def test_datagrams_of_the_publisher(jobs: Yard, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = """
import json, os, socket, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
where = (os.environ["SMURFPUB_UDP_HOST"], int(os.environ["SMURFPUB_UDP_PORT"]))
assert os.environ["SMURFPUB_BACKEND"] == "udp"
def publish(number, kind, payload, who=os.environ["SMURFPUB_ID"]):
    text = json.dumps({"host": "h", "id": who, "script": "tune", "time": time.time(),
                       "seq_no": number, "type": kind, "payload": payload})
    out.sendto(text.encode(), where)
publish(0, "start", {})
publish(1, "session_data", {"bands": [0, 1]})
publish(5, "session_log", "band 0 done")
publish(6, "session_data", {"theirs": 1}, who="other")
publish(6, "general", {"x": float("nan")})
publish(7, "log", {"message": "plain words"})
publish(0, "start", {})
out.sendto(b"x" * 65000, where)
"""
    add(jobs, tmp_path, code, status_udp=port, env={"SMURFPUB_ID": "crate1"})
    view = jobs.run()
    assert (view.state, view.message) == (JobState.SUCCESS, "band 0 done")
    assert view.data == {"bands": [0, 1]}
    said = jobs.texts(view.id)
    assert "plain words" in said
    assert "4 status messages were lost" in said
    assert sum(text.startswith("report refused") for text in said) == 2


def test_environment_without_secrets_closed_stdin_and_a_folder_of_its_own(
    jobs: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IOCMNG_TOKEN", "s3cret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("GIT_PAT", "s3cret")
    monkeypatch.setenv("PROXY", "http://user:s3cret@proxy")
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", "127.0.0.1")
    code = """
import json, os, sys
assert sys.stdin.read() == ""
open("left.txt", "w").write("data")
print(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "group": os.getpgrp() == os.getpid()}))
"""
    add(jobs, tmp_path, code, env={"CRATE": "7"})
    view = jobs.run()
    assert view.state is JobState.SUCCESS, view.message
    found = json.loads(next(text for text in jobs.texts(view.id) if text.startswith("{")))
    assert "s3cret" not in str(found)
    assert found["env"]["CRATE"] == "7"
    assert found["env"]["EPICS_CA_ADDR_LIST"] == "127.0.0.1"
    assert found["env"]["IOCMNG_RUN_ID"] == view.id
    assert found["group"]
    folder = jobs.store.files(view.id).folder
    assert Path(found["cwd"]) == folder.resolve()
    assert (folder / "left.txt").read_text() == "data"
    assert not jobs.store.files(view.id).process.exists()


def test_a_disk_that_fails_stops_no_script(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the directory should be")
    store = DiskRuns(tmp_path / "runs", on_problem=lambda text: None)
    with yard(store) as jobs:
        add(jobs, tmp_path, "print('said')")
        view = jobs.run()
        assert view.state is JobState.SUCCESS
        said = jobs.texts(view.id)
        assert "said" in said
        assert any("output is not on disk as a whole" in text for text in said)
    store.close()


@pytest.mark.parametrize(("log", "in_host_log"), [(True, True), (False, False), ("all.log", False)])
def test_where_the_output_goes(
    jobs: Yard, tmp_path: Path, caplog: pytest.LogCaptureFixture, log: Any, in_host_log: bool
) -> None:
    caplog.set_level("DEBUG", "iocmng.task.tune")
    target = tmp_path / "all.log"
    add(jobs, tmp_path, "print('{} %s said')", log=str(target) if log == "all.log" else log)
    for count in (1, 2):
        view = jobs.run()
        assert jobs.texts(view.id).count("{} %s said") == 1
        told = [record for record in caplog.records if record.getMessage() == "{} %s said"]
        assert [record.name for record in told] == ["iocmng.task.tune.stdout"] * (count if in_host_log else 0)
    if log == "all.log":
        assert target.read_text() == "{} %s said\n" * 2
