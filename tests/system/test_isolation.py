"""Code in processes of its own beside code in the host: what happens to it happens to nobody else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.started import Started, started, until, write_plugins

from iocmng.errors import BadInput
from iocmng.lifecycle import JobState, Trigger

FAULTY = """
import ctypes
import os
import sys
import time
from pathlib import Path

from iocmng import ParameterModel, TaskBase
from pydantic import Field

with Path(__file__).with_name("imported-by").open("a") as file:
    print(os.getpid(), file=file)

ctypes.PyDLL(None).sleep.argtypes = [ctypes.c_uint]
FAULTS = ("nothing", "segfault", "leave", "memory", "wrong", "deaf", "loop", "refused")
FOREIGN = ("numpy", "p4p", "epics", "softioc", "cothread", "fastapi")


class Plugin(TaskBase):
    class Parameters(ParameterModel):
        gain: float = Field(default=1.0, le=10.0, json_schema_extra={"live": True})

    def initialize(self):
        print("initializes in", os.getpid())
        self.number = 0
        self.set_pv("PID", os.getpid())
        self.set_pv("FOREIGN", " ".join(name for name in FOREIGN if name in sys.modules))

    def execute(self):
        self.number += 1
        self.set_pv("NUMBER", self.number)
        self.set_pv("GAIN", self.parameters.gain)
        do = self.get_pv("DO")
        if do:
            self.set_pv("DO", 0)
            getattr(self, FAULTS[do])()

    def segfault(self):
        ctypes.string_at(1)

    def leave(self):
        os._exit(7)

    def memory(self):
        bytearray(1 << 33)

    def wrong(self):
        raise ValueError("no beam")

    def deaf(self):
        ctypes.PyDLL(None).sleep(600)

    def loop(self):
        while True:
            pass

    def refused(self):
        try:
            self.set_pv("NUMBER", "many")
        except TypeError as error:
            self.set_message(str(error))
"""
FAULTY_CONFIG = """
isolation: process
memory_limit: 300
parameters: {interval: 0.1}
arguments:
  inputs:
    DO: {type: enum, labels: [nothing, segfault, leave, memory, wrong, deaf, loop, refused]}
  outputs:
    PID: {type: int}
    NUMBER: {type: int}
    GAIN: {type: float}
    FOREIGN: {type: string}
supervision: {restart_sec: 0.1, restart_max_sec: 0.2, stall_after: 1.0, on_stall: restart, stop_timeout: 0.5}
"""
STEADY = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        self.number = 0

    def execute(self):
        self.number += 1
        self.set_pv("NUMBER", self.number)
"""
STEADY_CONFIG = """
parameters: {interval: 0.1}
arguments: {outputs: {NUMBER: {type: int}}}
"""
LINKED = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        self.heard = 0

    def on_input_changed(self, key, value, old_value):
        self.heard += 1
        if self.heard >= 3:
            self.set_pv("HEARD", len(self.buffers["SOURCE"]) and value)
            self.set_pv("CONNECTED", self.connected["SOURCE"] and self.link_values["SOURCE"] > 0)
            self.link_put("TARGET", self.heard)
"""
LINKED_CONFIG = """
isolation: process
parameters: {mode: reactive}
arguments:
  inputs: {SOURCE: {type: int, link: "ISOL:STEADY:NUMBER", trigger: true, buffer_size: 3}}
  outputs:
    HEARD: {type: int}
    CONNECTED: {type: bool}
    TWICE: {type: int}
    TARGET: {type: int, link: "ISOL:TAKER:LEVEL"}
transforms: [{output: TWICE, expression: "2 * HEARD"}]
"""
TAKER_CONFIG = "arguments: {inputs: {LEVEL: {type: int}}}"
JOB = """
import ctypes
import os
from iocmng import JobBase, JobResult

class Plugin(JobBase):
    def execute(self):
        steps = self.get_pv("STEPS")
        print("runs in", os.getpid(), flush=True)
        for step in range(steps):
            self.progress((step + 1) / steps, f"step {step + 1}")
            if not self.sleep(0.05):
                return JobResult(False, message="told to leave")
        if self.arguments["FAULT"] == 1:
            ctypes.string_at(1)
        if self.arguments["FAULT"] == 2:
            while True:
                pass
        self.set_pv("DONE", steps)
        return JobResult(True, {"steps": steps, "pid": os.getpid()}, "all done")
