"""The command line against a host that runs for real, with two tasks, a job and a broken plugin."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import ending
from environments import Environment, outside
from hosts import RunningHost, running, without_example
from support.commands import typed
from support.shell import followed

from iocmng.client import Client
from iocmng.lifecycle import JobState, Trigger
from iocmng.wire import InstanceView

DEADLINE = 40.0

COUNTER = """
from iocmng import TaskBase


class Counter(TaskBase):
    def execute(self):
        self.set_pv("N", self.cycle_count * self.parameters["step"])
        self.logger.info("cycle %d", self.cycle_count)
"""
COUNTER_CONFIG = """
description: counts its cycles
parameters: {interval: 0.1, step: 1}
arguments:
  inputs:
    LIMIT: {type: float, value: 3.0, unit: mA, low: 0, high: 100}
    RANGE: {type: enum, labels: [small, large]}
  outputs:
    N: {type: int, value: 0}
"""
SHOT = """
from iocmng import TaskBase


class Shot(TaskBase):
    def triggered(self):
        self.set_pv("DONE", self.get_pv("DONE") + 1)
"""
SHOT_CONFIG = """
parameters: {mode: triggered}
arguments:
  outputs:
    DONE: {type: int, value: 0}
"""
TUNE = """
from iocmng import JobBase, JobResult


class Tune(JobBase):
    def execute(self):
        if self.get_pv("FAIL"):
            raise RuntimeError("no beam")
        for step in range(100 if self.get_pv("LONG") else 1):
            self.progress(step / 100, f"step {step}")
            if not self.sleep(0.1):
                return JobResult(False, message="aborted")
        self.logger.info("tuned")
        return JobResult(True, data={"peak": 7}, message="done")
"""
TUNE_CONFIG = """
job: {keep_runs: 5}
arguments:
  inputs:
    FAIL: {type: bool}
    LONG: {type: bool}
"""


class Shell:
    """Commands against the running host."""

    def __init__(self, host: RunningHost, client: Client) -> None:
        self.host = host
        self.client = client

    def popen(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "iocmng_cli", *arguments],
            env={**outside(), **self.host.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *arguments: str, code: int | None = 0, env: dict[str, str] | None = None, apart: bool = False
    ) -> tuple[str, str]:
        """Run a command in this process or, `apart`, in one of its own."""
        if apart:
            with ending(self.popen(*arguments, env=env)) as process:
                out, err = process.communicate(timeout=DEADLINE)
            ended = process.returncode
        else:
            done = typed(*arguments, env={**outside(), **self.host.env, **(env or {})})
            ended, out, err = done.code, done.out, done.err
        if code is not None:
            assert ended == code, f"{arguments}: {ended}\n{out}{err}\n{self.host.output}"
        return out, err

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json")[0])

    def view(self, name: str) -> InstanceView:
        """An instance as the host sees it, asked without a command."""
        return self.client.show(name).view


def _plugin(folder: Path, code: str, config: str) -> None:
    folder.mkdir(parents=True)
    (folder / f"{folder.name}.py").write_text(code)
    (folder / "config.yaml").write_text(config)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A host of its own, for the whole module."""
    home = tmp_path_factory.mktemp("host")
    _plugin(home / "counter", COUNTER, COUNTER_CONFIG)
    _plugin(home / "shot", SHOT, SHOT_CONFIG)
    _plugin(home / "tune", TUNE, TUNE_CONFIG)
    _plugin(home / "broken", "import not_there_at_all\n", "parameters: {intervall: 1}\n")
    names = ("counter", "shot", "tune", "broken")
    entries = [{"name": name, "local_path": str(home / name)} for name in names]
    (home / "plugins.yaml").write_text(json.dumps({"plugins": entries}))
    environment = Environment(Path(sys.prefix))
    argv = [sys.executable, "-m", "iocmng_cli", "run", "--prefix", "CLITEST"]
    env = {"IOCMNG_PLUGINS_CONFIG": str(home / "plugins.yaml")}
    with running(environment, home, argv=argv, env={**env, **without_example(home)}) as host:
        token = Path(host.env["IOCMNG_STATE_DIR"], "token").read_text().strip()
        with Client(host.url, token) as client:
            yield Shell(host, client)


@pytest.fixture
def counter(shell: Shell) -> Iterator[str]:
    """The continuous task, in RUN before and after."""
    shell.client.enable("counter", True)
    if shell.view("counter").state != "RUN":
        shell.client.act("counter", Trigger.RESTART)
    _eventually(lambda: shell.view("counter").state == "RUN")
    yield "counter"
    shell.client.enable("counter", True)


