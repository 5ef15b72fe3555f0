"""The supervision of a running host as operators see it: over PVs and over HTTP, which never say different things."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import outside
from hosts import own_world
from support.started import Started, ended, started, until, write_plugins
from support.watching import Watch, watching

PREFIX = "SUP"
RUN, BACKOFF, STALLED = 1, 5, 6
MINOR, MAJOR, INVALID = 1, 2, 3

FAILING = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        if self.get_pv("FAIL") == 1:
            raise RuntimeError("no motor")

    def execute(self):
        self.set_pv("LEVEL", 42.0)
        self.set_status("ERROR" if self.get_pv("SICK") else "OK")
        if self.get_pv("FAIL") == 2:
            raise ValueError("no beam")

    def cleanup(self):
        if self.get_pv("FAIL") == 3:
            raise OSError("no file")
"""
FAILING_CONFIG = """
parameters: {interval: 0.1}
arguments:
  inputs:
    FAIL: {type: enum, labels: [never, initialize, execute, cleanup]}
    SICK: {type: bool}
  outputs: {LEVEL: {type: float}}
supervision: {restart_sec: 0.3, restart_max_sec: 0.6, restart_max: 3, restart_window: 600}
"""
HANGING = """
import time
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        end = time.monotonic() + 60
        while self.get_pv("HANG") and time.monotonic() < end:
            time.sleep(0.05)
        self.set_pv("LEVEL", 42.0)
"""
HANGING_CONFIG = """
parameters: {interval: 0.1}
arguments:
  inputs: {HANG: {type: bool}}
  outputs: {LEVEL: {type: float}}
supervision: {stall_after: 1.0, stop_timeout: 0.3}
"""
PRESSED = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def triggered(self):
        self.sleep(1.0)
        self.set_pv("DONE", self.get_pv("DONE") + 1)
"""
PRESSED_CONFIG = """
parameters: {mode: triggered}
arguments: {outputs: {DONE: {type: int, value: 0}}}
"""
HOLDING = """
import ctypes
from iocmng import TaskBase

class Plugin(TaskBase):
    def triggered(self):
        ctypes.PyDLL(None).sleep(8)
"""
HOLDING_CONFIG = "parameters: {mode: triggered}\n"
PLAIN = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        self.sleep(0.3)

    def execute(self):
        pass
"""
PLUGINS = {
    "failing": (FAILING, FAILING_CONFIG),
    "hanging": (HANGING, HANGING_CONFIG),
    "pressed": (PRESSED, PRESSED_CONFIG),
    "holding": (HOLDING, HOLDING_CONFIG),
    "a-last": (PLAIN, "supervision: {depends_on: [needed]}\n"),
    "early": (PLAIN, "supervision: {start_order: 1}\n"),
    "needed": (PLAIN, "supervision: {start_order: 150}\n"),
}
WATCHED = (
    "FAILING:STATUS",
    "FAILING:LEVEL",
    "FAILING:RESTARTS",
    "FAILING:DEGRADED",
    "FAILING:LAST_ERROR",
    "HANGING:STATUS",
    "HANGING:LEVEL",
    "HANGING:HEARTBEAT",
    "HOST:FAILED",
    "PRESSED:MESSAGE",
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Started, Watch]]:
    home = tmp_path_factory.mktemp("supervision")
    world = {**own_world(home), **write_plugins(home, PLUGINS)}
    names = [f"{PREFIX}:{name}" for name in WATCHED]
    with started(home, PREFIX, env=world) as host, watching(world, *names) as watch:
        yield host, watch


@pytest.fixture
def host(pair: tuple[Started, Watch]) -> Started:
    for name in PLUGINS:
        pair[0].reaches(name, "RUN")
    return pair[0]


@pytest.fixture
def watch(pair: tuple[Started, Watch], host: Started) -> Watch:
    for name in WATCHED:
        for provider in ("ca", "pva"):
            pair[1].until(
                lambda n=name, p=provider: pair[1].of(f"{PREFIX}:{n}", p), f"{name} over {provider}"
            )  # type: ignore[misc]
    return pair[1]


