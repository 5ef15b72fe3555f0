"""`iocmng-run` on plugin directories written for 2.x: PVs over CA and PVA, PV list, exit codes."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from children import Lines, ending
from environments import Environment, outside
from hosts import RunningHost, own_world

START = 60.0
STOP = 20.0
ENVIRONMENT = Environment(Path(sys.prefix))

PLUGIN = """
import sys

from iocmng import TaskBase
from iocmng.core import pv_client
from scaling import scaled


class MyMonitor(TaskBase):
    def __init__(self, name, parameters=None, pv_definitions=None, **kwargs):
        super().__init__(name, parameters=parameters, pv_definitions=pv_definitions, **kwargs)
        self.gain = float(self.parameters.get("gain", 1.0))

    def initialize(self):
        self.logger.info("gain is %s", self.gain)
        self.set_message("Monitoring")
        self.pvs["PROVIDER"].set(pv_client.get_provider())

    def execute(self):
        if self.get_pv("FAIL"):
            raise ValueError("told to fail")
        self.pvs["VALUE"].set(scaled(self.get_pv("SETPOINT"), self.gain))
        self.set_pv("NOBODY", 1)
        self.set_pv("STATUS", 4)
        assert self.get_pv("NOBODY") is None
        self.set_pv("CLIENTS", ",".join(sorted({"p4p", "epics", "fastapi"} & set(sys.modules))))

    def cleanup(self):
        self.logger.info("cleaned up")
"""
CONFIG = """
parameters:
  mode: continuous
  interval: 0.1
  gain: 2
arguments:
  inputs:
    SETPOINT: {type: float, value: 1.5, unit: mm}
    FAIL: {type: bool, value: 0}
  outputs:
    VALUE: {type: float, value: 0.0}
    PROVIDER: {type: string, value: ""}
    CLIENTS: {type: string}
supervision: {restart: 'no'}
comment_of_2x: kept
"""
JOB = """
from iocmng import JobBase
from iocmng.base.job import JobResult


class Measure(JobBase):
    def initialize(self):
        self.set_status("RUNNING")

    def execute(self):
        self.set_pv("VALUE", 42.0)
        return JobResult(success=self.parameters.get("good", True), data={"value": 42.0}, message="measured")
