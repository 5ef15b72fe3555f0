"""A plugin that ends the host is INVALID alone at the next boot, and comes back when an operator says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hosts import own_world
from support.started import Started, ended, started, until, write_plugins

from iocmng.errors import IocmngError

PREFIX = "CRASH"
KILLING = """
import ctypes, os
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        if "initialize" in os.listdir(os.environ["TRAPS"]):
            ctypes.string_at(0)

    def execute(self):
        if "execute" in os.listdir(os.environ["TRAPS"]):
            ctypes.string_at(0)
        self.set_pv("COUNT", self.cycle_count + 1)
"""
CYCLING = KILLING.replace('"initialize" in', '"never" in').replace('"execute" in', '"cycle" in')
LATER = KILLING.replace('"initialize" in', '"never" in').replace(
    '"execute" in', 'self.cycle_count > 3 and "later" in'
)
SLOW = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        import time
        time.sleep(100)

    def execute(self):
        pass
"""
ONCE = """
import ctypes, os
from iocmng import JobBase

class Plugin(JobBase):
    def initialize(self):
        if "job" in os.listdir(os.environ["TRAPS"]):
            ctypes.string_at(0)

    def execute(self):
        return 7
"""
GOOD = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count + 1)
"""
CONFIG = """
parameters: {interval: 0.1}
arguments:
  inputs: {LIMIT: {type: float, value: 1.0}}
  outputs: {COUNT: {type: int}}
"""


def test_each_culprit_alone_is_invalid_and_comes_back_after_a_reset(tmp_path: Path) -> None:
    traps = tmp_path / "traps"
    traps.mkdir()
    plugins = {"starting": (KILLING, CONFIG), "cycling": (CYCLING, CONFIG), "good": (GOOD, CONFIG)}
    world = {**own_world(tmp_path), **write_plugins(tmp_path, plugins), "TRAPS": str(traps)}
    # One after the other: of two that crash in the same moment neither may be blamed.
    for trap in ("initialize", "cycle"):
        (traps / trap).touch()
        done = ended(tmp_path, world, "--prefix", PREFIX)
        assert done.returncode == -signal.SIGSEGV, done.stdout + done.stderr
    with started(tmp_path, PREFIX, env=world) as host:
        host.reaches("good", "RUN")
        assert host.client.host().state == "RUN"
        for name, doing in (("starting", "start"), ("cycling", "first cycle")):
            view = host.view(name)
            assert view.state == "INVALID"
            assert f"during the {doing} of {name}" in view.message
            (finding,) = (one for one in view.findings if one.code == "crashed-host")
            assert "Segmentation fault" in finding.message
            assert f"iocmng reset {name}" in finding.hint
        assert any("the host died the last time" in one for one in host.client.host().problems)
        assert host.client.pv(f"{PREFIX}:STARTING:COUNT").severity == "INVALID"
        assert host.iocmng("start", "starting").returncode == 4
        (traps / "initialize").unlink()
        done = host.iocmng("reset", "starting")
        assert done.returncode == 0, done.stderr
        host.reaches("starting", "RUN")
        assert host.client.show("starting").last_error == ""
        assert host.host.read("ca", f"{PREFIX}:STARTING:COUNT") > 0
        assert host.view("cycling").state == "INVALID"
        assert host.host.stop() == 0
    (traps / "cycle").unlink()
    with started(tmp_path, PREFIX, env=world) as host:
        host.reaches("starting", "RUN")
        assert host.view("cycling").state == "INVALID"
        assert not any("died" in one for one in host.client.host().problems)
        host.client.tasks["cycling"].reset()
        host.reaches("cycling", "RUN")


def test_who_ends_the_host_later_is_named_and_runs_again(tmp_path: Path) -> None:
    traps = tmp_path / "traps"
    traps.mkdir()
    (traps / "later").touch()
    plugins = {"later": (LATER, CONFIG), "good": (GOOD, CONFIG)}
    world = {**own_world(tmp_path), **write_plugins(tmp_path, plugins), "TRAPS": str(traps)}
    assert ended(tmp_path, world, "--prefix", PREFIX).returncode == -signal.SIGSEGV
    (traps / "later").unlink()
    with started(tmp_path, PREFIX, env=world) as host:
        host.reaches("later", "RUN")
        (problem,) = (one for one in host.client.host().problems if "died" in one)
        assert "the run of later" in problem
        assert "Segmentation fault" in problem
        assert "later.py" in (host.state_dir / "crash-last.txt").read_text()


def test_a_blamed_job_comes_back_with_the_next_start_after_a_reset(tmp_path: Path) -> None:
    traps = tmp_path / "traps"
    traps.mkdir()
    (traps / "job").touch()
    world = {**own_world(tmp_path), **write_plugins(tmp_path, {"once": (ONCE, "{}")}), "TRAPS": str(traps)}
    with started(tmp_path, PREFIX, env=world) as host:
        with pytest.raises(IocmngError):
            host.client.jobs["once"].start().wait(30)
        assert host.host.process.wait(20) == -signal.SIGSEGV
    (traps / "job").unlink()
    with started(tmp_path, PREFIX, env=world) as host:
        assert host.view("once").state == "INVALID"
        done = host.iocmng("reset", "once")
        assert done.returncode == 0, done.stdout + done.stderr
        run = host.client.jobs["once"].start()
        run.wait(30)
        assert host.view("once").state == "SUCCESS"


def test_nobody_is_blamed_for_a_start_that_a_stop_cut_short(tmp_path: Path) -> None:
    config = f"{CONFIG}supervision: {{stop_timeout: 0.2}}\n"
    world = {**own_world(tmp_path), **write_plugins(tmp_path, {"slow": (SLOW, config)})}
    with started(tmp_path, PREFIX, env=world) as host:
        until(lambda: starting(host), "it initializes")
        assert host.host.stop() == 0
    with started(tmp_path, PREFIX, env=world) as host:
        assert host.view("slow").state == "INIT"
        assert host.client.host().problems == ()
        os.kill(host.host.process.pid, signal.SIGKILL)


def starting(host: Started) -> bool:
    return '"start"' in (host.state_dir / "under-way.jsonl").read_text()