def _eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_run_prints_prefix_plugins_and_url(shell: Shell) -> None:
    for needed in ("CLITEST", "counter", "broken", shell.host.url):
        assert needed in shell.host.output


def test_list_has_all_four_with_their_states(shell: Shell, counter: str) -> None:
    views = {view["name"]: view for view in shell.json("list")}
    assert set(views) == {"counter", "shot", "tune", "broken"}
    assert views["counter"]["state"] == "RUN"
    assert (views["counter"]["mode"], views["shot"]["mode"], views["tune"]["kind"]) == (
        "continuous",
        "triggered",
        "job",
    )
    assert views["counter"]["prefix"] == "CLITEST:COUNTER"
    assert views["broken"]["state"] == "INVALID"
    assert any(finding["level"] == "error" for finding in views["broken"]["findings"])
    table, _ = shell("list", apart=True)
    assert [line.split()[0] for line in table.splitlines()[1:]] == list(views)


def test_show_has_parameters_pvs_and_history(shell: Shell, counter: str) -> None:
    detail = shell.json("show", counter)
    assert {"interval": "config.yaml", "step": "config.yaml"}.items() <= {
        parameter["name"]: parameter["origin"] for parameter in detail["parameters"]
    }.items()
    assert [port["pv"]["name"] for port in detail["ports"]] == [
        "CLITEST:COUNTER:LIMIT",
        "CLITEST:COUNTER:RANGE",
        "CLITEST:COUNTER:N",
    ]
    assert any(step["after"] == "RUN" for step in detail["history"])
    assert Path(detail["config"]).parent == Path(shell.host.env["IOCMNG_PLUGINS_CONFIG"]).parent / counter
    text, _ = shell("show", counter)
    for needed in ("CLITEST:COUNTER:N", " mA", "INIT → RUN"):
        assert needed in text


def test_the_states_of_a_task_follow_the_verbs(shell: Shell, counter: str) -> None:
    for verb, state in (
        ("pause", "PAUSED"),
        ("resume", "RUN"),
        ("stop", "END"),
        ("start", "RUN"),
        ("restart", "RUN"),
    ):
        (outcome,) = shell.json(verb, counter)
        assert outcome["instance"]["state"] == state
    shell("pause", counter)
    (output,) = shell.json("pv", "list", "CLITEST:COUNTER:N")
    assert output["severity"] == "INVALID"
    shell("resume", counter)


def test_cycles_go_on_after_a_pause(shell: Shell, counter: str) -> None:
    shell("pause", counter)
    shell("resume", counter)
    before = shell.view(counter).cycles
    _eventually(lambda: shell.view(counter).cycles > before)


def test_the_exit_codes_of_refusals(shell: Shell, counter: str) -> None:
    shell("stop", counter)
    _, refused = shell("resume", counter, code=4)
    assert "start" in refused
    _, unknown = shell("start", "conter", code=6)
    assert "counter" in unknown
    shell("start", "broken", code=4)
    shell("list", "--url", "http://127.0.0.1:1", code=3)
    nowhere = {"IOCMNG_STATE_DIR": "/nonexistent", "XDG_STATE_HOME": "/nonexistent"}
    _, denied = shell("start", counter, code=5, env=nowhere)
    assert "/nonexistent/token" in denied
    shell("start", counter)


def test_the_token_of_the_state_directory_is_found(shell: Shell) -> None:
    tokens = shell.json("token", "list")
    assert any(token["origin"] == "local" for token in tokens)
    secret = shell("token", "create", "panel", "--role", "viewer")[0].strip()
    shell("stop", "counter", code=5, env={"IOCMNG_TOKEN": secret})
    shell("list", env={"IOCMNG_TOKEN": secret})
    shell("token", "revoke", "panel")
    shell("list", code=5, env={"IOCMNG_TOKEN": secret})


def test_disable_stops_and_enable_lets_it_start(shell: Shell, counter: str) -> None:
    shell("disable", counter)
    view = shell.view(counter)
    assert (view.enabled, view.state) == (False, "END")
    shell("enable", counter)
    shell("start", counter)
    assert shell.view(counter).enabled


def test_set_keeps_a_parameter_for_the_next_start(shell: Shell, counter: str) -> None:
    shell("set", counter, "step=5")
    shell("restart", counter)
    parameters = {one["name"]: one for one in shell.json("show", counter)["parameters"]}
    assert (parameters["step"]["value"], parameters["step"]["origin"]) == (5, "set")
    _eventually(lambda: shell.client.pv("counter:N").value % 5 == 0)
    _, wrong = shell("set", counter, "stepp=5", code=2)
    assert "step" in wrong
    shell("set", counter, "step=")
    origins = {one["name"]: one["origin"] for one in shell.json("show", counter)["parameters"]}
    assert origins["step"] == "config.yaml"


