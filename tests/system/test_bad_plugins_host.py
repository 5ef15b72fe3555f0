"""A host with every bad plugin installed: it lists each with its reason, and runs everything else."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import Environment
from hosts import RunningHost, own_world, running
from support.plugins import GOOD, Package, packages, plugin_environment

from iocmng.client import Client

PREFIX = "BAD"
BAD = {key: package for key, package in packages().items() if package.expect}
SHOWN = """
import json, sys
provider, names = sys.argv[1], sys.argv[2:]
told = {}
if provider == "ca":
    import epicscorelibs.path.pyepics, epics
    for name in names:
        pv = epics.PV(name, form="time")
        pv.wait_for_connection(20)
        told[name] = [pv.get(as_string=True, timeout=10), pv.severity]
else:
    from p4p.client.thread import Context
    context = Context("pva", nt=False)
    for name in names:
        value = context.get(name, timeout=20)
        choice = value["value"]
        told[name] = [choice["choices"][choice["index"]], value["alarm.severity"]]
print(json.dumps(told))
"""
KILLER = """
import sys
from iocmng import TaskBase

if "iocmng.host.host" in sys.modules:
    import ctypes
    ctypes.string_at(0)

class Plugin(TaskBase):
    def execute(self):
        pass
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    python = plugin_environment(tmp_path_factory.mktemp("bad"), packages())
    return Environment(python.parent.parent)


def argv(environment: Environment) -> list[str]:
    return [str(environment.python), "-m", "iocmng_cli", "run", "--prefix", PREFIX]


@pytest.fixture(scope="module")
def host(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    folder = tmp_path_factory.mktemp("host")
    world = own_world(folder)
    with running(environment, folder, argv=argv(environment), env=world, start=120.0) as host:
        yield host


def iocmng(host: RunningHost, *words: str) -> tuple[int, str]:
    done = host.environment.run("python", "-m", "iocmng_cli", *words, env=host.env)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def listed(host: RunningHost) -> dict[str, dict[str, object]]:
    done = host.environment.run("python", "-m", "iocmng_cli", "list", "--json", env=host.env)
    assert done.returncode == 0, done.stderr
    return {entry["name"]: entry for entry in json.loads(done.stdout)}


@pytest.mark.parametrize("key", sorted(BAD))
def test_each_is_listed_as_invalid_with_its_reason(listed: dict[str, dict[str, object]], key: str) -> None:
    package = BAD[key]
    names = [package.plugin, f"{package.plugin}@{package.distribution}"]
    (entry,) = (
        one for name, one in listed.items() if name in names and one["distribution"] == package.distribution
    )
    assert entry["state"] == "INVALID"
    assert entry["version"] == "1.0"
    assert package.expect in json.dumps(entry["findings"])
    assert entry["message"]


def test_everything_else_runs(host: RunningHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCMNG_STATE_DIR", host.env["IOCMNG_STATE_DIR"])
    with Client(host.url) as client:
        for name in (*GOOD, "noisy"):
            state = settled(client, name)
            assert state == ("IDLE" if name == "summing" else "RUN")
    assert host.read("ca", f"{PREFIX}:COUNTER:COUNT") >= 0
    assert host.read("pva", f"{PREFIX}:MODELLED:LEVEL") > 0


def settled(client: Client, name: str, deadline: float = 40.0) -> str:
    """The state of an instance once it is out of INIT."""
    end = time.monotonic() + deadline
    while (view := client.show(name).view).state == "INIT":
        assert time.monotonic() < end, f"{name} stays in INIT: {view.message}"
        time.sleep(0.05)
    return view.state


@pytest.mark.parametrize("provider", ["ca", "pva"])
def test_a_screen_shows_invalid_and_not_disconnected(host: RunningHost, provider: str) -> None:
    names = [
        f"{PREFIX}:{name}:STATUS" for name in ("CRASH", "SEGFAULT", "UNKNOWN-KEY", "DUPLICATE", "SHARED")
    ]
    done = host.environment.run("python", "-c", SHOWN, provider, *names, env=host.env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: ["INVALID", 3] for name in names}


def test_an_invalid_one_is_not_started_and_an_unknown_one_not_found(host: RunningHost) -> None:
    code, words = iocmng(host, "start", "crash")
    assert code == 4, words
    code, words = iocmng(host, "show", "countre")
    assert code == 6
    assert "counter" in words


def test_a_plugin_that_kills_the_host_is_invalid_alone_at_the_next_boot(tmp_path: Path) -> None:
    killer = Package("killer", code=KILLER)
    python = plugin_environment(tmp_path, [killer, "counter", "panel"])
    environment = Environment(python.parent.parent)
    world = own_world(tmp_path)
    done = environment.run("python", "-m", "iocmng_cli", "run", "--prefix", PREFIX, cwd=tmp_path, env=world)
    assert done.returncode == -signal.SIGSEGV, done.stdout + done.stderr
    with running(environment, tmp_path, argv=argv(environment), env=world) as host:
        done = environment.run("python", "-m", "iocmng_cli", "list", "--json", env=host.env)
        states = {entry["name"]: entry for entry in json.loads(done.stdout)}
        assert states["killer"]["state"] == "INVALID"
        assert "crashed-host" in json.dumps(states["killer"]["findings"])
        assert host.read("ca", f"{PREFIX}:COUNTER:COUNT") >= 0
        assert os.fspath(tmp_path) not in states["killer"]["message"]
