"""Devices of the extra `ophyd` in a host: from the beamline file and by prefix, on PVs of another IOC."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from environments import Environment, uv
from hosts import RunningHost, own_world, running
from support.other_ioc import OtherIoc
from support.plugins import Package, plugin_environment

PREFIX = "DEVHOST"
CODE = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        self.gate = self.get_device("GATE")
        self.valve = self.create_device("OTHER:VALVE", "io", "do")
        self.set_pv("DEVICES", " ".join(self.list_devices()))
        self.set_pv("SHARED", id(self.gate) % 1_000_000)

    def execute(self):
        self.set_pv("GATE_OPEN", bool(self.gate.get()))
        if self.valve.get() != self.get_pv("VALVE"):
            self.valve.set(int(self.get_pv("VALVE")))
"""
CONFIG = """
parameters: {interval: 0.1}
arguments:
  inputs: {VALVE: {type: bool, value: false}}
  outputs: {GATE_OPEN: {type: bool}, DEVICES: {type: string}, SHARED: {type: int}}
supervision: {restart_sec: 0.5, restart_max_sec: 0.5}
"""
BEAMLINE = """
beamline: DEVHOST
iocDefaults:
  switches: {devgroup: io, devtype: di}
epicsConfiguration:
  iocs:
    - {name: gates, template: switches, iocprefix: OTHER, devices: [{name: GATE}]}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHost, OtherIoc]]:
    folder = tmp_path_factory.mktemp("devices")
    packages = [Package(name, code=CODE, config=CONFIG) for name in ("first", "second")]
    environment = Environment(plugin_environment(folder, packages).parent.parent)
    done = uv("pip", "install", "-q", "--python", environment.python, "ophyd", "infn-ophyd-hal")
    if done.returncode:
        pytest.skip(f"the extra ophyd cannot be installed here: {done.stderr}")
    (folder / "beamline.yaml").write_text(BEAMLINE)
    argv = [str(environment.python), "-m", "iocmng_cli", "run"]
    settings = {"IOCMNG_DISABLE_OPHYD": "false", "IOCMNG_BEAMLINE_CONFIG": str(folder / "beamline.yaml")}
    with OtherIoc(folder, "GATE:DI_RB", "VALVE:DO_SP") as other:
        env = other.reach(own_world(folder)) | settings
        with running(environment, folder, argv=argv, env=env) as host:
            yield host, other
            assert host.stop() == 0
            # At the interpreter's end ophyd's own finalizers may meet channels that are gone.
            assert not re.search(r"Traceback(?!.*\n.*weakref\.py)", host.output)


def until(seen: Callable[[], bool], what: str, deadline: float = 30.0) -> None:
    end = time.monotonic() + deadline
    while not seen():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["FIRST", "SECOND"])
def test_a_device_of_the_beamline_follows_its_pv(name: str, world: tuple[RunningHost, OtherIoc]) -> None:
    host, _ = world
    assert host.read("pva", f"{PREFIX}:{name}:DEVICES", deadline=40) == "GATE VALVE"
    for value in (1, 0):
        host.write("ca", "OTHER:GATE:DI_RB", value)
        assert host.read("pva", f"{PREFIX}:{name}:GATE_OPEN", wanted=value) == value


def test_a_created_device_writes_its_pv(world: tuple[RunningHost, OtherIoc]) -> None:
    host, other = world
    for value in (1, 0):
        for name in ("FIRST", "SECOND"):
            host.write("ca", f"{PREFIX}:{name}:VALVE", value)
        until(lambda value=value: other.changes["VALVE:DO_SP"][-1:] == [value], f"the valve is at {value}")  # type: ignore[misc]


def test_tasks_share_a_device_and_it_outlives_them(world: tuple[RunningHost, OtherIoc]) -> None:
    host, _ = world
    shared = host.read("pva", f"{PREFIX}:FIRST:SHARED", deadline=40)
    assert host.read("pva", f"{PREFIX}:SECOND:SHARED", deadline=40) == shared
    host.write("ca", f"{PREFIX}:SECOND:RESTART", 1)
    until(lambda: host.output.count("[second] INIT -> RUN") == 2, "it runs again")
    assert host.read("pva", f"{PREFIX}:SECOND:SHARED", wanted=shared) == shared
    host.write("ca", "OTHER:GATE:DI_RB", 1)
    assert host.read("pva", f"{PREFIX}:SECOND:GATE_OPEN", wanted=1) == 1