"""
JOB_CONFIG = "arguments: {outputs: {VALUE: {type: float}}}\n"
MAIN = "from iocmng.host.single import main; main()"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("my_monitor")
    (folder / "my_monitor.py").write_text(PLUGIN)
    (folder / "scaling.py").write_text("def scaled(value, gain):\n    return value * gain\n")
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "measure.py").write_text(JOB)
    (folder / "job.yaml").write_text(JOB_CONFIG)
    return folder


@dataclass
class Single:
    """A running `iocmng-run`; `host` reads and writes its PVs."""

    process: subprocess.Popen[str]
    host: RunningHost

    @property
    def output(self) -> str:
        return self.host.output

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        return self.process.wait(STOP)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", MAIN, *arguments]


def opened(fifo: Path) -> None:
    """Wait until somebody else opens it for writing."""
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        events = select.poll()
        events.register(reading, select.POLLHUP)
        assert events.poll(START * 1000), f"nobody has opened {fifo}"
    finally:
        os.close(reading)


@contextmanager
def single(
    folder: Path, scratch: Path, *arguments: str, program: list[str] | None = None
) -> Iterator[Single]:
    world = own_world(scratch)
    process = subprocess.Popen(
        program or command(*arguments),
        cwd=folder,
        env={**outside(), **world},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Single(process, RunningHost(process, ENVIRONMENT, world, Lines(process.stdout)))
    try:
        running.host.lines.until("serves", START)
        yield running
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP)
        running.host.forget()


def test_a_directory_of_2_x_is_served_over_ca_and_pva(plugin: Path, tmp_path: Path) -> None:
    listed = tmp_path / "lists" / "pvs.txt"
    arguments = ("-m", "my_monitor", "--prefix", "SINGLE", "--pvout", str(listed), "-p", "gain=4")
    with single(plugin, tmp_path, *arguments) as running:
        host, prefix = running.host, "SINGLE:MYMONITOR"
        assert host.read("ca", f"{prefix}:VALUE", wanted=6.0) == 6.0
        assert host.read("pva", f"{prefix}:VALUE", wanted=6.0) == 6.0
        host.write("ca", f"{prefix}:SETPOINT", 2.5)
        assert host.read("pva", f"{prefix}:VALUE", wanted=10.0) == 10.0
        host.write("pva", f"{prefix}:SETPOINT", 0.5)
        assert host.read("ca", f"{prefix}:VALUE", wanted=2.0) == 2.0
        assert host.read("ca", f"{prefix}:STATUS", wanted=1) == 1
        assert host.read("pva", f"{prefix}:CLIENTS") == ""
        names = listed.read_text().splitlines()
        assert names == sorted(names)
        assert {f"{prefix}:{name}" for name in ("STATUS", "ENABLE", "VALUE", "SETPOINT")} <= set(names)
        assert running.stop() == 0
        assert "gain is 4.0" in running.output
        assert "cleaned up" in running.output
        assert running.output.count("write to NOBODY ignored: MyMonitor has no port 'NOBODY'; known: ") == 1
        assert (
            running.output.count("write to STATUS ignored: STATUS of MyMonitor belongs to the supervision")
            == 1
        )
        assert "comment_of_2x" in running.output
        assert "Traceback" not in running.output


def test_flat_names_and_the_provider_of_2_x(plugin: Path, tmp_path: Path) -> None:
    listed = tmp_path / "pvs.txt"
    arguments = (
        "--module", "my_monitor", "--class", "MyMonitor", "--config", "config.yaml", "--prefix", "SPARC:MON",
        "--name", "monitor", "--flat", "--pva", "false", "--pvout", str(listed),
    )  # fmt: skip
    with single(plugin, tmp_path, *arguments) as running:
        assert running.host.read("ca", "SPARC:MON:VALUE", wanted=3.0) == 3.0
        assert running.host.read("pva", "SPARC:MON:PROVIDER", wanted="ca") == "ca"
        assert all(re.fullmatch(r"SPARC:MON:\w+", name) for name in listed.read_text().split())
        assert running.stop() == 0


def test_a_task_that_fails_for_good_ends_it_with_code_1(plugin: Path, tmp_path: Path) -> None:
    with single(plugin, tmp_path, "-m", "my_monitor", "--prefix", "FAILING") as running:
        running.host.write("ca", "FAILING:MYMONITOR:FAIL", 1)
        assert running.ended() == 1
        assert "ValueError: told to fail" in running.output
        assert "cleaned up" in running.output


def test_ctrl_c_ends_it_with_code_0(plugin: Path, tmp_path: Path) -> None:
    with single(plugin, tmp_path, "-m", "my_monitor", "--prefix", "CTRLC") as running:
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.ended() == 0
        assert "Traceback" not in running.output


@pytest.mark.parametrize(("good", "code", "state"), [("true", 0, 2), ("false", 1, 3)])
def test_a_job_runs_once_and_its_pvs_stay(
    plugin: Path, tmp_path: Path, good: str, code: int, state: int
) -> None:
    arguments = ("-m", "measure", "--config", "job.yaml", "--prefix", "JOBS", "-p", f"good={good}")
    with single(plugin, tmp_path, *arguments) as running:
        name = "JOBS:MEASURE:STATUS"
        program = """
import sys, time
from p4p.client.thread import Context
context, end = Context("pva", nt=False), time.monotonic() + 20
while (value := context.get(sys.argv[1], timeout=20)["value"]["index"]) != int(sys.argv[2]):
    assert time.monotonic() < end, value
    time.sleep(0.05)
"""
        done = ENVIRONMENT.run("python", "-c", program, name, str(state), env=running.host.env)
        assert done.returncode == 0, done.stderr + running.output
        if state == 2:
            assert running.host.read("ca", "JOBS:MEASURE:VALUE", wanted=42.0) == 42.0
        assert running.stop() == code


def test_run_ioc_takes_a_mapping_and_a_script_may_call_it(plugin: Path, tmp_path: Path) -> None:
    script = """
