"""Five plugins in one host: each serves its PVs, none disturbs another, and no client sees a value that is not true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from environments import Environment
from hosts import RunningHost, own_world, running, without_example
from support.plugins import Package, plugin_environment
from support.watching import Watch, watching

from iocmng.client import Client
from iocmng.wire import InstanceDetail, InstanceView

NAMES = ("alpha", "beta", "delta", "epsilon", "gamma")
INVALID = 3
COUNTING = """
import time
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        self.sleep(1.0)
        self.logger.info("ready at %r", time.time())

    def execute(self):
        if self.get_pv("FAIL"):
            raise ValueError("told to fail")
        if self.name == "delta":
            print("cycle", self.cycle_count)
        self.set_pv("LEVEL", 42.0)
        self.set_pv("COUNT", self.cycle_count + 1)
"""
CONFIG = """
parameters: {interval: 0.1}
arguments:
  inputs:
    FAIL: {type: bool, value: false}
    SETPOINT: {type: float, value: 2.5, low: 0, high: 10}
  outputs:
    LEVEL: {type: float, unit: mA}
    COUNT: {type: int}
    DECLARED: {type: float, value: 7.0}
    NEVER: {type: float}
supervision: {restart_sec: 0.5, restart_max_sec: 0.5}
"""
PREFIX = "HOST5"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("five")
    python = plugin_environment(folder, [Package(name, code=COUNTING, config=CONFIG) for name in NAMES])
    return Environment(python.parent.parent)


@pytest.fixture(scope="module")
def watched_host(
    environment: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningHost, Watch]]:
    """A host, and a client that has been searching for its PVs since before it started."""
    folder = tmp_path_factory.mktemp("host")
    world = {**own_world(folder), **without_example(folder)}
    names = [f"{PREFIX}:ALPHA:{port}" for port in ("LEVEL", "DECLARED", "NEVER", "STATUS", "COUNT")]
    names += [f"{PREFIX}:{one.upper()}:COUNT" for one in NAMES[1:]]
    argv = [str(environment.python), "-m", "iocmng_cli", "run", "--prefix", PREFIX]
    with (
        watching(world, *names) as watch,
        running(environment, folder, argv=argv, env=world) as host,
    ):
        yield host, watch


@pytest.fixture
def host(watched_host: tuple[RunningHost, Watch]) -> RunningHost:
    return watched_host[0]


@pytest.fixture
def client(host: RunningHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("IOCMNG_STATE_DIR", host.env["IOCMNG_STATE_DIR"])
    with Client(host.url) as client:
        until(lambda: all(one.state == "RUN" for one in client.list()), "everything runs")
        yield client


def until(seen: Callable[[], bool], what: str, deadline: float = 40.0) -> None:
    end = time.monotonic() + deadline
    while not seen():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def view(client: Client, name: str) -> InstanceView:
    detail: InstanceDetail = client.show(name)
    return detail.view


def test_all_five_serve_and_update_their_pvs(watched_host: tuple[RunningHost, Watch], client: Client) -> None:
    _, watch = watched_host
    assert [one.name for one in client.list()] == list(NAMES)
    for name in NAMES:
        pv = f"{PREFIX}:{name.upper()}:COUNT"
        for provider in ("ca", "pva"):
            watch.until(
                lambda pv=pv, provider=provider: len({e["value"] for e in watch.of(pv, provider)}) > 5,  # type: ignore[misc]
                f"{pv} counts over {provider}",
            )


def test_nobody_sees_a_good_value_before_the_task_runs_and_wrote_it(
    watched_host: tuple[RunningHost, Watch], client: Client
) -> None:
    _, watch = watched_host
    prefix = f"{PREFIX}:ALPHA"
    for provider in ("ca", "pva"):
        watch.until(
            lambda provider=provider: any(e["severity"] == 0 for e in watch.of(f"{prefix}:LEVEL", provider)),  # type: ignore[misc]
            f"LEVEL is valid over {provider}",
        )
        watch.until(lambda provider=provider: bool(watch.of(f"{prefix}:NEVER", provider)), "NEVER connects")  # type: ignore[misc]
    (ready,) = [line.text for line in client.log("alpha") if "ready at" in line.text][:1]
    ready_at = float(ready.split("ready at ")[1])
    for event in watch.of(f"{prefix}:LEVEL"):
        if event["severity"] is not None and event["severity"] < INVALID:
            assert event["value"] == 42.0
            assert event["stamp"] >= ready_at
    for event in watch.of(f"{prefix}:DECLARED"):
        if event["severity"] is not None and event["severity"] < INVALID:
            assert event["value"] == 7.0
            assert event["seen"] >= ready_at
    assert {event["severity"] for event in watch.of(f"{prefix}:NEVER")} <= {None, INVALID}
    good = [e for e in watch.of(f"{prefix}:LEVEL") if e["severity"] is not None and e["severity"] < INVALID]
    assert {event["provider"] for event in good} == {"ca", "pva"}


@pytest.mark.parametrize("disturbance", ["stop", "restart", "fail"])
def test_what_happens_to_one_is_nothing_to_the_others(
    disturbance: str, host: RunningHost, client: Client
) -> None:
    task = client.tasks["alpha"]
    others = [name for name in NAMES if name != "alpha"]
    before = {name: view(client, name).cycles for name in others}
    if disturbance == "stop":
        task.stop()
        assert view(client, "alpha").state == "END"
    elif disturbance == "restart":
        task.restart()
    else:
        host.write("pva", f"{PREFIX}:ALPHA:FAIL", 1)
        until(lambda: view(client, "alpha").restarts > 0, "it failed and was started again")
        assert "told to fail" in client.show("alpha").last_error
        assert "ValueError" in client.show("alpha").traceback
        host.write("ca", f"{PREFIX}:ALPHA:FAIL", 0)
    until(
        lambda: all(view(client, name).cycles > before[name] + 5 for name in others),
        "the others' cycles rise",
    )
    assert {view(client, name).state for name in others} == {"RUN"}
    assert {view(client, name).restarts for name in others} == {0}
    if disturbance == "stop":
        task.start()
    until(lambda: view(client, "alpha").state == "RUN", "alpha runs again")


def test_outputs_and_default_pvs_refuse_clients_and_keep_value_severity_and_time(
    host: RunningHost, client: Client, environment: Environment
) -> None:
    client.tasks["beta"].pause()
    until(lambda: view(client, "beta").state == "PAUSED", "beta pauses")
    readonly = [pv.name for pv in client.pvs(f"{PREFIX}:BETA:*") if not pv.writable]
    readonly += [pv.name for pv in client.pvs(f"{PREFIX}:HOST:*") if not pv.writable]
    assert len(readonly) > 20
    steady = [one for one in readonly if ":HOST:" not in one and not one.endswith(":HEARTBEAT")]
    before = {name: client.pv(name) for name in steady}
    program = """