def seen(watch: Watch, name: str, value: object, severity: int, after: float) -> None:
    """Wait until a CA and a PVA client have seen it."""
    for provider in ("ca", "pva"):
        watch.until(
            lambda provider=provider: any(  # type: ignore[misc]
                (event["value"], event["severity"]) == (value, severity) and event["seen"] >= after
                for event in watch.of(f"{PREFIX}:{name}", provider)
            ),
            f"{name} = {value} with severity {severity} over {provider}",
        )


def put(host: Started, name: str, value: object) -> None:
    host.client.put_pv(f"{PREFIX}:{name}", value)


def shown(host: Started, name: str) -> object:
    return host.client.pv(f"{PREFIX}:{name}").value


def test_start_order_and_dependencies(host: Started) -> None:
    reached = {
        name: next(one.time for one in host.client.show(name).history if one.after == "RUN")
        for name in ("early", "needed", "a-last")
    }
    assert reached["early"] <= reached["needed"] <= reached["a-last"]
    begun = next(one.time for one in host.client.show("a-last").history if one.after == "INIT")
    assert begun <= reached["needed"]


def test_a_failure_is_shown_everywhere_retried_and_ends_at_the_limit(host: Started, watch: Watch) -> None:
    began = time.time()
    before = host.view("failing").restarts
    put(host, "FAILING:FAIL", "execute")
    seen(watch, "FAILING:STATUS", BACKOFF, MINOR, began)
    seen(watch, "FAILING:LEVEL", 42.0, INVALID, began)
    seen(watch, "HOST:FAILED", 1, MAJOR, began)
    view = host.reaches("failing", "ERROR")
    assert "ValueError: no beam" in view.message
    assert "restart_max allows 3" in view.message
    assert view.restarts == before + 3
    detail = host.client.show("failing")
    assert detail.last_error == "ValueError: no beam"
    assert "Traceback" in detail.traceback
    retries = [change.reason for change in detail.history if change.after == "BACKOFF"][-3:]
    assert [reason.partition(" in ")[0] for reason in retries] == ["retry 1", "retry 2", "retry 3"]
    for name, value in (
        ("STATUS", "ERROR"),
        ("MESSAGE", view.message),
        ("LAST_ERROR", detail.last_error),
        ("RESTARTS", view.restarts),
    ):
        pv = host.client.pv(f"{PREFIX}:FAILING:{name}")
        assert (pv.labels[pv.value] if pv.labels else pv.value) == value
    assert shown(host, "FAILING:LAST_ERROR_TIME")
    seen(watch, "FAILING:STATUS", 4, MAJOR, began)
    seen(watch, "FAILING:RESTARTS", view.restarts, 0, began)
    put(host, "FAILING:FAIL", "never")
    host.host.write("ca", f"{PREFIX}:FAILING:RESTART", 1)
    host.reaches("failing", "RUN")
    assert host.client.show("failing").last_error == "ValueError: no beam"
    assert shown(host, "FAILING:RESTART") is False
    host.host.write("pva", f"{PREFIX}:FAILING:RESET", 1)
    until(lambda: host.client.show("failing").last_error == "", "a reset forgets")
    assert host.view("failing").restarts == shown(host, "FAILING:RESTARTS") == 0
    assert shown(host, "FAILING:LAST_ERROR") == ""
    seen(watch, "HOST:FAILED", 0, 0, began)


def test_initialize_that_fails_is_retried_and_cleanup_that_fails_is_logged(host: Started) -> None:
    put(host, "FAILING:FAIL", "initialize")
    host.iocmng("restart", "failing")
    until(lambda: host.view("failing").state in ("BACKOFF", "ERROR"), "it fails")
    assert host.client.show("failing").last_error == "RuntimeError: no motor"
    put(host, "FAILING:FAIL", "never")
    host.client.tasks["failing"].reset()
    host.reaches("failing", "RUN")
    put(host, "FAILING:FAIL", "cleanup")
    host.client.tasks["failing"].stop()
    assert host.view("failing").state == "END"
    assert any("cleanup failed: OSError: no file" in line.text for line in host.client.log("failing"))
    put(host, "FAILING:FAIL", "never")
    host.client.tasks["failing"].start()
    host.client.tasks["failing"].reset()


