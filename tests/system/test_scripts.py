"""Jobs and scripts of a real host: PVs, HTTP and CLI agree, locks hold, nothing grows, a kill loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest
from environments import Environment
from hosts import RunningHost, running, without_example
from support.watching import Watch, watching

from iocmng.client import Client
from iocmng.errors import BadInput, Refused
from iocmng.lifecycle import JobState
from iocmng.runtime.script.process import stat_of
from iocmng.wire import RunView

DEADLINE = 30.0
PREFIX = "SCRIPTS"
SCRIPT = """
import argparse, json, os, subprocess, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--bands", type=int, nargs="*")
parser.add_argument("--seconds", type=float, default=0.0)
parser.add_argument("--fail", action="store_true")
given = parser.parse_args()
print("bands", given.bands)
report = os.fdopen(int(os.environ["IOCMNG_PROGRESS_FD"]), "w", buffering=1)
if given.seconds > 10:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("pids", os.getpid(), child.pid)
for step in range(5):
    print(json.dumps({"progress": step / 5, "message": f"step {step}"}), file=report)
    time.sleep(given.seconds / 5)
print(json.dumps({"data": {"bands": given.bands}}), file=report)
sys.exit(3 if given.fail else 0)
"""
PLUGINS = {
    "tune": {
        "config.yaml": """
script:
  path: scripts/tune.py
  args:
    - {name: bands, type: int_list, default: [0, 1]}
    - {name: seconds, type: float, default: 0}
    - {name: fail, type: bool}
  stop_grace: 1
job: {lock: crate1, keep_runs: 5}
""",
        "scripts/tune.py": SCRIPT,
    },
    "quick": {
        "config.yaml": "job: {on_busy: queue, keep_runs: 5}\narguments: {inputs: {N: {type: int, value: 1}}}\n",
        "quick.py": """
from iocmng import JobBase

class Quick(JobBase):
    def execute(self):
        self.logger.info("number %d", self.arguments["N"])
        return {"square": self.arguments["N"] ** 2}
""",
    },
    "scan": {
        "config.yaml": "job: {lock: crate1, on_busy: queue}\n",
        "scan.py": """
from iocmng import JobBase

class Scan(JobBase):
    def execute(self):
        return "scanned"
""",
    },
}


def eventually(holds: Callable[[], object], what: str = "it") -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, f"{what} did not come true"
        time.sleep(0.02)


class Hosts:
    """One host over the tests of this module, started again for whoever comes after it has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._host: RunningHost | None = None

    def present(self) -> RunningHost:
        if self._host is None or self._host.process.poll() is not None:
            self.close()
            argv = [sys.executable, "-m", "iocmng_cli", "run", "--prefix", PREFIX]
            env = {
                "IOCMNG_PLUGINS_CONFIG": str(self.folder / "plugins.yaml"),
                "IOCMNG_STATE_DIR": str(self.folder / "state"),
                **without_example(self.folder),
            }
            made = running(Environment(Path(sys.prefix)), self.folder, argv=argv, env=env)
            self._host = self._stack.enter_context(made)
        return self._host

    def client(self) -> Client:
        return Client(self.present().url, (self.folder / "state" / "token").read_text().strip())

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("scripts")
    for name, files in PLUGINS.items():
        for file, content in files.items():
            path = made / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    entries = [{"name": name, "local_path": str(made / name)} for name in PLUGINS]
    (made / "plugins.yaml").write_text(json.dumps({"plugins": entries}))
    return made


@pytest.fixture(scope="module")
def hosts(folder: Path) -> Iterator[Hosts]:
    made = Hosts(folder)
    yield made
    made.close()


@pytest.fixture
def host(hosts: Hosts) -> RunningHost:
    return hosts.present()


@pytest.fixture
def client(hosts: Hosts) -> Iterator[Client]:
    with hosts.client() as made:
        yield made


def iocmng(host: RunningHost, *arguments: str) -> subprocess.CompletedProcess[str]:
    return host.environment.run("python", "-m", "iocmng_cli", *arguments, env=host.env)