import sys
import epicscorelibs.path.pyepics, epics
from p4p.client.thread import Context
context = Context("pva", nt=False)
accepted = []
for name in sys.argv[1:]:
    pv = epics.PV(name)
    assert pv.wait_for_connection(20), name
    if pv.write_access:
        accepted.append(("ca", name))
    try:
        if epics.ca.put(pv.chid, "x" if "string" in pv.type else 1, wait=True, timeout=5) == 1:
            accepted.append(("ca put", name))
    except epics.ca.CASeverityException:
        pass
    try:
        context.put(name, 1, timeout=5)
        accepted.append(("pva", name))
    except Exception as refusal:
        if isinstance(refusal, TimeoutError):
            accepted.append(("pva timeout", name))
assert not accepted, accepted
"""
    done = environment.run("python", "-c", program, *readonly, env=host.env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name: client.pv(name) for name in steady} == before
    client.tasks["beta"].resume()


def test_inputs_are_clamped_and_puts_are_audited(host: RunningHost, client: Client) -> None:
    name = f"{PREFIX}:GAMMA:SETPOINT"
    host.write("ca", name, 99.0)
    assert host.read("pva", name, wanted=10.0) == 10.0
    host.write("pva", name, -3.0)
    assert host.read("ca", name, wanted=0.0) == 0.0


def test_pvs_are_listed_by_instance_and_by_pattern(client: Client) -> None:
    of_alpha = {pv.name for pv in client.pvs("alpha")}
    assert {f"{PREFIX}:ALPHA:LEVEL", f"{PREFIX}:ALPHA:STATUS"} <= of_alpha
    assert all(name.startswith(f"{PREFIX}:ALPHA:") for name in of_alpha)
    assert [pv.name for pv in client.pvs("alpha:LEV*")] == [f"{PREFIX}:ALPHA:LEVEL"]
    assert {pv.name for pv in client.pvs(f"{PREFIX}:ALPHA:*")} == of_alpha


def test_print_goes_to_the_log_of_the_instance(client: Client) -> None:
    lines = [line for line in client.log("delta", limit=50) if line.text.startswith("cycle ")]
    assert lines


def test_the_host_is_alive_without_python(host: RunningHost) -> None:
    assert host.read("ca", f"{PREFIX}:HOST:ALIVE", wanted=1.0) == 1.0
    assert host.read("pva", f"{PREFIX}:HOST:RUNNING", wanted=5) == 5


def test_sigterm_ends_it_in_order_with_code_0(environment: Environment, tmp_path: Path) -> None:
    argv = [str(environment.python), "-m", "iocmng_cli", "run", "--prefix", "HOST5B"]
    with running(environment, tmp_path, argv=argv) as host:
        host.read("pva", "HOST5B:ALPHA:LEVEL", wanted=42.0)
        assert host.stop() == 0
        assert "RUN -> END: stopped" in host.output
        assert "Traceback" not in host.output