def test_a_task_that_says_it_is_ill_is_degraded(host: Started, watch: Watch) -> None:
    began = time.time()
    put(host, "FAILING:SICK", True)
    seen(watch, "FAILING:DEGRADED", 1, MINOR, began)
    until(lambda: host.view("failing").degraded, "HTTP says so, too")
    until(lambda: host.client.host().degraded == 1, "the host counts it")
    put(host, "FAILING:SICK", False)
    until(lambda: not host.view("failing").degraded, "it is well again")


def test_enable_pauses_and_a_pause_makes_outputs_invalid(host: Started, watch: Watch) -> None:
    began = time.time()
    host.host.write("pva", f"{PREFIX}:FAILING:ENABLE", 0)
    host.reaches("failing", "PAUSED")
    seen(watch, "FAILING:LEVEL", 42.0, INVALID, began)
    host.host.write("ca", f"{PREFIX}:FAILING:ENABLE", 1)
    host.reaches("failing", "RUN")
    put(host, "FAILING:CLEAR", True)
    until(lambda: shown(host, "FAILING:CLEAR") is False, "CLEAR goes back")


def test_a_stall_is_an_alarm_and_ends_with_progress(host: Started, watch: Watch) -> None:
    name = f"{PREFIX}:HANGING:HEARTBEAT"
    began = time.time()
    watch.until(
        lambda: len({e["value"] for e in watch.of(name) if e["seen"] > began}) == 2, "its heart beats"
    )
    put(host, "HANGING:HANG", True)
    seen(watch, "HANGING:STATUS", STALLED, MAJOR, began)
    seen(watch, "HANGING:LEVEL", 42.0, INVALID, began)
    view = host.view("hanging")
    assert view.message.startswith("no progress for ")
    assert "hanging.py:" in view.message
    stalled = time.time()
    beats = [event for event in watch.of(name) if event["seen"] > stalled]
    put(host, "HANGING:HANG", False)
    host.reaches("hanging", "RUN")
    assert beats == []
    seen(watch, "HANGING:LEVEL", 42.0, 0, stalled)
    watch.until(
        lambda: len({e["value"] for e in watch.of(name) if e["seen"] > stalled}) == 2, "it beats again"
    )
    assert host.view("pressed").state == "RUN"


def test_a_thread_that_does_not_end_is_given_up_and_named(host: Started) -> None:
    put(host, "HANGING:HANG", True)
    host.reaches("hanging", "STALLED")
    host.client.tasks["hanging"].stop()
    assert host.view("hanging").state == "END"
    (where,) = host.client.show("hanging").abandoned
    assert "hanging.py:" in where
    done = host.iocmng("show", "hanging")
    assert where in done.stdout.replace("\n", "")
    put(host, "HANGING:HANG", False)
    until(lambda: not host.client.show("hanging").abandoned, "it has ended after all")
    host.client.tasks["hanging"].start()
    host.client.tasks["hanging"].reset()


PRESSING = """
import json, sys, threading, time
import epicscorelibs.path.pyepics, epics
from p4p.client.thread import Context

prefix = sys.argv[1]
context = Context("pva", nt=False)
counts, over = {}, {name: threading.Event() for name in ("first", "second", "third")}

def note(name):
    counts[name] = context.get(f"{prefix}:DONE", timeout=20)["value"]
    over[name].set()

def reaches(name, value):
    pv, there = epics.PV(f"{prefix}:{name}"), threading.Event()
    pv.wait_for_connection(20)
    pv.add_callback(lambda value=None, **_: there.set() if value == wanted else None)
    wanted = value
    if pv.get() == value:
        there.set()
    assert there.wait(20), name

run = epics.PV(f"{prefix}:RUN")
assert run.wait_for_connection(20)

def put(name):
    context.put(f"{prefix}:RUN", 1, wait=True, timeout=30)
    note(name)

threading.Thread(target=put, args=("first",), daemon=True).start()
reaches("BUSY", 1)
run.put(1, callback=lambda **_: threading.Thread(target=note, args=("second",)).start())
epics.ca.flush_io()
time.sleep(0.2)
threading.Thread(target=put, args=("third",), daemon=True).start()
time.sleep(0.2)
epics.caput(f"{prefix}:RUN", 1)
for name, event in over.items():
    assert event.wait(30), f"{name} is not over: {counts}"
print(json.dumps(counts))
sys.stdout.flush()
__import__("os")._exit(0)
"""


