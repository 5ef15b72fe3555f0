"""The admin endpoint of a host that runs for real: two tasks, one that fails, a job, a broken plugin."""

from __future__ import annotations

import json
import math
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from environments import Environment, outside
from hosts import RunningHost, own_world, running, without_example

from iocmng.client import Client
from iocmng.errors import BadInput, IocmngError, LinkRefused, LinkTimeout, NotFound, Refused
from iocmng.lifecycle import JobState
from iocmng.wire import EventKind

DEADLINE = 40.0
PREFIX = "HTTPTEST"

PLUGINS = {
    "counter": (
        """
from iocmng import TaskBase


class Counter(TaskBase):
    def execute(self):
        self.set_pv("N", self.cycle_count * self.parameters["step"])
        self.set_pv("RATIO", float("nan"))
        self.logger.info("cycle %d", self.cycle_count)

    def metrics(self):
        return {"depth": 3.5}
""",
        """
parameters: {interval: 0.1, step: 1}
arguments:
  inputs:
    LIMIT: {type: float, value: 3.0, unit: mA, low: 0, high: 100}
  outputs:
    N: {type: int, value: 0}
    RATIO: {type: float}
""",
    ),
    "failing": (
        """
from iocmng import TaskBase


class Failing(TaskBase):
    def initialize(self):
        raise RuntimeError("no such crate")

    def execute(self):
        pass
""",
        "parameters: {interval: 0.1}\nsupervision: {restart: 'no'}\n",
    ),
    "tune": (
        """
from iocmng import JobBase, JobResult


class Tune(JobBase):
    def execute(self):
        for step in range(600 if self.get_pv("LONG") else 1):
            self.progress(step / 600, f"step {step}")
            if not self.sleep(0.1):
                return JobResult(False, message="stopped")
        self.logger.info("tuned")
        return JobResult(True, data={"peak": 7}, message="done")
""",
        "arguments:\n  inputs:\n    LONG: {type: bool}\n",
    ),
    "broken": ("import not_there_at_all\n", "parameters: {intervall: 1}\n"),
}


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the plugins."""
    folder = tmp_path_factory.mktemp("http")
    for name, (code, config) in PLUGINS.items():
        (folder / name).mkdir()
        (folder / name / f"{name}.py").write_text(code)
        (folder / name / "config.yaml").write_text(config)
    entries = [{"name": name, "local_path": str(folder / name)} for name in PLUGINS]
    flag = {"name": "GUNFLG01", "devgroup": "mot", "devtype": "asyn", "iocprefix": "FLAG"}
    (folder / "beamline.yaml").write_text(json.dumps({"epicsConfiguration": {"iocs": [flag]}}))
    (folder / "plugins.yaml").write_text(json.dumps({"plugins": entries}))
    return folder


@pytest.fixture(scope="module")
def host(home: Path) -> Iterator[RunningHost]:
    argv = [sys.executable, "-m", "iocmng_cli", "run", "--prefix", PREFIX]
    env = {
        "IOCMNG_PLUGINS_CONFIG": str(home / "plugins.yaml"),
        "IOCMNG_BEAMLINE_CONFIG": str(home / "beamline.yaml"),
    }
    with running(
        Environment(Path(sys.prefix)), home, argv=argv, env={**env, **without_example(home)}
    ) as started:
        with httpx.Client(base_url=started.url, trust_env=False) as http:
            eventually(lambda: http.get("/readyz").status_code == 200)
        yield started


@pytest.fixture(scope="module")
def state_dir(host: RunningHost) -> Path:
    return Path(host.env["IOCMNG_STATE_DIR"])


@pytest.fixture
def client(host: RunningHost, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client that finds the token by itself, as one of the same user does."""
    monkeypatch.delenv("IOCMNG_TOKEN", raising=False)
    monkeypatch.setenv("IOCMNG_STATE_DIR", str(state_dir))
    with Client(host.url) as made:
        if made.show("counter").view.state != "RUN":
            made.tasks["counter"].restart()
        yield made