def test_pvs_are_read_and_written_as_clients_do(shell: Shell, counter: str) -> None:
    shell("pv", "put", "counter:LIMIT", "42.5")
    assert shell.json("pv", "get", "CLITEST:COUNTER:LIMIT")[0]["value"] == 42.5
    assert shell.host.read("pva", "CLITEST:COUNTER:LIMIT", 42.5) == 42.5
    shell("pv", "put", "counter:RANGE", "large")
    assert "large" in shell("pv", "get", "counter:RANGE")[0]
    shell("pv", "put", "counter:RANGE", "huge", code=2)
    shell("pv", "put", "counter:N", "1", code=4)
    shell("pv", "get", "counter:NOPE", code=6)
    names = {pv["name"] for pv in shell.json("pv", "list", "CLITEST:COUNTER:*")}
    assert {"CLITEST:COUNTER:N", "CLITEST:COUNTER:STATUS", "CLITEST:COUNTER:HEARTBEAT"} <= names


def test_a_put_of_enable_pauses_and_resumes(shell: Shell, counter: str) -> None:
    shell("pv", "put", "counter:ENABLE", "0")
    _eventually(lambda: shell.view(counter).state == "PAUSED")
    shell("pv", "put", "counter:ENABLE", "1")
    _eventually(lambda: shell.view(counter).state == "RUN")


def test_monitor_follows_an_output(shell: Shell, counter: str) -> None:
    with followed(shell.popen("pv", "monitor", "counter:N", "--json")) as lines:
        values = [json.loads(lines.next())["value"] for _ in range(3)]
        assert values == sorted(set(values))


def test_logs_are_printed_and_followed(shell: Shell, counter: str) -> None:
    _eventually(lambda: "cycle" in shell("logs", counter)[0])
    with followed(shell.popen("logs", counter, "-f")) as lines:
        lines.until("cycle")
    assert "cycle" not in shell("logs", counter, "--level", "warning")[0]
    offline = shell("logs", counter, "--offline", "--json")[0].splitlines()
    assert any("cycle" in json.loads(line)["text"] for line in offline)
    shell("logs", "conter", code=6)
    shell("logs", "conter", "--offline", code=6)


def test_a_job_runs_fails_and_is_aborted(shell: Shell) -> None:
    shell("pv", "put", "tune:FAIL", "0")
    shell("pv", "put", "tune:LONG", "0")
    run = json.loads(shell("job", "run", "tune", "--wait", "--json")[0])
    assert (run["state"], run["data"]) == ("SUCCESS", {"peak": 7})
    assert "tuned" in shell("logs", run["id"])[0]
    failed = json.loads(shell("job", "run", "tune", "--arg", "FAIL=true", "--wait", "--json", code=1)[0])
    assert failed["state"] == "FAILED"
    assert "no beam" in failed["message"]
    started = shell.json("job", "run", "tune", "--arg", "LONG=true")
    shell("job", "run", "tune", code=4)
    shell("job", "abort", "tune")
    _eventually(lambda: shell.client.run(started["id"]).state is JobState.ABORTED)
    history = [entry["state"] for entry in shell.json("job", "history", "tune")]
    assert history[:3] == ["ABORTED", "FAILED", "SUCCESS"]


def test_status_and_doctor_know_the_host(shell: Shell) -> None:
    host = shell.json("status")
    assert (host["prefix"], host["state"], host["url"]) == ("CLITEST", "RUN", shell.host.url)
    out, _ = shell("doctor", "--json", code=None, apart=True)
    findings = json.loads(out)
    assert any(finding["code"] == "host" and "CLITEST" in finding["message"] for finding in findings)
    assert any(
        finding["code"] == "instance" and "broken is INVALID" in finding["message"] for finding in findings
    )


def test_the_running_configuration_names_origins(shell: Shell) -> None:
    config = shell.json("config", "show", "--running")
    assert config["prefix"] == {"value": "CLITEST", "origin": "command line"}


def test_rescan_says_what_changed(shell: Shell) -> None:
    assert shell("rescan")[0]


def test_a_second_host_of_the_same_state_directory_says_who_holds_it(shell: Shell) -> None:
    _, err = shell("run", "--prefix", "CLITEST", "--port", "0", code=1, apart=True)
    assert str(shell.host.process.pid) in err
    _, err = shell(
        "run",
        "--prefix",
        "OTHER",
        "--state-dir",
        str(Path(shell.host.env["IOCMNG_STATE_DIR"]).parent / "o"),
        code=1,
        apart=True,
    )
    assert "in use" in err or "busy" in err
