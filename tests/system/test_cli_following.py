"""The command line follows: logs, monitors, the live list; until Ctrl-C or until nobody reads."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import time

from children import ending
from support.serving import Served
from support.shell import DEADLINE, Shell, eventually, followed, read_all

from iocmng.wire import LogLine


def test_pv_monitor_prints_changes_until_it_is_interrupted(shell: Shell) -> None:
    with followed(shell.popen("pv", "monitor", "PUMP:LIMIT", "--json")) as lines:
        assert json.loads(lines.next())["value"] == 1.5
        shell("pv", "put", "PUMP:LIMIT", "9")
        assert json.loads(lines.next())["value"] == 9.0


def test_logs_show_level_and_time_and_can_be_narrowed(shell: Shell, served: Served) -> None:
    now = time.time()
    lines = [
        LogLine(now - 7200, "INFO", "pump", "old"),
        LogLine(now - 60, "ERROR", "pump", "traceback:\n  here"),
    ]
    served.call(lambda: served.control.lines["pump"].extend(lines))
    assert "old" in shell("logs", "pump").out
    recent = shell("logs", "pump", "--since", "1h")
    assert "old" not in recent.out
    assert "traceback:\n  here" in recent.out
    assert [
        json.loads(line)["text"]
        for line in shell("logs", "pump", "--level", "error", "--json").out.splitlines()
    ] == ["traceback:\n  here"]
    assert shell("logs", "pump", "--since", "yesterday").code == 2
    assert "up" in shell("logs", "HOST").out


def test_logs_of_a_job_are_those_of_its_latest_run(shell: Shell) -> None:
    shell("job", "run", "tune", "--wait", "--arg", "outcome=SUCCESS")
    assert "tuning" in shell("logs", "tune").out
    assert "tuning" in shell("logs", "tune-1", "-f").out


def test_following_a_log_goes_on_until_it_is_interrupted(shell: Shell, served: Served) -> None:
    served.call(lambda: served.control.lines["pump"].append(LogLine(time.time(), "INFO", "pump", "before")))
    with followed(shell.popen("logs", "pump", "-f")) as lines:
        assert lines.next().rstrip().endswith("before")
        eventually(lambda: bool(served.control.listeners))
        warm = LogLine(time.time(), "WARNING", "pump", "µ-metal warm")
        served.call(lambda: served.control.write_log("pump", warm))
        assert lines.next().rstrip().endswith("WARNING  pump: µ-metal warm")


def test_watch_ends_cleanly_when_it_is_interrupted(shell: Shell) -> None:
    with followed(shell.popen("watch", "--json", "--period", "0.1")) as lines:
        first, second = (json.loads(lines.next()) for _ in range(2))
        assert first["host"]["prefix"] == second["host"]["prefix"] == "TEST"
        assert len(first["instances"]) == 4


def test_watch_fills_a_terminal_and_gives_it_back(shell: Shell) -> None:
    leader, follower = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "20"}
    process = shell.popen(
        "watch", "--period", "0.1", stdin=follower, stdout=follower, stderr=follower, env=env
    )
    os.close(follower)
    with ending(process):
        try:
            shown = b""
            while b"broken" not in shown:
                assert select.select([leader], [], [], DEADLINE)[0]
                shown += os.read(leader, 65536)
            process.send_signal(signal.SIGINT)
            rest = read_all(leader, process)
        finally:
            os.close(leader)
        assert process.wait(DEADLINE) == 0
    assert "\x1b[?1049l" in rest
    assert "Traceback" not in rest


def test_a_reader_that_has_gone_is_no_traceback(shell: Shell, served: Served) -> None:
    lines = [LogLine(time.time(), "INFO", "pump", "x" * 200) for _ in range(900)]
    served.call(lambda: served.control.lines["pump"].extend(lines))
    for arguments in (["logs", "pump"], ["list"], ["pv", "list", "--json"]):
        with ending(shell.popen(*arguments)) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(DEADLINE) == 1
            assert process.stderr is not None
            assert process.stderr.read() == ""
            process.stderr.close()
