"""A task in a worker beside records in memory."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.isolated import IsolatedHost, isolated

from iocmng.config import parse_config
from iocmng.errors import BadInput
from iocmng.host.parameters import changed_values
from iocmng.lifecycle import State, Trigger
from iocmng.runtime.script.process import DEAD, stat_of
from iocmng.settings.instances import InstanceSettings
from iocmng.spec import InstanceSpec, Isolation, Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.wire import Finding

CODE = """
import math
import os
import subprocess
import sys
import threading
from iocmng import ParameterModel, TaskBase
from pydantic import Field

WORD = "first"

class Apart(TaskBase):
    class Parameters(ParameterModel):
        gain: float = Field(default=1.0, le=10.0, json_schema_extra={"live": True})

    async def initialize(self):
        self.logger.warning("begins")

    def triggered(self):
        self.logger.debug("fine print")
        print("runs")
        self.set_pv("WORD", f"{WORD} {self.get_pv('SETPOINT'):g} {self.parameters.gain:g}")
        self.set_pv("CURVE", [math.nan, math.inf, self.readings["SETPOINT"].value])
        self.set_pv("MISSING", math.nan)
        self.set_status("ERROR")
        self.child = subprocess.Popen(["sleep", "600"])
        self.set_pv("CHILD", self.child.pid)
        for name, value in (("NOWHERE", 1), ("WORD", 3), ("CURVE", [0] * 9)):
            try:
                self.set_pv(name, value)
            except (KeyError, TypeError, ValueError) as error:
                self.set_pv("REFUSED", self.get_pv("REFUSED") + type(error).__name__ + " ")

    def metrics(self):
        return {"answer": 42}

    def cleanup(self):
        threading.Thread(target=threading.Event().wait).start()
"""
CONFIG = """
parameters: {mode: triggered}
arguments:
  inputs: {SETPOINT: {type: float, value: 2.5}}
  outputs:
    WORD: {type: string}
    CURVE: {type: array, length: 4}
    MISSING: {type: float}
    CHILD: {type: int}
    REFUSED: {type: string, size: 100, value: ""}
"""


def gone(pid: int) -> bool:
    """Whether a process runs no more; nobody may have reaped it yet."""
    stat = stat_of(pid)
    return stat is None or stat.state in DEAD


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "apart_code.py"
    file.write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return file


def test_one_life(module: Path, caplog: pytest.LogCaptureFixture) -> None:
    with isolated("apart_code:Apart", CONFIG) as host:
        task = host.task
        task.trigger(None, None)  # type: ignore[arg-type]
        host.until(lambda: task.view().cycles == 1, "run once")
        host.until(lambda: task.degraded, "declared sick")
        assert host.read("WORD").value == "first 2.5 1"
        assert host.read("MISSING").severity.name == "INVALID"
        curve = host.read("CURVE").value
        assert str(curve) == "[nan inf 2.5]"
        assert host.read("REFUSED").value == "KeyError TypeError ValueError "
        host.until(lambda: task.counters.metrics == {"answer": 42.0}, "asked for metrics")
        assert host.run.process.private_memory() < 60
        os.kill(host.run.process.pid, signal.SIGTERM)

        values, live = changed_values(task, {"gain": 4.0}, {})
        assert values["gain"].value == 4.0
        host.run.parameters = live["gain"]
        with pytest.raises(BadInput, match=r"gain: .*less than or equal to 10"):
            changed_values(task, {"gain": 11.0}, {})
        task.trigger(None, None)  # type: ignore[arg-type]
        host.until(lambda: task.view().cycles == 2, "run again")
        assert host.read("WORD").value == "first 2.5 4"
        child = int(host.read("CHILD").value)  # type: ignore[arg-type]

        module.write_text(CODE.replace('"first"', '"second"'))
        first = host.run.process.pid
        host.act(Trigger.RESTART)
        host.until(lambda: task.state is State.RUN and host.run.process.pid != first, "restarted")
        assert "changed code loaded" in task.message
        task.trigger(None, None)  # type: ignore[arg-type]
        host.until(lambda: task.view().cycles == 3, "run in the new process")
        assert host.read("WORD").value == "second 2.5 1"
        host.until(lambda: gone(child), "rid of what the first process started")
        assert gone(first)
    assert "apart_code" not in sys.modules
    warned = [record for record in caplog.records if record.getMessage() == "begins"]
    assert [record.levelno for record in warned] == [logging.WARNING] * 2
    assert "fine print" not in caplog.text


IDLE = """
from iocmng import TaskBase

