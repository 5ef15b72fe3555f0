"""The command line as users run it: processes of their own against an endpoint over a host in memory."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from environments import outside
from support.serving import SECRETS, Served, serving

from iocmng.lifecycle import JobState
from iocmng.wire import LogLine

DEADLINE = 30.0


@dataclass(frozen=True)
class Done:
    """What a command printed and returned."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs commands against the endpoint, by default as operator."""

    def __init__(self, url: str, home: Path) -> None:
        self.environ = {
            **outside(),
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "IOCMNG_URL": url,
            "IOCMNG_TOKEN": SECRETS["operator"],
        }

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        environ = {**self.environ, **options.pop("env", {})}
        command = [sys.executable, "-m", "iocmng_cli", *arguments]
        pipes = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }
        return subprocess.Popen(command, env=environ, **{**pipes, **options})

    def __call__(self, *arguments: str, **options: Any) -> Done:
        process = self.popen(*arguments, **options)
        out, err = process.communicate(timeout=DEADLINE)
        return Done(process.returncode, out, err)

    def on_terminal(self, *arguments: str, answer: str = "", columns: int = 100) -> Done:
        """Run it with a terminal as standard input, output and error; everything comes back as `out`."""
        leader, follower = pty.openpty()
        env = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
        process = self.popen(*arguments, stdin=follower, stdout=follower, stderr=follower, env=env)
        os.close(follower)
        if answer:
            os.write(leader, answer.encode())
        try:
            shown = _read_all(leader, process)
        finally:
            os.close(leader)
        return Done(process.wait(DEADLINE), shown, "")