"""
JOB_CONFIG = """
isolation: process
arguments:
  inputs: {STEPS: {type: int, value: 3}, FAULT: {type: enum, labels: [none, segfault, loop]}}
  outputs: {DONE: {type: int}}
supervision: {stop_timeout: 0.5}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("isolation")


@pytest.fixture(scope="module")
def host(home: Path) -> Iterator[Started]:
    plugins = {
        "crashing": (FAULTY, FAULTY_CONFIG),
        "hanging": (FAULTY, FAULTY_CONFIG),
        "calm": (FAULTY, FAULTY_CONFIG),
        "steady": (STEADY, STEADY_CONFIG),
        "linked": (LINKED, LINKED_CONFIG),
        "taker": ("", TAKER_CONFIG),
        "count": (JOB, JOB_CONFIG),
    }
    with started(home, "ISOL", env=write_plugins(home, plugins)) as running:
        yield running
        a_killed_host_leaves_no_worker(running)


def a_killed_host_leaves_no_worker(host: Started) -> None:
    """The end of the host that all tests share: neither one that listens stays, nor one that is deaf."""
    pids = [pid_of(host, name) for name in ("hanging", "calm")]
    host.client.put_pv("hanging:DO", "deaf")
    until(lambda: host.client.pv("hanging:DO").value == 0, "it is deaf")
    assert all(map(lives, pids))
    host.host.process.kill()
    host.host.process.wait(10)
    until(lambda: not any(map(lives, pids)), "they are gone", 10)


@pytest.fixture(autouse=True)
def neighbour(host: Started) -> Iterator[None]:
    """A task in the host goes on whatever a test does."""
    before = host.reaches("steady", "RUN")
    yield
    until(lambda: host.view("steady").cycles > before.cycles + 3, "the neighbour goes on")
    after = host.view("steady")
    assert (after.state, after.restarts, after.cycle_errors) == ("RUN", 0, 0)


def pid_of(host: Started, name: str) -> int:
    """The process in which the code of a task runs."""
    until(lambda: host.client.pv(f"{name}:PID").severity == "NO_ALARM", f"{name} tells its process")
    return int(host.client.pv(f"{name}:PID").value)


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("segfault", "worker died: SIGSEGV at "),
        ("leave", "worker died: exit code 7"),
        ("memory", "MemoryError [memory_limit is 300 MiB]"),
        ("wrong", "ValueError: no beam"),
        ("deaf", "no progress for "),
        ("loop", "no progress for "),
    ],
)
def test_a_fault_is_named_and_the_code_starts_again_in_another_process(
    host: Started, fault: str, reason: str
) -> None:
    name = "hanging" if fault in ("deaf", "loop") else "crashing"
    host.reaches(name, "RUN")
    before = pid_of(host, name)
    restarts = host.view(name).restarts
    host.client.put_pv(f"{name}:DO", fault)
    until(lambda: host.view(name).restarts > restarts, f"{name} starts again")
    assert host.client.show(name).last_error.startswith(reason)
    assert str(host.client.pv(f"{name}:LAST_ERROR").value).startswith(reason)
    host.reaches(name, "RUN")
    until(lambda: pid_of(host, name) != before, f"{name} runs in another process")
    assert not lives(before)
    error = host.client.show(name).last_error
    if fault in ("segfault", "loop"):
        assert f"{name}.py:" in error
    if fault == "deaf":
        assert "silent" in error


def test_the_host_never_imports_the_code_and_the_worker_nothing_foreign(host: Started, home: Path) -> None:
    host.reaches("calm", "RUN")
    until(lambda: host.client.pv("calm:FOREIGN").severity == "NO_ALARM", "it looks at its modules")
    assert host.client.pv("calm:FOREIGN").value == ""
    marks = list(home.rglob("imported-by"))
    assert marks
    assert host.host.process.pid not in {int(pid) for mark in marks for pid in mark.read_text().split()}


