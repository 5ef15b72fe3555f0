"""The example host-monitor as its users meet it: installed with pip, served, read by clients elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
from environments import ROOT, Environment, layered
from hosts import RunningHost, running

EXAMPLE = ROOT / "examples" / "host-monitor"
MONITOR, PROBE = "EXAMPLE:HOST-MONITOR", "EXAMPLE:DISK-PROBE"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = layered(tmp_path_factory.mktemp("env") / "venv")
    made.install("--no-deps", EXAMPLE)
    return made


@pytest.fixture(scope="module")
def host(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHost]:
    with running(environment, tmp_path_factory.mktemp("host"), "--prefix", "EXAMPLE") as host:
        yield host


def test_its_own_tests_pass(environment: Environment) -> None:
    done = environment.run("python", "-B", "-m", "pytest", "-p", "no:cacheprovider", cwd=EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("what", [str(EXAMPLE), "host-monitor", "disk-probe"])
def test_it_validates_clean(environment: Environment, what: str) -> None:
    done = environment.run("iocmng", "validate", what)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout


@pytest.mark.parametrize("provider", ["ca", "pva"])
def test_clients_read_what_the_machine_says(host: RunningHost, provider: str) -> None:
    assert host.read(provider, f"{MONITOR}:CPU_COUNT") == psutil.cpu_count()
    assert 0 < host.read(provider, f"{MONITOR}:MEMORY") <= 100
    assert 0 < host.read(provider, f"{MONITOR}:DISK") <= 100


def test_network_rates_are_an_array_with_names(host: RunningHost) -> None:
    names = host.read("pva", f"{MONITOR}:NET_NAMES").split("\n")
    rates = host.read("ca", f"{MONITOR}:NET_IN")
    named = {name for name in psutil.net_io_counters(pernic=True) if not name.startswith(("lo", "veth"))}
    if not named:
        pytest.skip("this machine has no network interface but lo")
    assert len(rates if isinstance(rates, list) else [rates]) == len(names)
    assert set(names) <= named


def test_a_put_to_run_with_callback_times_a_write(host: RunningHost) -> None:
    host.write("ca", f"{PROBE}:SIZE", 2)
    host.write("pva", f"{PROBE}:RUN", 1)
    assert host.read("pva", f"{PROBE}:WRITE_TIME") > 0
    assert host.read("ca", f"{PROBE}:WRITE_RATE") > 0
    assert host.read("ca", f"{PROBE}:SIZE") == 2


def test_the_size_is_clamped(host: RunningHost) -> None:
    host.write("pva", f"{PROBE}:SIZE", 100_000)
    assert host.read("ca", f"{PROBE}:SIZE") == 1024
    host.write("ca", f"{PROBE}:SIZE", 1)


def test_a_limit_written_by_an_operator_raises_an_alarm(host: RunningHost) -> None:
    host.write("ca", f"{MONITOR}:DISK_LIMIT", 100_000.0)
    assert host.read("pva", f"{MONITOR}:DISK_LOW", wanted=1) == 1
    host.write("pva", f"{MONITOR}:DISK_LIMIT", 0.0)
    assert host.read("ca", f"{MONITOR}:DISK_LOW", wanted=0) == 0