@pytest.fixture
def anonymous(host: RunningHost) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.url, trust_env=False, timeout=DEADLINE) as http:
        yield http


def test_the_token_and_the_address_lie_where_only_the_owner_reads(host: RunningHost, state_dir: Path) -> None:
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    for name in ("token", "endpoint.json"):
        assert stat.S_IMODE((state_dir / name).stat().st_mode) == 0o600
    recorded = json.loads((state_dir / "endpoint.json").read_text())
    assert (recorded["url"], recorded["pid"]) == (host.url, host.process.pid)
    assert (state_dir / "token").read_text().strip() not in host.output


def test_anonymous_callers_of_this_machine_read_and_do_not_write(anonymous: httpx.Client) -> None:
    assert anonymous.get("/api/v1/plugins").status_code == 200
    refused = anonymous.post("/api/v1/plugins/counter/stop")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert anonymous.get("/api/v1/host", headers={"Host": "evil.example.org"}).status_code == 403


def test_the_list_survives_what_is_broken(anonymous: httpx.Client) -> None:
    entries = {entry["name"]: entry for entry in anonymous.get("/api/v1/plugins").json()["plugins"]}
    assert set(entries) == set(PLUGINS)
    assert (entries["broken"]["state"], entries["broken"]["status"]) == ("INVALID", "invalid")
    assert entries["broken"]["validation"]["errors"]
    assert (entries["failing"]["state"], entries["failing"]["status"]) == ("ERROR", "error")
    assert "no such crate" in entries["failing"]["message"]
    counter = entries["counter"]
    assert counter["built_pvs"][-3:] == ["LIMIT", "N", "RATIO"]
    assert counter["pv_prefix"] == f"{PREFIX}:COUNTER"
    assert counter["parameters"]["step"] == 1
    for name in PLUGINS:
        for part in ("", "/startup", "/schema", "/log"):
            answer = anonymous.get(f"/api/v1/plugins/{name}{part}")
            assert answer.status_code == 200, f"{name}{part}: {answer.text}"


def test_a_failing_plugin_never_fails_livez(anonymous: httpx.Client) -> None:
    assert anonymous.get("/livez").status_code == 200
    assert anonymous.get("/readyz").status_code == 200
    assert anonymous.get("/api/v1/health").json()["status"] == "degraded"


def test_verbs_reach_the_pv_and_the_events(client: Client) -> None:
    events = client.follow(after="0", kinds=[EventKind.STATE], instance="counter")
    counter = client.tasks["counter"]
    assert counter.pause().state == "PAUSED"
    assert client.pv("counter:STATUS").value in (2, "PAUSED")
    assert client.pv("counter:N").severity == "INVALID"
    assert counter.resume().state == "RUN"
    mine = next(event for event in events if event.data.get("after") == "PAUSED")
    assert (mine.actor.user, mine.actor.origin, mine.actor.via) == ("local", "127.0.0.1", "http")
    with pytest.raises(Refused) as refused:
        client.tasks["failing"].pause()
    assert "ERROR" in refused.value.detail
    assert "start" in refused.value.hint


def test_a_start_that_fails_says_why(client: Client) -> None:
    with pytest.raises(IocmngError) as failed:
        client.tasks["failing"].start()
    assert failed.value.error_code == "not-started"
    assert "no such crate" in failed.value.detail


def test_outputs_that_are_no_numbers_travel(client: Client) -> None:
    eventually(lambda: client.pv("counter:RATIO").value != client.pv("counter:RATIO").value)
    assert client.pv("counter:RATIO").severity == "INVALID"