def test_a_refused_value_raises_where_it_is_written(host: Started) -> None:
    host.reaches("calm", "RUN")
    host.client.put_pv("calm:DO", "refused")
    until(lambda: "NUMBER (int) needs a whole number" in host.view("calm").message, "the code hears of it")
    assert host.view("calm").state == "RUN"


def test_what_an_operator_does_reaches_the_process(host: Started) -> None:
    name = "calm"
    host.reaches(name, "RUN")
    pid = pid_of(host, name)
    assert host.client.show(name).worker == pid
    assert f"process {pid}, " in host.iocmng("show", name).stdout
    host.client.act(name, Trigger.PAUSE)
    host.reaches(name, "PAUSED")
    assert host.client.pv(f"{name}:NUMBER").severity == "INVALID"
    assert lives(pid)
    host.client.act(name, Trigger.RESUME)
    host.reaches(name, "RUN")
    host.client.set_parameters(name, {"gain": 4.0})
    until(lambda: host.client.pv(f"{name}:GAIN").value == 4.0, "the code uses the new gain")
    with pytest.raises(BadInput, match="gain"):
        host.client.set_parameters(name, {"gain": 11.0})
    assert pid_of(host, name) == pid
    host.client.act(name, Trigger.RESTART)
    host.reaches(name, "RUN")
    assert not lives(pid)
    assert any("initializes in" in line.text for line in host.client.log(name))
    assert host.client.show(name).parameters


def test_code_that_does_not_leave_is_killed(host: Started) -> None:
    name = "hanging"
    host.reaches(name, "RUN")
    pid = pid_of(host, name)
    os.kill(pid, signal.SIGSTOP)
    view = host.client.act(name, Trigger.STOP)
    assert view.state == "END"
    assert "its worker was killed" in view.message
    assert not lives(pid)
    assert host.client.show(name).abandoned == ()
    host.client.act(name, Trigger.START)
    host.reaches(name, "RUN")


def test_links_and_logic_stay_in_the_host(host: Started) -> None:
    host.reaches("linked", "RUN")
    until(lambda: host.client.pv("linked:HEARD").severity == "NO_ALARM", "the code hears of its input")
    until(
        lambda: host.client.pv("linked:TWICE").value and host.client.pv("taker:LEVEL").value,
        "the logic follows the code, and its put arrives",
    )
    assert host.client.pv("linked:CONNECTED").value
    until(lambda: host.client.pv("linked:TWICE").value % 2 == 0, "the logic has evaluated")


def test_a_job_shows_progress_and_gives_its_result(host: Started) -> None:
    run = host.client.start_run("count", {"STEPS": 4, "FAULT": "none"})
    done = host.client.run(run.id, wait=30)
    assert (done.state, done.message, done.progress) == (JobState.SUCCESS, "all done", 100.0)
    assert done.data["steps"] == 4
    assert done.data["pid"] != host.host.process.pid
    assert not lives(done.data["pid"])
    assert host.client.pv("count:DONE").value == 4
    assert [line for line in host.client.run_log(run.id) if line.text.startswith("runs in")]


def test_a_job_that_crashes_fails_with_the_signals_name(host: Started) -> None:
    run = host.client.start_run("count", {"STEPS": 1, "FAULT": "segfault"})
    done = host.client.run(run.id, wait=30)
    assert done.state is JobState.FAILED
    assert done.message.startswith("worker died: SIGSEGV at ")
    assert done.exit_code == -signal.SIGSEGV


def test_a_job_that_does_not_hear_an_abort_is_killed(host: Started) -> None:
    run = host.client.start_run("count", {"STEPS": 1, "FAULT": "loop"})
    until(lambda: host.client.run(run.id).progress == 100.0, "it loops")
    host.client.abort(run.id)
    done = host.client.run(run.id, wait=30)
    assert done.state is JobState.ABORTED
    assert host.client.show("count").abandoned == ()
    heard = host.client.start_run("count", {"STEPS": 1000, "FAULT": "none"})
    until(lambda: host.client.run(heard.id).progress > 0, "it is under way")
    host.client.abort(heard.id)
    assert host.client.run(heard.id, wait=30).state is JobState.ABORTED
