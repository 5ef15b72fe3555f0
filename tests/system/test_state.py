"""What survives the end of a host: what operators asked for, and what clients wrote."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosts import own_world
from support.started import Started, started, until, write_plugins

from iocmng.errors import IocmngError
from iocmng.wire import EventKind

PREFIX = "STATE"
COUNTING = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count + 1)
        print("cycle", self.cycle_count, "of", self.name, "x" * 100)
"""
COUNTING_CONFIG = "parameters: {interval: 0.1, gain: 1}\narguments: {outputs: {COUNT: {type: int}}}\n"
INPUTS = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        pass
"""
INPUTS_CONFIG = """
arguments:
  inputs:
    LEVEL: {type: float, value: 1.5, low: 0, high: 100}
    RANGE: {type: enum, labels: [small, middle, large]}
    NAME: {type: string}
    NOTE: {type: string, size: 200}
    ARMED: {type: bool}
    TABLE: {type: array, length: 8}
    SERIAL: {type: int, low: 0, high: 9007199254740991}
    VOLATILE: {type: float, value: 3.0, autosave: false}
"""
WRITTEN: dict[str, Any] = {
    "LEVEL": 42.25,
    "RANGE": 2,
    "NAME": "undulator",
    "NOTE": "a long note " * 10,
    "ARMED": True,
    "TABLE": [1.0, 2.5, -3.0],
    "SERIAL": 9007199254740990,
    "VOLATILE": 99.0,
}


def counting(*names: str) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(names, (COUNTING, COUNTING_CONFIG))


def kill(host: Started) -> None:
    os.kill(host.host.process.pid, signal.SIGKILL)
    host.host.process.wait(20)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    names = ("runs", "stopped", "paused", "disabled", "tuned", "revived")
    world = {**own_world(tmp_path), **write_plugins(tmp_path, counting(*names))}
    desired = tmp_path / "state" / "desired.json"
    with started(tmp_path, PREFIX, env=world) as host:
        for name in names:
            host.reaches(name, "RUN")
        host.client.tasks["revived"].stop()
        host.host.write("ca", f"{PREFIX}:PAUSED:ENABLE", 0)
        host.host.write("pva", f"{PREFIX}:REVIVED:RESTART", 1)
        until(lambda: '"paused"' in desired.read_text(), "what a PV asked for is on disk")
        until(
            lambda: json.loads(desired.read_text())["instances"]["revived"]["intent"] == "run", "RESTART too"
        )
        host.client.tasks["disabled"].disable()
        host.client.tasks["tuned"].set(gain=7, interval=0.2)
        host.client.tasks["stopped"].stop()
        kill(host)
    with started(tmp_path, PREFIX, env=world) as host:
        states = {"runs": "RUN", "stopped": "END", "disabled": "END", "tuned": "RUN", "revived": "RUN"}
        for name, state in {**states, "paused": "PAUSED"}.items():
            host.reaches(name, state)
        assert not host.view("disabled").enabled
        assert host.view("stopped").enabled
        gain = next(one for one in host.client.show("tuned").parameters if one.name == "gain")
        assert (gain.value, gain.origin) == (7, "set")
        assert host.client.pv(f"{PREFIX}:PAUSED:ENABLE").value is False
        host.client.tasks["stopped"].start()
        host.client.tasks["paused"].resume()
        host.client.tasks["disabled"].enable()
        host.client.tasks["tuned"].set(gain=None)
        kill(host)
    with started(tmp_path, PREFIX, env=world) as host:
        for name in names:
            host.reaches(name, "RUN")
        gain = next(one for one in host.client.show("tuned").parameters if one.name == "gain")
        assert (gain.value, gain.origin) == (1, "config.yaml")


def test_inputs_come_back_as_they_were_written(tmp_path: Path) -> None:
    names = ("inputs", "excluded", "disabled")
    site = tmp_path / "iocmng.yaml"
    site.write_text("autosave: {period: 0.3}\n")
    world = {
        **own_world(tmp_path),
        **write_plugins(tmp_path, dict.fromkeys(names, (INPUTS, INPUTS_CONFIG))),
        "IOCMNG_CONFIG": str(site),
    }
    saved = {name: tmp_path / "state" / "autosave" / f"{name}.json" for name in names}

    def values(name: str) -> dict[str, Any]:
        found = json.loads(saved[name].read_text())["values"] if saved[name].exists() else {}
        return {key.rpartition(":")[2]: value for key, value in found.items()}

    with started(tmp_path, PREFIX, env=world) as host:
        for name in names:
            for port, value in WRITTEN.items():
                host.client.put_pv(f"{PREFIX}:{name.upper()}:{port}", value)
        host.host.write("ca", f"{PREFIX}:INPUTS:LEVEL", 43.5)
        host.host.write("pva", f"{PREFIX}:INPUTS:TABLE", [4.0, 2.5])
        host.client.put_pv(f"{PREFIX}:INPUTS:ENABLE", False)
        until(lambda: all(values(name).get("SERIAL") == WRITTEN["SERIAL"] for name in names), "all is saved")
        until(lambda: values("inputs").get("TABLE") == [4.0, 2.5], "what clients put, too")
        host.client.tasks["disabled"].disable()
        kill(host)
    assert values("inputs").keys() == WRITTEN.keys() - {"VOLATILE"}
    strange = json.loads(saved["inputs"].read_text())
    strange["values"]["ANOTHER:HOST:PV"] = 5
    saved["inputs"].write_text(json.dumps(strange))
    site.write_text("autosave: {period: 0.3}\nexclude: [excluded]\n")
    with started(tmp_path, PREFIX, env=world) as host:
        restored = {**WRITTEN, "VOLATILE": 3.0, "LEVEL": 43.5, "TABLE": [4.0, 2.5]}
        for port, value in restored.items():
            shown = host.client.pv(f"{PREFIX}:INPUTS:{port}")
            assert shown.value == value, port
            assert shown.severity == "NO_ALARM", port
        assert host.host.read("ca", f"{PREFIX}:INPUTS:LEVEL") == 43.5
        assert host.host.read("pva", f"{PREFIX}:INPUTS:NOTE") == WRITTEN["NOTE"]
        assert puts(host) == []
        host.client.put_pv(f"{PREFIX}:INPUTS:LEVEL", 7.0)
        assert host.host.stop() == 0
    assert values("inputs")["LEVEL"] == 7.0
    assert "ANOTHER:HOST:PV" in saved["inputs"].read_text()
    site.write_text("autosave: {period: 0.3}\n")
    with started(tmp_path, PREFIX, env=world) as host:
        assert host.view("disabled").state == "END"
        for name in ("excluded", "disabled"):
            assert host.client.pv(f"{PREFIX}:{name.upper()}:LEVEL").value == 42.25
        assert host.client.pv(f"{PREFIX}:INPUTS:LEVEL").value == 7.0


def puts(host: Started) -> list[str]:
    """What the events say that was put since the start."""
    host.client.tasks["inputs"].pause()
    found = []
    for event in host.client.follow(after="0"):
        if event.kind is EventKind.PUT:
            found.append(event.text)
        if event.data.get("after") == "PAUSED":
            break
    return found


def test_corrupt_files_cost_little_and_are_told(tmp_path: Path) -> None:
    names = ("inputs", "other")
    world = {
        **own_world(tmp_path),
        **write_plugins(tmp_path, dict.fromkeys(names, (INPUTS, INPUTS_CONFIG))),
    }
    state = tmp_path / "state"
    with started(tmp_path, PREFIX, env=world) as host:
        for name in names:
            host.client.put_pv(f"{PREFIX}:{name.upper()}:LEVEL", 11.0)
        host.client.tasks["inputs"].stop()
        host.client.tasks["other"].pause()
        assert host.host.stop() == 0
    (state / "desired.json").write_text('{"instances": {"inputs"')
    (state / "autosave" / "inputs.json").write_bytes(b"\x00\xff garbage")
    (state / "boots.json").write_text("[]")
    with started(tmp_path, PREFIX, env=world) as host:
        # The backup is one verb older than the file was.
        host.reaches("inputs", "END")
        host.reaches("other", "RUN")
        problems = "\n".join(host.client.host().problems)
        for file in ("desired.json", "autosave/inputs.json", "boots.json"):
            assert f"{file} is corrupt" in problems
        assert "desired.json.bak1" in problems
        assert host.client.pv(f"{PREFIX}:INPUTS:LEVEL").value == 1.5
        assert host.client.pv(f"{PREFIX}:OTHER:LEVEL").value == 11.0
    set_aside = [path.name for path in state.rglob("*.corrupt-*")]
    assert len(set_aside) == 3


def limit_files(host: Started, size: int) -> Callable[[], None]:
    """Have the host write no file beyond `size` bytes, as on a full disk; returns what ends that."""
    pid = host.host.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return lambda: (resource.prlimit(pid, resource.RLIMIT_FSIZE, before), None)[1]


def test_a_full_disk_costs_no_state_and_no_host(tmp_path: Path) -> None:
    site = tmp_path / "iocmng.yaml"
    site.write_text("autosave: {period: 0.2}\n")
    plugins = {"inputs": (INPUTS, INPUTS_CONFIG), **counting("counts")}
    world = {**own_world(tmp_path), **write_plugins(tmp_path, plugins), "IOCMNG_CONFIG": str(site)}
    desired = tmp_path / "state" / "desired.json"
    with started(tmp_path, PREFIX, env=world) as host:
        host.reaches("counts", "RUN")
        host.client.tasks["inputs"].pause()
        host.client.put_pv(f"{PREFIX}:INPUTS:LEVEL", 5.0)
        autosaved = tmp_path / "state" / "autosave" / "inputs.json"
        until(autosaved.exists, "inputs are saved")
        kept, saved = desired.read_bytes(), autosaved.read_bytes()
        room_again = limit_files(host, 0)
        with pytest.raises(IocmngError, match="cannot be kept"):
            host.client.tasks["inputs"].stop()
        host.client.put_pv(f"{PREFIX}:INPUTS:LEVEL", 6.0)
        until(lambda: told(host, "inputs are not saved"), "autosave says that it cannot")
        assert told(host, "not kept over a restart")
        until(lambda: told(host, "log lines could not be written"), "logs say that they lose lines")
        assert desired.read_bytes() == kept
        assert autosaved.read_bytes() == saved
        before = host.view("counts").cycles
        until(lambda: host.view("counts").cycles > before + 3, "tasks go on")
        room_again()
        host.client.tasks["inputs"].start()
        until(lambda: b'"run"' in desired.read_bytes(), "state is kept again")
        until(lambda: b"6.0" in autosaved.read_bytes(), "inputs are saved again")
        until(lambda: not told(host, "not kept") and not told(host, "not saved"), "all is well again")
        assert host.host.stop() == 0


def told(host: Started, words: str) -> bool:
    return any(words in problem for problem in host.client.host().problems)


def test_logs_are_files_that_are_read_without_a_host(tmp_path: Path) -> None:
    site = tmp_path / "iocmng.yaml"
    logs = tmp_path / "state" / "log"
    world = {
        **own_world(tmp_path),
        **write_plugins(tmp_path, counting("one", "two")),
        "ONE_INTERVAL": "0.02",
        "IOCMNG_CONFIG": str(site),
    }
    site.write_text(f"prefix: {PREFIX}\n")
    with started(tmp_path, PREFIX, env=world) as host:
        until(lambda: (logs / "one.log").exists() and "cycle 3" in (logs / "one.log").read_text(), "it logs")
        assert host.host.stop() == 0
    assert " of two" in (logs / "two.log").read_text()
    assert " of two" not in (logs / "one.log").read_text()
    assert "RUN: ready" in (logs / "HOST.log").read_text()
    site.write_text(f"prefix: {PREFIX}\nlog: {{format: json, max_mb: 0.002, keep: 2}}\n")
    with started(tmp_path, PREFIX, env=world) as host:
        until(lambda: (logs / "one.log.2").exists(), "files are rotated")
        assert host.host.stop() == 0
        done = host.iocmng("logs", "one", "--offline")
        assert done.returncode == 0, done.stderr
        assert "of one" in done.stdout
        assert host.iocmng("logs", "noe", "--offline").returncode == 6
    assert not (logs / "one.log.3").exists()
    entry = json.loads((logs / "one.log").read_text().splitlines()[-1])
    assert entry.keys() >= {"time", "level", "text"}
