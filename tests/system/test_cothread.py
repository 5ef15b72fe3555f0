"""Code written for cothread on a running host, beside asyncio and threads."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hosts import own_world
from support.started import Started, started, until, write_plugins

PREFIX = "COT"

PACED = """
import threading
import cothread
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        print(f"{self.name} on {threading.current_thread().name}")
        cothread.Spawn(self.helper)

    def helper(self):
        cothread.Sleep(0.05)
        print(f"helper of {self.name}")

    def execute(self):
        while self.sleep(0.05):
            cothread.Sleep(0.05)
            print(f"cycle of {self.name}")
            self.set_pv("COUNT", self.cycle_count)
"""
COUNT = "arguments: {outputs: {COUNT: {type: int}}}\n"
COTHREAD = "engine: cothread\n" + COUNT
GETTER = """
from cothread import catools
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        self.monitor = catools.camonitor("COT:THREAD:COUNT", self.changed)

    def changed(self, value):
        self.set_pv("SEEN", int(value))

    def execute(self):
        self.set_pv("COUNT", int(catools.caget("COT:THREAD:COUNT")))
        self.set_pv("LINKED", self.get_pv("SOURCE"))
        catools.caput("COT:BLOCKING:WISH", int(self.cycle_count))

    def cleanup(self):
        self.monitor.close()
"""
GETTER_CONFIG = """
engine: cothread
parameters: {interval: 0.1}
supervision: {stall_after: 1.0}
arguments:
  inputs: {SOURCE: {type: int, link: "COT:THREAD:COUNT"}}
  outputs: {COUNT: {type: int}, SEEN: {type: int}, LINKED: {type: int}}
"""
THREADED = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count)
"""
ASYNC = """
import asyncio
from iocmng import TaskBase

class Plugin(TaskBase):
    async def execute(self):
        await asyncio.sleep(0.2)
        self.set_pv("COUNT", self.cycle_count)
"""
BLOCKING = """
import time
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        if self.get_pv("BLOCK"):
            self.set_pv("BLOCKS", 1)
            time.sleep(3.0)
"""
BLOCKING_CONFIG = """
engine: cothread
parameters: {interval: 0.1}
supervision: {stall_after: 1.0}
arguments:
  inputs: {BLOCK: {type: bool}, WISH: {type: int}}
  outputs: {BLOCKS: {type: int, value: 0}}
"""
JOB = """
import cothread
from iocmng import JobBase

class Plugin(JobBase):
    def execute(self):
        for step in range(10):
            print(f"step {step}")
            cothread.Sleep(0.02)
            if not self.sleep(0.05):
                return None
        return 42
"""
PLUGINS = {
    "one": (PACED, COTHREAD),
    "two": (PACED, COTHREAD),
    "async": (ASYNC, "engine: cothread\nparameters: {interval: 0.05}\n" + COUNT),
    "getter": (GETTER, GETTER_CONFIG),
    "thread": (THREADED, "parameters: {interval: 0.1}\nsupervision: {stall_after: 1.0}\n" + COUNT),
    "blocking": (BLOCKING, BLOCKING_CONFIG),
    "job": (JOB, "engine: cothread\n"),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    home = tmp_path_factory.mktemp("cothread")
    world = {**own_world(home), **write_plugins(home, PLUGINS)}
    with started(home, PREFIX, env=world) as host:
        yield host
        assert host.host.stop() == 0
        assert "Traceback" not in host.host.output


def number(host: Started, name: str) -> int:
    return int(str(host.client.pv(f"{PREFIX}:{name}").value))


def grows(host: Started, *names: str) -> None:
    before = {name: number(host, name) for name in names}
    for name in names:
        until(lambda n=name: number(host, n) > before[n] + 1, f"{name} goes on")  # type: ignore[misc]


def test_all_of_them_share_one_thread_and_go_on_beside_threads_and_coroutines(host: Started) -> None:
    for name in ("one", "two", "async", "getter", "thread"):
        host.reaches(name, "RUN")
    grows(host, "ONE:COUNT", "TWO:COUNT", "ASYNC:COUNT", "GETTER:COUNT", "GETTER:LINKED", "THREAD:COUNT")
    until(lambda: number(host, "GETTER:SEEN") > 0, "a monitor of catools calls back")
    until(lambda: number(host, "BLOCKING:WISH") > 0, "catools puts")
    for name, other in (("one", "two"), ("two", "one")):
        lines = [line.text for line in host.client.log(name)]
        assert f"{name} on iocmng-cothread" in lines
        assert f"helper of {name}" in lines
        assert f"cycle of {name}" in lines
        assert not any(f"of {other}" in line for line in lines)


def test_pause_resume_stop_and_start_wake_it(host: Started) -> None:
    task = host.client.tasks["one"]
    task.pause()
    host.reaches("one", "PAUSED")
    grows(host, "TWO:COUNT")
    task.resume()
    host.reaches("one", "RUN")
    grows(host, "ONE:COUNT")
    began = time.monotonic()
    task.stop()
    host.reaches("one", "END")
    assert time.monotonic() - began < 5.0
    assert host.client.show("one").abandoned == ()
    task.start()
    host.reaches("one", "RUN")
    grows(host, "ONE:COUNT", "TWO:COUNT")


def test_jobs_run_there_too_and_can_be_aborted(host: Started) -> None:
    job = host.client.jobs["job"]
    assert job.start().wait(30.0).data == 42
    run = job.start()
    until(lambda: any(line.text == "step 1" for line in host.client.run_log(run.id)), "it runs")
    run.abort()
    ended = run.wait(30.0)
    assert ended.state.name == "ABORTED"
    assert not any(line.text == "step 9" for line in host.client.run_log(run.id))


def test_one_that_blocks_stalls_the_others_of_its_kind_and_is_named(host: Started) -> None:
    host.reaches("getter", "RUN")
    host.client.put_pv(f"{PREFIX}:BLOCKING:BLOCK", True)
    until(lambda: number(host, "BLOCKING:BLOCKS") == 1, "it blocks")
    host.client.put_pv(f"{PREFIX}:BLOCKING:BLOCK", False)
    holder = host.reaches("blocking", "STALLED").message
    assert "blocking.py:" in holder
    assert "waits for" not in holder
    waits = host.reaches("getter", "STALLED").message
    assert "waits for cothread's scheduler, which task-blocking holds at" in waits
    assert host.view("thread").state == "RUN"
    grows(host, "THREAD:COUNT")
    for name in ("blocking", "getter", "one", "two"):
        host.reaches(name, "RUN")
    grows(host, "ONE:COUNT", "GETTER:LINKED")