def test_a_put_of_run_is_over_when_its_run_is(host: Started, watch: Watch) -> None:
    before = int(str(shown(host, "PRESSED:DONE")))
    done = subprocess.run(
        [sys.executable, "-c", PRESSING, f"{PREFIX}:PRESSED"],
        env={**outside(), **host.host.env},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout)
    assert counts["first"] == before + 1
    assert counts["second"] == before + 2
    assert shown(host, "PRESSED:DONE") == before + 2
    until(lambda: shown(host, "PRESSED:RUN") is False, "RUN goes back")
    said = [str(event["value"]) for event in watch.of(f"{PREFIX}:PRESSED:MESSAGE", "pva")]
    assert "RUN put while it runs has no effect (1 so far)" in said
    assert any(text.startswith("RUN refused: ") for text in said)


def test_a_call_that_holds_python_is_noticed_by_epics(host: Started) -> None:
    alive = f"{PREFIX}:HOST:ALIVE"
    with watching(host.host.env, alive, f"{PREFIX}:FAILING:LEVEL") as watch:
        for provider in ("ca", "pva"):
            watch.until(lambda provider=provider: watch.of(alive, provider), f"ALIVE over {provider}")  # type: ignore[misc]
        began = time.time()
        host.client.tasks["holding"].trigger()
        for provider in ("ca", "pva"):
            watch.until(
                lambda provider=provider: any(  # type: ignore[misc]
                    event["value"] == 0 and event["severity"] == MAJOR and event["seen"] > began
                    for event in watch.of(alive, provider)
                ),
                f"ALIVE is MAJOR over {provider}",
            )
        watch.until(
            lambda: watch.of(alive, "ca")[-1]["value"] == 1 and watch.of(alive, "ca")[-1]["severity"] == 0,
            "ALIVE is good again",
        )
    host.reaches("failing", "RUN")
    # Its stall_after is a second: it must not be blamed for what another did to all.
    changes = [one for one in host.client.show("hanging").history if one.time > began]
    assert changes == []


def test_a_stall_can_end_the_host_with_75_and_its_reason(tmp_path: Path) -> None:
    config = HANGING_CONFIG.replace("stop_timeout: 0.3", "stop_timeout: 0.3, on_stall: exit")
    config = config.replace("HANG: {type: bool}", "HANG: {type: bool, value: true}")
    world = {**own_world(tmp_path), **write_plugins(tmp_path, {"hanging": (HANGING, config)})}
    done = ended(tmp_path, world, "--prefix", PREFIX)
    assert done.returncode == 75, done.stderr
    last = done.stderr.rstrip().splitlines()[-1]
    assert "hanging: no progress for" in last
    assert (tmp_path / "state" / "log" / "HOST.log").read_text().rstrip().splitlines()[-1] == last


def test_sigterm_ends_cooperative_tasks_within_three_seconds(tmp_path: Path) -> None:
    plugins = {"one": (PLAIN, ""), "two": (PLAIN, "supervision: {depends_on: [one]}\n")}
    plugins["pressed"] = PLUGINS["pressed"]
    world = {**own_world(tmp_path), **write_plugins(tmp_path, plugins)}
    with started(tmp_path, PREFIX, env=world) as host:
        for name in plugins:
            host.reaches(name, "RUN")
        host.client.tasks["pressed"].trigger()
        began = time.monotonic()
        host.host.process.send_signal(signal.SIGTERM)
        assert host.host.process.wait(20) == 0
        assert time.monotonic() - began < 3.0
        stops = [line for line in host.host.lines.seen if "-> END" in line]
        assert [name for line in stops for name in ("one", "two") if f"[{name}]" in line] == ["two", "one"]