def _read_all(leader: int, process: subprocess.Popen[str]) -> str:
    shown, end = b"", time.monotonic() + DEADLINE
    while time.monotonic() < end:
        ready, _, _ = select.select([leader], [], [], 0.1)
        try:
            part = os.read(leader, 65536) if ready else b""
        except OSError:  # Linux says EIO when the other side has closed
            break
        shown += part
        if not part and process.poll() is not None:
            break
    return shown.decode()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint that answers for the whole module."""
    with serving(tmp_path_factory.mktemp("state")) as found:
        yield found


@pytest.fixture
def served(endpoint: Served) -> Served:
    """The endpoint with a host as new."""
    endpoint.call(endpoint.control.__init__)  # type: ignore[misc]
    return endpoint


@pytest.fixture
def shell(served: Served, tmp_path: Path) -> Shell:
    """Commands of an operator."""
    return Shell(served.url, tmp_path)


def _eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_list_shows_every_instance_and_the_reason_of_the_broken_one(shell: Shell) -> None:
    done = shell("list")
    assert (done.code, done.err) == (0, "")
    head, *lines = done.out.splitlines()
    assert head.split()[:4] == ["NAME", "KIND", "MODE", "STATE"]
    assert [line.split()[0] for line in lines] == ["pump", "shot", "tune", "broken"]
    assert "config refused" in lines[3]


def test_list_as_json_has_the_agreed_fields(shell: Shell) -> None:
    views = shell("list", "--json").json
    agreed = {
        "name",
        "kind",
        "plugin",
        "distribution",
        "version",
        "state",
        "prefix",
        "mode",
        "message",
        "findings",
    }
    assert all(agreed <= view.keys() for view in views)
    by_name = {view["name"]: view for view in views}
    assert by_name["pump"]["state"] == "RUN"
    assert by_name["broken"]["findings"][0]["hint"] == "did you mean 'interval'?"


def test_list_can_be_narrowed(shell: Shell) -> None:
    assert [view["name"] for view in shell("list", "--kind", "job", "--json").json] == ["tune"]
    assert [view["name"] for view in shell("list", "--state", "invalid", "--json").json] == ["broken"]


def test_list_names_the_pvs_when_asked(shell: Shell) -> None:
    assert "TEST:PUMP:PRESSURE" in shell("list", "--pvs").out
    (pump, *_) = shell("list", "--pvs", "--json").json
    assert pump["pv_names"] == ["TEST:PUMP:LIMIT", "TEST:PUMP:PRESSURE"]


def test_listing_imports_neither_epics_nor_numpy_nor_pydantic_nor_plugins(shell: Shell) -> None:
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print({m.partition('.')[0] for m in sys.modules}, file=sys.stderr))\n"
        "sys.argv = ['iocmng', 'list', '--state', 'RUN', '--kind', 'task']\n"
        "from iocmng_cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=shell.environ, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    assert "pump" in done.stdout
    loaded = set(re.findall(r"'([^']+)'", done.stderr))
    assert "iocmng" in loaded
    unwanted = {
        "softioc",
        "epicscorelibs",
        "cothread",
        "numpy",
        "pydantic",
        "p4p",
        "epics",
        "acme",
        "fastapi",
        "yaml",
    }
    assert not loaded & unwanted


def test_show_tells_everything(shell: Shell) -> None:
    shown = shell("show", "pump").out
    for needed in ("TEST:PUMP:PRESSURE", "acme-pump 1.2", "gain", "config.yaml", "pause", "RUN"):
        assert needed in shown
    assert "unknown key 'intervall'" in shell("show", "broken").out
    assert shell("show", "pump", "--json").json["view"]["name"] == "pump"


def test_an_unknown_instance_exits_6_with_the_nearest_name(shell: Shell) -> None:
    for command in (["show", "pmup"], ["stop", "pmup"], ["logs", "pmup"], ["set", "pmup", "gain=1"]):
        done = shell(*command)
        assert done.code == 6, command
        assert "'pmup'" in done.err
        assert "pump" in done.err


def test_a_refused_transition_exits_4_and_says_what_is_allowed(shell: Shell) -> None:
    assert shell("stop", "pump").code == 0
    done = shell("resume", "pump")
    assert done.code == 4
    assert "cannot resume while END" in done.err
    assert "start" in done.err


def test_no_host_exits_3_and_says_how_to_start_one(shell: Shell) -> None:
    done = shell("list", "--url", "http://127.0.0.1:1")
    assert (done.code, done.out) == (3, "")
    assert "http://127.0.0.1:1" in done.err
    assert "iocmng run" in done.err


def test_a_missing_token_exits_5_and_names_the_places(shell: Shell) -> None:
    done = shell("stop", "pump", env={"IOCMNG_TOKEN": ""})
    assert done.code == 5
    for place in ("IOCMNG_TOKEN", "tokens.yaml", "/run/iocmng/token"):
        assert place in done.err


def test_a_wrong_token_and_a_low_role_exit_5(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong")
    assert shell("--token-file", str(file), "stop", "pump").code == 5
    file.write_text(SECRETS["viewer"])
    assert shell("stop", "pump", "--token-file", str(file)).code == 5
    assert shell("list", "--token-file", str(file)).code == 0


@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        (["stop"], "END"),
        (["stop", "start"], "RUN"),
        (["pause"], "PAUSED"),
        (["pause", "resume"], "RUN"),
        (["restart"], "RUN"),
        (["reset"], "RUN"),
    ],
)
def test_the_verbs_reach_their_state(shell: Shell, served: Served, verbs: list[str], state: str) -> None:
    for verb in verbs:
        done = shell(verb, "pump", "--json")
        assert done.code == 0, done.err
    (outcome,) = done.json
    assert outcome["ok"]
    assert outcome["instance"]["state"] == state
    assert served.control.actors[-1][1].via == "cli"


def test_a_start_that_fails_exits_1_with_its_reason(shell: Shell, served: Served) -> None:
    served.control.failing.add("pump")
    shell("stop", "pump")
    done = shell("start", "pump")
    assert done.code == 1
    assert "no such file: x" in done.err


def test_without_waiting_the_present_state_is_shown(shell: Shell) -> None:
    done = shell("restart", "pump", "--no-wait")
    assert done.code == 0
    assert "INIT" in done.out


def test_of_several_all_are_tried_and_the_worst_code_counts(shell: Shell, served: Served) -> None:
    done = shell("stop", "tune", "pump", "nobody", "shot")
    assert done.code == 6
    assert {name: served.control.views[name].state for name in ("pump", "shot")} == {
        "pump": "END",
        "shot": "END",
    }
    assert done.err.count("error:") == 2
    assert [line.split()[0] for line in done.out.splitlines()] == ["NAME", "pump", "shot"]


def test_all_means_every_task_that_the_verb_fits(shell: Shell, served: Served) -> None:
    shell("stop", "shot")
    done = shell("pause", "--all", "--json")
    assert done.code == 0, done.err
    assert [outcome["name"] for outcome in done.json] == ["pump"]
    assert served.control.views["shot"].state == "END"


def test_disable_stops_and_is_shown(shell: Shell) -> None:
    assert shell("disable", "pump").code == 0
    line = next(line for line in shell("list").out.splitlines() if line.startswith("pump"))
    assert "disabled" in line
    assert "END" in line
    assert shell("enable", "pump", "--json").json[0]["instance"]["enabled"] is True


@pytest.mark.parametrize(("answer", "code", "state"), [("n\n", 1, "RUN"), ("y\n", 0, "END")])
def test_a_person_is_asked_before_outputs_go_invalid(
    shell: Shell, served: Served, answer: str, code: int, state: str
) -> None:
    done = shell.on_terminal("stop", "pump", answer=answer)
    assert "TEST:PUMP:PRESSURE" in done.out
    assert "INVALID" in done.out
    assert (done.code, served.control.views["pump"].state) == (code, state)


def test_nobody_is_asked_with_yes_or_when_nothing_goes_invalid(shell: Shell) -> None:
    assert "INVALID" not in shell.on_terminal("stop", "pump", "--yes").out
    done = shell.on_terminal("restart", "pump")
    assert done.code == 0
    assert "Go on?" not in done.out


def test_colour_only_on_a_terminal(shell: Shell) -> None:
    assert "\x1b[" not in shell("list").out
    assert "\x1b[" in shell.on_terminal("list").out


@pytest.mark.parametrize("columns", [45, 80])
def test_a_narrow_terminal_stays_readable(shell: Shell, columns: int) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shell.on_terminal("list", columns=columns).out)
    lines = shown.splitlines()
    assert all(len(line.rstrip()) <= columns for line in lines)
    assert [line.split()[0] for line in lines if line[:1].strip()] == [
        "NAME",
        "pump",
        "shot",
        "tune",
        "broken",
    ]


def test_set_reads_values_by_the_schema(shell: Shell, served: Served) -> None:
    done = shell("set", "pump", "gain=2.5", "--json")
    assert done.code == 0, done.err
    assert served.control.specs["pump"].parameters["gain"].value == 2.5
    assert done.json[0]["origin"] == "set"
    wrong = shell("set", "pump", "gian=1")
    assert wrong.code == 2
    assert "gain" in wrong.err


def test_pv_get_put_and_list(shell: Shell) -> None:
    put = shell("pv", "put", "PUMP:LIMIT", "3.5")
    assert put.code == 0, put.err
    assert "1.5 mbar → 3.5 mbar" in put.out
    assert shell("pv", "get", "TEST:PUMP:LIMIT", "--json").json[0]["value"] == 3.5
    both = shell("pv", "get", "PUMP:LIMIT", "PUMP:NOTHING")
    assert both.code == 6
    assert "3.5 mbar" in both.out
    assert shell("pv", "put", "PUMP:PRESSURE", "1").code == 4
    assert shell("pv", "put", "PUMP:LIMIT", "much").code == 2
    assert len(shell("pv", "list", "TEST:SHOT:*", "--json").json) == 2


def test_pv_monitor_prints_changes_until_interrupted(shell: Shell) -> None:
    process = shell.popen("pv", "monitor", "PUMP:LIMIT", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["value"] == 1.5
    shell("pv", "put", "PUMP:LIMIT", "9")
    assert json.loads(process.stdout.readline())["value"] == 9.0
    _interrupted(process)


def _interrupted(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, "")


def test_a_job_runs_and_its_exit_code_mirrors_the_outcome(shell: Shell) -> None:
    for outcome, code in (("SUCCESS", 0), ("FAILED", 1), ("ABORTED", 1)):
        done = shell("job", "run", "tune", "--wait", "--arg", f"outcome={outcome}", "--json")
        assert (done.code, done.json["state"]) == (code, outcome)
    assert [run["state"] for run in shell("job", "history", "tune", "--json").json] == [
        "ABORTED",
        "FAILED",
        "SUCCESS",
    ]
    assert "aborted" in shell("job", "show", "tune").out


def test_waiting_ends_with_the_run(shell: Shell, served: Served) -> None:
    process = shell.popen("job", "run", "tune", "--wait", "--arg", "bands=[0, 1]")
    _eventually(lambda: bool(served.control.run_views))
    (run_id,) = served.control.run_views
    assert served.control.run_views[run_id].arguments == {"bands": [0, 1]}
    served.call(lambda: served.control.end_run(run_id, JobState.SUCCESS))
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, "")
    assert "SUCCESS" in out


def test_a_run_is_aborted_by_its_job_or_its_id(shell: Shell) -> None:
    run_id = shell("job", "run", "tune", "--json").json["id"]
    assert shell("job", "run", "tune").code == 4
    assert shell("job", "abort", "tune", "--json").json["state"] == "ABORTED"
    again = shell("job", "abort", run_id)
    assert again.code == 0
    assert "over already" in again.out
    unknown = shell("job", "abort", "tnue")
    assert (unknown.code, "did you mean 'tune'?" in unknown.err) == (6, True)


def test_an_unknown_argument_of_a_job_exits_2(shell: Shell) -> None:
    assert shell("job", "run", "tune", "--arg", "bnads=1").code == 2
    assert shell("job", "run", "tune", "--arg", "bands").code == 2


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


def test_following_a_log_goes_on_until_interrupted(shell: Shell, served: Served) -> None:
    served.call(lambda: served.control.lines["pump"].append(LogLine(time.time(), "INFO", "pump", "before")))
    process = shell.popen("logs", "pump", "-f")
    assert process.stdout is not None
    assert process.stdout.readline().rstrip().endswith("before")
    _eventually(lambda: bool(served.control.listeners))
    served.call(
        lambda: served.control.write_log("pump", LogLine(time.time(), "WARNING", "pump", "µ-metal warm"))
    )
    assert process.stdout.readline().rstrip().endswith("WARNING  pump: µ-metal warm")
    _interrupted(process)


def test_watch_ends_cleanly_when_interrupted(shell: Shell) -> None:
    process = shell.popen("watch", "--json", "--period", "0.1")
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    assert first["host"]["prefix"] == second["host"]["prefix"] == "TEST"
    assert len(first["instances"]) == 4
    _interrupted(process)


def test_watch_fills_a_terminal_and_gives_it_back(shell: Shell) -> None:
    leader, follower = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": "60", "LINES": "20"}
    process = shell.popen(
        "watch", "--period", "0.1", stdin=follower, stdout=follower, stderr=follower, env=env
    )
    os.close(follower)
    try:
        shown = b""
        while b"broken" not in shown:
            assert select.select([leader], [], [], DEADLINE)[0]
            shown += os.read(leader, 65536)
        process.send_signal(signal.SIGINT)
        rest = _read_all(leader, process)
    finally:
        os.close(leader)
    assert process.wait(DEADLINE) == 0
    assert "\x1b[?1049l" in rest
    assert "Traceback" not in rest


def test_a_reader_that_has_gone_is_no_traceback(shell: Shell, served: Served) -> None:
    lines = [LogLine(time.time(), "INFO", "pump", "x" * 200) for _ in range(900)]
    served.call(lambda: served.control.lines["pump"].extend(lines))
    for arguments in (["logs", "pump"], ["list"], ["pv", "list", "--json"]):
        process = shell.popen(*arguments)
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(DEADLINE) == 1


def test_a_locale_without_unicode_is_no_obstacle(shell: Shell, served: Served) -> None:
    served.call(
        lambda: served.control.lines["pump"].append(LogLine(time.time(), "INFO", "pump", "20 µA → off"))
    )
    env = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    for arguments in (["logs", "pump"], ["show", "pump"], ["list"]):
        done = shell(*arguments, env=env)
        assert (done.code, done.err) == (0, "")
    assert "20 \\xb5A" in shell("logs", "pump", env=env).out


def test_status_says_what_the_host_is(shell: Shell) -> None:
    shown = shell("status").out
    for needed in ("TEST", "RUN", "3.0.0", "4, 2 running"):
        assert needed in shown
    assert shell("status", "--json").json["prefix"] == "TEST"


def test_rescan_needs_an_admin(shell: Shell) -> None:
    assert shell("rescan").code == 5
    done = shell("rescan", env={"IOCMNG_TOKEN": SECRETS["admin"]})
    assert (done.code, done.out) == (0, "nothing changed\n")


def test_tokens_are_made_listed_used_and_revoked(shell: Shell, tmp_path: Path) -> None:
    admin = {"IOCMNG_TOKEN": SECRETS["admin"]}
    made = shell("token", "create", "desk", "--role", "operator", env=admin)
    assert made.code == 0, made.err
    file = tmp_path / "desk"
    file.write_text(made.out)
    assert shell("pause", "pump", "--token-file", str(file)).code == 0
    listed = shell("token", "list", "--json", env=admin)
    assert {"desk": "operator"}.items() <= {token["name"]: token["role"] for token in listed.json}.items()
    assert made.out.strip() not in listed.out
    assert shell("token", "revoke", "desk", env=admin).code == 0
    assert shell("resume", "pump", "--token-file", str(file)).code == 5


def test_the_shell_completes_commands_names_and_pvs(shell: Shell) -> None:
    def complete(words: str) -> set[str]:
        env = {
            "_IOCMNG_COMPLETE": "complete_bash",
            "COMP_WORDS": f"iocmng {words}",
            "COMP_CWORD": str(len(words.split(" "))),
        }
        return set(shell(env=env).out.split())

    assert complete("st") == {"start", "stop", "status"}
    assert complete("show p") == {"pump"}
    assert complete("job run ") == {"tune"}
    assert complete("pv get TEST:PUMP:") == {"TEST:PUMP:LIMIT", "TEST:PUMP:PRESSURE"}
    assert complete("set pump ") == {"gain="}
    assert complete("list --state RUN") >= {"RUN", "RUNNING"}
    assert complete("--url http://127.0.0.1:1 show p") == set()


def test_validate_prints_places_and_exits_1_on_an_error(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "lamp"
    folder.mkdir()
    (folder / "lamp.py").write_text(
        "from iocmng import TaskBase\n\n\nclass Lamp(TaskBase):\n    def execute(self):\n        pass\n"
    )
    (folder / "config.yaml").write_text("arguments:\n  outputs:\n    ON: {type: bool, value: false}\n")
    good = shell("validate", str(folder), "--json")
    assert good.code == 0, good.out
    (report,) = good.json
    assert report["ok"]
    assert "VALIDATE:LAMP:ON" in report["instances"][0]["pvs"]
    (folder / "config.yaml").write_text("arguments:\n  outputs:\n    ON: {type: bol}\n")
    bad = shell("validate", str(folder))
    assert bad.code == 1
    assert f"{folder / 'config.yaml'}:3:16: error" in bad.out
    assert shell("validate", "nothing-of-that-name").code == 6


def test_doctor_examines_the_running_host_too(shell: Shell) -> None:
    done = shell("doctor", "--json")
    findings = done.json
    assert done.code == 1
    assert any(
        finding["code"] == "instance" and "broken is INVALID" in finding["message"] for finding in findings
    )
    assert {"python", "imports", "epics", "host", "state-dir"} <= {finding["code"] for finding in findings}


def test_doctor_without_a_host_says_how_to_start_one(shell: Shell) -> None:
    done = shell("doctor", "--url", "http://127.0.0.1:1", env={"IOCMNG_PREFIX": "LAB", "IOCMNG_PORT": "1"})
    assert "iocmng run" in done.out
    assert "errors, " in done.out.splitlines()[-1]
