"""The examples as their users meet them: installed with pip, served together, read by clients elsewhere."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from environments import ROOT, Environment, layered, outside
from hosts import RunningHost, own_world, running
from p4p.client.thread import Context

EXAMPLES = {name: ROOT / "examples" / name for name in ("host-monitor", "beam-interlock", "script-runner")}
PLUGINS = ("host-monitor", "disk-probe", "beam-interlock", "band-tuner", "script-runner")
MONITOR, PROBE, INTERLOCK = "DEMO:HOST-MONITOR", "DEMO:DISK-PROBE", "DEMO:INTERLOCK"
DEADLINE = 30.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = layered(tmp_path_factory.mktemp("env") / "venv")
    made.install("--no-deps", *EXAMPLES.values())
    return made


@contextmanager
def ring(environment: Environment, world: dict[str, str]) -> Iterator[None]:
    """The simulated accelerator of the interlock, in a process of its own."""
    process = subprocess.Popen(
        [environment.program("beam-simulation")],
        env={**outside(), **world},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    """Environments of the host and of the simulation, in which they and their clients find each other."""
    host, simulation = (own_world(tmp_path_factory.mktemp("world")) for _ in range(2))
    reached = {key: f"{host[key]} {simulation[key]}" for key in ("EPICS_CA_ADDR_LIST", "EPICS_PVA_ADDR_LIST")}
    return {**host, **reached}, simulation


@pytest.fixture(scope="module")
def host(
    environment: Environment,
    world: tuple[dict[str, str], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningHost]:
    with (
        ring(environment, world[1]),
        running(environment, tmp_path_factory.mktemp("host"), "--prefix", "DEMO", env=world[0]) as host,
    ):
        yield host


class Operator:
    """Reads and writes PVs of the host and of the simulation."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def read(self, name: str) -> Any:
        found = self._context.get(name, timeout=DEADLINE)["value"]
        return found["index"] if hasattr(found, "keys") else found

    def put(self, name: str, value: Any) -> None:
        self._context.put(name, value, timeout=DEADLINE)

    def sees(self, name: str, wanted: Callable[[Any], bool]) -> Any:
        """Wait until a PV has a value that is wanted."""
        end = time.monotonic() + DEADLINE
        while not wanted(value := self.read(name)):
            assert time.monotonic() < end, f"{name} is still {value!r}"
            time.sleep(0.05)
        return value


@pytest.fixture(scope="module")
def operator(host: RunningHost) -> Iterator[Operator]:
    kept = {key: value for key, value in host.env.items() if key.startswith("EPICS_PVA_")}
    with Context("pva", conf=kept, useenv=False, nt=False) as context:
        yield Operator(context)


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_own_tests_pass(environment: Environment, name: str) -> None:
    done = environment.run("python", "-B", "-m", "pytest", "-p", "no:cacheprovider", cwd=EXAMPLES[name])
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_validate_clean_as_directories_and_installed(environment: Environment) -> None:
    done = environment.run("iocmng", "validate", *EXAMPLES.values(), *PLUGINS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [
        line for line in done.stdout.splitlines() if not re.search(r": \d plugins?, \d+ PVs$", line)
    ] == []


def test_clients_read_what_the_machine_says(host: RunningHost, operator: Operator) -> None:
    assert host.read("ca", f"{MONITOR}:CPU_COUNT") == psutil.cpu_count()
    assert host.read("pva", f"{MONITOR}:CPU_COUNT") == psutil.cpu_count()
    for name in ("MEMORY", "DISK"):
        assert 0 < operator.read(f"{MONITOR}:{name}") <= 100


def test_network_rates_are_an_array_with_names(host: RunningHost, operator: Operator) -> None:
    names = operator.sees(f"{MONITOR}:NET_NAMES", bool).split("\n")
    rates = host.read("ca", f"{MONITOR}:NET_IN")
    named = {name for name in psutil.net_io_counters(pernic=True) if not name.startswith(("lo", "veth"))}
    if not named:
        pytest.skip("this machine has no network interface but lo")
    assert len(rates if isinstance(rates, list) else [rates]) == len(names)
    assert set(names) <= named


def test_a_put_to_run_with_callback_times_a_write(host: RunningHost, operator: Operator) -> None:
    operator.put(f"{PROBE}:SIZE", 2)
    host.write("ca", f"{PROBE}:RUN", 1)
    assert operator.read(f"{PROBE}:WRITE_TIME") > 0
    assert operator.read(f"{PROBE}:WRITE_RATE") > 0
    assert operator.read(f"{PROBE}:SIZE") == 2


def test_the_size_is_clamped(operator: Operator) -> None:
    operator.put(f"{PROBE}:SIZE", 100_000)
    assert operator.read(f"{PROBE}:SIZE") == 1024
    operator.put(f"{PROBE}:SIZE", 1)


def test_a_limit_written_by_an_operator_raises_an_alarm(operator: Operator) -> None:
    operator.put(f"{MONITOR}:DISK_LIMIT", 100_000.0)
    operator.sees(f"{MONITOR}:DISK_LOW", bool)
    operator.put(f"{MONITOR}:DISK_LIMIT", 0.0)
    operator.sees(f"{MONITOR}:DISK_LOW", lambda low: not low)


def test_a_leak_takes_the_beam_away_until_an_operator_clears_it(operator: Operator) -> None:
    operator.sees("SIM:PERMIT", bool)
    operator.sees("SIM:BEAM:CURRENT", lambda current: current > 1.0)
    free = operator.sees(f"{INTERLOCK}:DISK_FREE", lambda free: free > 0)
    assert free == pytest.approx(operator.read(f"{MONITOR}:DISK_FREE"), rel=0.1)

    operator.put("SIM:FAULT:VACUUM", 1)
    operator.sees("SIM:PERMIT", lambda given: not given)
    operator.sees("SIM:BEAM:CURRENT", lambda current: current < 1.0)
    for blade in ("VALVE", "SHUTTER"):
        operator.sees(f"SIM:{blade}:POS", lambda position: position == 0)
    assert operator.read(f"{INTERLOCK}:TRIP_FIRST") == "vacuum"
    assert operator.read(f"{INTERLOCK}:LAST_TRIP").endswith("vacuum is bad, shutter and valve are closed")

    operator.put(f"{INTERLOCK}:CLEAR", 1)
    operator.sees(f"{INTERLOCK}:CLEAR", lambda clear: not clear)
    assert not operator.read(f"{INTERLOCK}:PERMIT"), "the cause is still there"

    operator.put("SIM:FAULT:VACUUM", 0)
    operator.sees(f"{INTERLOCK}:VACUUM", lambda tripped: not tripped)
    assert not operator.read("SIM:PERMIT"), "nobody has cleared it"

    operator.put(f"{INTERLOCK}:CLEAR", 1)
    operator.sees("SIM:PERMIT", bool)
    operator.put("SIM:VALVE:CMD", 1)
    operator.sees("SIM:BEAM:CURRENT", lambda current: current > 1.0)