def pids_of(client: Client, run: str) -> list[int]:
    said: list[str] = []

    def told() -> bool:
        said[:] = [line.text for line in client.run_log(run) if line.text.startswith("pids")]
        return bool(said)

    eventually(told, "the script's word")
    return [int(word) for word in said[0].split()[1:]]


def gone(pid: int) -> bool:
    stat = stat_of(pid)
    return stat is None or stat.state in "ZX"


def test_what_clients_see_of_a_run_agrees(host: RunningHost, client: Client) -> None:
    prefix = f"{PREFIX}:TUNE"
    names = [f"{prefix}:{name}" for name in ("STATUS", "PROGRESS", "RUN", "RUN_ID", "EXIT_CODE", "LAST_LINE")]
    with watching(host.env, *names) as watch:
        run = client.jobs["tune"].start(bands=[3], seconds=0.5, fail=True)
        shown = {pv.name.rpartition(":")[2]: pv for pv in client.show("tune").defaults}
        assert (shown["STATUS"].value, shown["RUN_ID"].value) == (int(JobState.RUNNING), run.id)
        view = run.wait(DEADLINE)
        shown = {pv.name.rpartition(":")[2]: pv for pv in client.show("tune").defaults}
        assert (view.state, view.exit_code, view.progress) == (JobState.FAILED, 3, 80.0)
        assert (shown["STATUS"].value, shown["STATUS"].severity) == (int(JobState.FAILED), "MAJOR")
        assert (shown["PROGRESS"].value, shown["EXIT_CODE"].value) == (80.0, 3)
        assert shown["MESSAGE"].value == view.message == "exit code 3"
        assert shown["ELAPSED"].value == pytest.approx((view.ended or 0.0) - view.started)
        assert (view.data, client.runs("tune")[0]) == ({"bands": [3]}, view)
        texts = [line.text for line in client.run_log(run.id)]
        assert shown["LAST_LINE"].value == texts[-1]
        assert "bands [3]" in texts
        assert "bands [3]" in [line.text for line in client.log("tune")]
        for provider in ("ca", "pva"):
            watch.until(partial(ended_with, watch, f"{prefix}:STATUS", provider), f"the end over {provider}")
            seen = values(watch, f"{prefix}:PROGRESS", provider)
            # The first one may still be what the run before has left.
            own = seen[seen.index(0.0) :]
            assert own == sorted(own)
            assert own[-1] == 80.0


def values(watch: Watch, name: str, provider: str) -> list[float]:
    return [event["value"] for event in watch.of(name, provider) if event["value"] is not None]


def ended_with(watch: Watch, name: str, provider: str) -> bool:
    return values(watch, name, provider)[-2:] == [int(JobState.RUNNING), int(JobState.FAILED)]


def test_a_put_of_run_completes_with_the_run(host: RunningHost, client: Client) -> None:
    before = client.runs("tune")
    host.write("ca", f"{PREFIX}:TUNE:RUN", 1)
    (latest, *others) = client.runs("tune")
    assert (latest.state, latest.data, latest.actor.via) == (JobState.SUCCESS, {"bands": [0, 1]}, "pv")
    assert others[:1] == list(before)[:1]
    assert client.pv(f"{PREFIX}:TUNE:RUN").value is False