class Idle(TaskBase):
    def execute(self):
        pass
"""


def test_one_that_is_stopped_from_outside_stalls_goes_on_and_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "idle_code.py").write_text(IDLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    supervision = "{stall_after: 0.4, restart: 'no', stop_timeout: 1}"
    with isolated("idle_code:Idle", f"parameters: {{interval: 0.05}}\nsupervision: {supervision}") as host:

        def looked(state: State) -> bool:
            host.task.check_progress(time.monotonic())
            return host.task.state is state

        host.until(lambda: host.task.view().cycles > 2, "cycles counted")
        pid = host.run.process.pid
        os.kill(pid, signal.SIGSTOP)
        host.until(lambda: looked(State.STALLED), "stalled")
        assert f"worker {pid}, which is silent for" in host.task.message
        os.kill(pid, signal.SIGCONT)
        host.until(lambda: looked(State.RUN), "on again")
        os.kill(pid, signal.SIGKILL)
        host.reaches(State.ERROR)
        assert host.task.last_error.startswith("worker died: SIGKILL, which is what the system does")
        assert host.task.abandoned.where() == ()


def test_what_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    host = IsolatedHost("idle_code:Idle", "supervision: {restart: 'no'}")
    host.act(Trigger.START)
    host.reaches(State.ERROR)
    assert host.task.last_error.startswith("cannot start a worker: ")


def test_code_that_cannot_be_imported_is_a_failure() -> None:
    host = IsolatedHost("no_such_module_anywhere:Idle", "supervision: {restart: 'no'}")
    host.act(Trigger.START)
    host.reaches(State.ERROR)
    assert "no_such_module_anywhere" in host.task.last_error


def test_a_worker_without_its_host_ends() -> None:
    program = [sys.executable, "-P", "-m", "iocmng.worker"]
    assert subprocess.run(program, capture_output=True, timeout=30).returncode == 1


def described(
    text: str, site: InstanceSettings | None = None, target: str = "m:C"
) -> tuple[InstanceSpec, list[Finding]]:
    loaded = parse_config(text, "c.yaml")
    assert loaded.config is not None, loaded.findings
    spec, findings = describe(
        loaded.config,
        PluginRef(name="p", target=target),
        kind=Kind.TASK,
        name="p",
        host_prefix="H",
        site=site,
        class_name=target.partition(":")[2],
        locate=loaded.locate,
    )
    assert spec is not None
    return spec, findings


def test_config_and_site_say_where_code_runs() -> None:
    spec, findings = described("isolation: process\nmemory_limit: 100")
    assert (spec.isolation, spec.memory_limit, findings) == (Isolation.PROCESS, 100.0, [])
    spec, findings = described(
        "isolation: process\nmemory_limit: 9", InstanceSettings(plugin="p", isolation="thread")
    )
    assert (spec.isolation, spec.memory_limit, findings) == (Isolation.THREAD, None, [])
    site = InstanceSettings(plugin="p", isolation="process", memory_limit=7.5)
    spec, findings = described("", site)
    assert (spec.isolation, spec.memory_limit, findings) == (Isolation.PROCESS, 7.5, [])


def test_keys_without_effect_are_told() -> None:
    spec, (finding,) = described("memory_limit: 100")
    assert (spec.memory_limit, finding.code, finding.where.line) == (None, "does-not-apply", 1)
    spec, (finding,) = described("isolation: process", target="module")
    assert (spec.isolation, finding.code) == (Isolation.THREAD, "does-not-apply")
    assert "no code" in finding.message