import sys
from iocmng.runner import run_ioc
from my_monitor import MyMonitor
config = {"arguments": {"inputs": {"SETPOINT": {"value": 7.0}, "FAIL": {"type": "bool", "value": False}},
                        "outputs": {"VALUE": {}, "PROVIDER": {"type": "string"}}}}
sys.exit(run_ioc(MyMonitor, config=config, parameters={"interval": 0.1, "gain": 3}, prefix="SCRIPT", name="mine"))
"""
    with single(plugin, tmp_path, program=[sys.executable, "-c", script]) as running:
        assert running.host.read("pva", "SCRIPT:MINE:VALUE", wanted=21.0) == 21.0
        assert running.stop() == 0


def test_a_declarative_task_has_no_module_of_its_own(plugin: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text("arguments: {outputs: {READY: {type: bool, value: true}}}\n")
    arguments = (
        "--module", "iocmng.declarative", "--class-name", "DeclarativeTask", "--prefix", "DECL",
        "--config", str(tmp_path / "plain.yaml"), "--name", "plain",
    )  # fmt: skip
    with single(plugin, tmp_path, *arguments) as running:
        assert running.host.read("ca", "DECL:PLAIN:READY", wanted=1) == 1
        assert running.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-m", "my_monitr"), r"module 'my_monitr' cannot be imported"),
        (("-m", "my_monitor", "-c", "MyMonitr"), r"no class 'MyMonitr' \(did you mean 'MyMonitor'\?\)"),
        (("-m", "scaling"), r"scaling defines 0 tasks and jobs"),
        (("-m", "two"), r"two defines 2 tasks and jobs: First, Second .*name one with -c"),
        (("-m", "my_monitor", "--config", "nowhere.yaml"), r"nowhere\.yaml"),
        (("-m", "my_monitor", "--config", "bad.yaml"), r"bad\.yaml:2:.*tpye"),
        (("-m", "my_monitor", "-p", "gain"), r"parameter 'gain' is not KEY=VALUE"),
        (("-m", "my_monitor", "-p", "interval=-1"), r"interval"),
        (("-m", "my_monitor", "--flat"), r"flat PVs .*prefix"),
        ((), r"-m/--module"),
    ],
)
def test_what_cannot_run_is_said_without_a_traceback(
    plugin: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    base = "from iocmng import TaskBase\nclass {}(TaskBase):\n    pass\n"
    (tmp_path / "two.py").write_text(base.format("First") + base.format("Second"))
    (tmp_path / "bad.yaml").write_text("arguments:\n  outputs: {VALUE: {tpye: float}}\n")
    for path in plugin.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    done = subprocess.run(
        command(*arguments),
        cwd=tmp_path,
        env=outside(),
        capture_output=True,
        text=True,
        timeout=START,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_class_in_the_config_chooses_among_several(tmp_path: Path) -> None:
    base = "class {0}(TaskBase):\n    def execute(self):\n        self.set_message('{0} runs')\n"
    (tmp_path / "two.py").write_text(
        "from iocmng import TaskBase\n" + base.format("First") + base.format("Second")
    )
    (tmp_path / "config.yaml").write_text("class: Second\n")
    with single(tmp_path, tmp_path, "-m", "two", "--prefix", "CHOSEN") as running:
        assert running.host.read("pva", "CHOSEN:SECOND:MESSAGE", wanted="Second runs") == "Second runs"
        assert running.stop() == 0


def test_sigterm_before_it_serves_ends_it_as_a_stop(tmp_path: Path) -> None:
    """The module's import waits for a FIFO, so that the signal comes in the midst of it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "slow.py").write_text(f"import time\nwith open({str(fifo)!r}, 'w'): pass\ntime.sleep(60)\n")
    program = [sys.executable, "-c", MAIN, "-m", "slow"]
    with ending(subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.PIPE, text=True)) as process:
        opened(fifo)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=STOP)
    assert (process.returncode, errors) == (0, "")