def test_a_lock_names_its_holder_and_a_queue_waits_for_it(host: RunningHost, client: Client) -> None:
    with pytest.raises(BadInput) as wrong:
        client.jobs["tune"].start(bands="x", second=1)
    assert "bands: needs a list" in str(wrong.value)
    assert "did you mean 'seconds'" in str(wrong.value)
    run = client.jobs["tune"].start(seconds=600)
    pids = pids_of(client, run.id)
    with pytest.raises(Refused, match=f"lock crate1 is held by tune, run {run.id}"):
        client.jobs["tune"].start()
    waiting = client.jobs["scan"].start()
    assert waiting.status == "QUEUED"
    assert client.show("scan").view.state == "QUEUED"
    detail = client.show("scan").job
    assert detail is not None
    assert detail.holder == f"tune, run {run.id}"
    assert [one.id for one in detail.waiting] == [waiting.id]
    shown = iocmng(host, "job", "history", "scan", "--json")
    assert [entry["state"] for entry in json.loads(shown.stdout)] == ["QUEUED"]
    quick = client.jobs["quick"].start(N=7).wait(DEADLINE)
    assert quick.data == {"square": 49}
    assert client.abort(run.id).state is JobState.RUNNING
    client.abort(run.id)
    assert run.wait(DEADLINE).state is JobState.ABORTED
    assert client.abort(run.id).state is JobState.ABORTED
    assert waiting.wait(DEADLINE).data == "scanned"
    eventually(lambda: all(gone(pid) for pid in pids), "the end of the group")


def test_the_command_line_mirrors_the_outcome(host: RunningHost) -> None:
    done = iocmng(host, "job", "run", "tune", "--arg", "bands=[5]", "--arg", "fail=true", "--wait", "--json")
    assert done.returncode == 1, done.stderr
    view = json.loads(done.stdout)
    assert (view["state"], view["exit_code"], view["data"]) == ("FAILED", 3, {"bands": [5]})
    assert "bands [5]" in iocmng(host, "logs", view["id"]).stdout


def test_many_runs_leave_what_is_kept(host: RunningHost, client: Client, folder: Path) -> None:
    process = psutil.Process(host.process.pid)

    def forty() -> None:
        runs = [client.start_run("quick", {"N": number}) for number in range(40)]
        eventually(lambda: client.run(runs[-1].id).over, "the last run")

    forty()
    before = process.memory_info().rss, process.num_threads(), process.num_fds()
    for _ in range(2):
        forty()
    after = process.memory_info().rss, process.num_threads(), process.num_fds()
    assert after[0] - before[0] < 8 * 1024 * 1024
    assert after[1] <= before[1] + 2
    assert after[2] <= before[2] + 4
    kept = client.runs("quick")
    assert len(kept) == 5
    assert [view.data for view in kept] == [{"square": number**2} for number in (39, 38, 37, 36, 35)]
    runs = folder / "state" / "runs" / "quick"
    eventually(lambda: {path.name.partition(".")[0] for path in runs.iterdir()} == {run.id for run in kept})


def test_a_host_that_is_killed_and_one_that_is_stopped(hosts: Hosts, folder: Path) -> None:
    with hosts.client() as client:
        client.jobs["quick"].start(N=3).wait(DEADLINE)
        history = list(client.runs("quick"))
        run = client.jobs["tune"].start(seconds=600)
        pids = pids_of(client, run.id)
    host = hosts.present()
    host.process.kill()
    host.process.wait(DEADLINE)
    assert not any(gone(pid) for pid in pids)
    with hosts.client() as client:
        lost = client.run(run.id)
        assert lost.state is JobState.LOST
        assert "2 processes of it had stayed" in lost.message
        assert client.show("tune").view.state == "LOST"
        assert list(client.runs("quick")) == history
        assert "bands [0, 1]" in [line.text for line in client.run_log(run.id)]
        eventually(lambda: all(gone(pid) for pid in pids), "the end of what was left")
        last: list[RunView] = []
        refusals: list[str] = []

        def taken() -> bool:
            try:
                last.append(client.start_run("tune", {"seconds": 600}))
            except Refused as refused:
                refusals.append(str(refused))
            return bool(last)

        eventually(taken, "the lock")
        assert all("left by a dead host" in refusal for refusal in refusals)
        pids = pids_of(client, last[0].id)
    host = hosts.present()
    assert host.stop() == 0, host.output
    eventually(lambda: all(gone(pid) for pid in pids), "the end of the script")
    record = json.loads((folder / "state" / "runs" / "tune" / f"{last[0].id}.json").read_text())
    assert (record["state"], record["exit_code"]) == ("ABORTED", -15)