def test_own_pvs_are_written_as_a_client_would(client: Client) -> None:
    assert client.put_pv("counter:LIMIT", 42).value == 42.0
    assert client.pv(f"{PREFIX}:COUNTER:LIMIT").value == 42.0
    limited = client.put_pv("counter:LIMIT", 1000)
    assert (limited.value, limited.high) == (100.0, 100.0)
    with pytest.raises(Refused, match="read-only"):
        client.put_pv("counter:N", 1)
    with pytest.raises(BadInput):
        client.put_pv("counter:LIMIT", [1, 2])
    for value, said in ((math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")):
        with pytest.raises(BadInput, match=f"{PREFIX}:COUNTER:LIMIT takes no {said}"):
            client.put_pv("counter:LIMIT", value)
    assert client.pv("counter:LIMIT").value == 100.0
    with pytest.raises(NotFound) as unknown:
        client.pv("no-such-thing-at-all")
    assert unknown.value.hint == "`iocmng pv list` names them"
    with pytest.raises(NotFound, match=r"COUNTR:LIMIT") as unknown:
        client.pv(f"{PREFIX}:COUNTR:LIMIT")
    assert unknown.value.hint == f"did you mean '{PREFIX}:COUNTER:LIMIT'?"
    names = {pv.name for pv in client.pvs(f"{PREFIX}:COUNTER:*")}
    assert {f"{PREFIX}:COUNTER:{port}" for port in ("LIMIT", "N", "RATIO", "STATUS", "MESSAGE")} <= names
    monitored = client.monitor_pvs(["counter:N"], period=0.05)
    assert next(monitored).value != next(monitored).value


def test_pvs_are_reached_wherever_they_are(client: Client, anonymous: httpx.Client) -> None:
    limit = f"{PREFIX}:COUNTER:LIMIT"
    client.pvs.put(f"ca://{limit}", 21)
    assert (client.pvs.get(limit).value, client.pvs.get(limit).local) == (21.0, True)
    # Fields go over the network, as the PVs of others do.
    assert [client.pvs.get(f"{scheme}://{limit}.EGU").value for scheme in ("ca", "pva")] == ["mA", "mA"]
    for scheme in ("ca", "pva"):
        with pytest.raises(LinkRefused):
            client.pvs.put(f"{scheme}://{limit}.EGU", "A")
    with pytest.raises(LinkTimeout, match=r"within 0\.3 s"):
        client.pvs.get("ca://NOBODY:HAS:THIS", timeout=0.3)
    with pytest.raises(NotFound, match="COUNTER:LIMITS"):
        client.pvs.get(f"{limit}S")
    monitored = client.pvs.monitor([f"pva://{limit}.EGU", f"{PREFIX}:COUNTER:N"], period=0.02)
    seen = {reading.value for reading in (next(monitored) for _ in range(20)) if reading.connected}
    assert "mA" in seen
    assert len(seen) > 2
    body = {"pv_name": f"{PREFIX}:COUNTER:N", "name": "mine"}
    assert anonymous.post("/api/v1/pvs/monitor", json=body).json()["key"] == "mine"
    eventually(lambda: anonymous.get("/api/v1/pvs/monitor/mine").json()["updates"] > 2)
    assert anonymous.delete("/api/v1/pvs/monitor/mine").status_code == 200
    assert anonymous.get("/api/v1/devices").json()["available"] == ["GUNFLG01"]


def test_parameters_are_kept_with_their_origin(client: Client) -> None:
    shown = {parameter.name: parameter for parameter in client.tasks["counter"].set(step=5).parameters}
    assert (shown["step"].value, shown["step"].origin) == (5, "set")
    with pytest.raises(BadInput, match="step"):
        client.tasks["counter"].set(stepp=5)
    shown = {parameter.name: parameter for parameter in client.tasks["counter"].set(step=None).parameters}
    assert (shown["step"].value, shown["step"].origin) == (1, "config.yaml")


def test_a_run_from_start_to_end_and_one_that_is_aborted(client: Client) -> None:
    done = client.jobs["tune"].start().wait(DEADLINE)
    assert (done.state, done.data, done.message) == (JobState.SUCCESS, {"peak": 7}, "done")
    run = client.jobs["tune"].start(LONG=True)
    with pytest.raises(Refused):
        client.jobs["tune"].start()
    eventually(lambda: run.refresh().progress > 0)
    run.abort()
    assert run.wait(DEADLINE).state is JobState.ABORTED
    assert [view.id for view in client.runs("tune")][:2] == [run.id, done.id]
    assert any(line.text == "tuned" for line in client.run_log(done.id))
    with pytest.raises(BadInput, match="LONGG"):
        client.jobs["tune"].start(LONGG=True)


def test_a_job_run_as_in_the_previous_system_holds_up_nobody(client: Client, state_dir: Path) -> None:
    secret = (state_dir / "token").read_text().strip()
    answers: list[httpx.Response] = []
    headers = {"Authorization": f"Bearer {secret}"}
    url = f"{client.url}/api/v1/jobs/tune/run"
    body = {"arguments": {"LONG": True}}
    waiting = threading.Thread(
        target=lambda: answers.append(
            httpx.post(url, json=body, headers=headers, timeout=DEADLINE, trust_env=False)
        )
    )
    waiting.start()
    eventually(lambda: any(not view.over for view in client.runs("tune")))
    assert client.host().state == "RUN"
    client.abort(client.runs("tune")[0].id)
    waiting.join(DEADLINE)
    assert answers[0].status_code == 200
    assert answers[0].json()["ok"] is False
    assert answers[0].json()["result"]["success"] is False


def test_logs_are_read_and_followed(client: Client) -> None:
    lines = client.follow_log("counter")
    first, second = next(lines), next(lines)
    assert first.text.startswith("cycle ")
    assert first.time <= second.time
    assert client.log("counter", since=first.time)[0].time >= first.time
    assert any("no such crate" in line.text for line in client.log("failing", level="ERROR"))
    assert all(line.text for line in client.log("HOST"))


def test_metrics_have_the_authors_numbers(anonymous: httpx.Client) -> None:
    eventually(lambda: 'iocmng_metric{instance="counter",name="depth"} 3.5' in anonymous.get("/metrics").text)
    text = anonymous.get("/metrics").text
    assert 'iocmng_instance_state{instance="failing",kind="task",state="ERROR"} 1' in text


def test_tokens_are_made_and_revoked_and_audited(client: Client) -> None:
    from iocmng.wire import Role

    made = client.create_token("panel", Role.OPERATOR)
    with Client(client.url, made.token) as panel:
        panel.tasks["counter"].reset()
    client.revoke_token("panel")
    with Client(client.url, made.token) as panel, pytest.raises(IocmngError):
        panel.host()
    audit = client.follow(after="0", kinds=[EventKind.AUDIT])
    assert next(event for event in audit if "created token 'panel'" in event.text).actor.user == "local"


def test_a_busy_port_is_told_before_anything_starts(host: RunningHost, tmp_path: Path) -> None:
    world = {**own_world(tmp_path), "IOCMNG_PORT": host.env["IOCMNG_PORT"]}
    done = refused(world, tmp_path)
    assert done.returncode == 1, done.stderr
    assert f"127.0.0.1:{host.env['IOCMNG_PORT']}" in done.stderr
    assert "--port" in done.stderr


def test_an_open_address_without_a_token_is_refused(tmp_path: Path) -> None:
    done = refused({**own_world(tmp_path), "IOCMNG_HOST": "0.0.0.0"}, tmp_path)
    assert done.returncode == 2, done.stderr
    assert "no token is configured" in done.stderr
    assert "token_file" in done.stderr


def refused(world: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """A host that should not start."""
    return subprocess.run(
        [sys.executable, "-m", "iocmng_cli", "run", "--prefix", "REFUSED"],
        env={**outside(), **world},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        stdin=subprocess.DEVNULL,
    )
