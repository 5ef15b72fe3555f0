"""heartbeat_link: another IOC sees the beats while the instance works, and its death is shown and costs nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from environments import Environment
from hosts import RunningHost, own_world, running
from support.other_ioc import OtherIoc
from support.plugins import Package, plugin_environment

from iocmng.client import Client

PREFIX = "HBLINK"
CODE = """
import time
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        while self.get_pv("HANG"):
            time.sleep(0.02)
        self.set_pv("COUNT", self.cycle_count)
"""
CONFIG = """
parameters: {interval: 0.1%s}
arguments:
  inputs: {HANG: {type: bool, value: false}}
  outputs: {COUNT: {type: int}}
supervision: {heartbeat_link: '%s', stall_after: 1.0}
"""
LINKS = {
    "caside": "ca://OTHER:CASIDE",
    "pvaside": "pva://OTHER:PVASIDE",
    "plain": "OTHER:PLAIN",
    "locked": "pva://OTHER:LOCKED",
    "nowhere": "ca://OTHER:NOWHERE",
}
BEATING = ("caside", "pvaside", "plain")


def until(seen: Callable[[], bool], what: str, deadline: float = 60.0) -> None:
    end = time.monotonic() + deadline
    while not seen():
        assert time.monotonic() < end, what
        time.sleep(0.05)


class Targets(OtherIoc):
    """The IOC of the targets."""

    def count(self, name: str) -> int:
        return len(self.changes[name.upper()])

    def more(self, names: tuple[str, ...] | list[str], beats: int = 3) -> None:
        """Wait until each of them has got so many more."""
        before = {name: self.count(name) for name in names}
        until(
            lambda: all(self.count(name) >= before[name] + beats for name in names),
            f"beats of {names}; had {before}, got {self.changes}",
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHost, Targets]]:
    folder = tmp_path_factory.mktemp("heartbeats")
    packages = [
        Package(name, code=CODE, config=CONFIG % (", pva: false" if name == "plain" else "", link))
        for name, link in LINKS.items()
    ]
    python = plugin_environment(folder, packages)
    argv = [str(python), "-m", "iocmng_cli", "run", "--prefix", PREFIX]
    with (
        Targets(folder, *(name.upper() for name in BEATING)) as other,
        running(
            Environment(python.parent.parent), folder, argv=argv, env=other.reach(own_world(folder))
        ) as host,
    ):
        yield host, other
        assert host.stop() == 0
        assert "Traceback" not in host.output


@pytest.fixture
def host(world: tuple[RunningHost, Targets]) -> RunningHost:
    return world[0]


@pytest.fixture
def other(world: tuple[RunningHost, Targets]) -> Targets:
    return world[1]


@pytest.fixture
def client(host: RunningHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("IOCMNG_STATE_DIR", host.env["IOCMNG_STATE_DIR"])
    with Client(host.url) as client:
        until(lambda: all(one.state == "RUN" for one in client.list()), "everything runs")
        until(lambda: not any(health(client, name) for name in BEATING), "every target answers")
        yield client


def health(client: Client, name: str) -> str:
    return client.show(name).health


def state(client: Client, name: str) -> str:
    return client.show(name).view.state


def test_beats_arrive_over_ca_and_pva_and_alternate(client: Client, other: Targets) -> None:
    other.more(list(BEATING))
    for name in BEATING:
        seen = other.changes[name.upper()][-3:]
        assert seen in ([0, 1, 0], [1, 0, 1]), name


def test_the_beats_stop_with_a_stall_a_pause_and_a_stop(
    host: RunningHost, client: Client, other: Targets
) -> None:
    def passed(seconds: float) -> None:
        since = client.host().uptime
        until(lambda: client.host().uptime > since + seconds, "time passes")

    host.write("ca", f"{PREFIX}:CASIDE:HANG", 1)
    client.tasks["pvaside"].pause()
    client.tasks["plain"].stop()
    halted = {"caside": "STALLED", "pvaside": "PAUSED", "plain": "END"}
    until(lambda: {name: state(client, name) for name in BEATING} == halted, f"{halted}")
    passed(1.2)
    stand = {name: other.count(name) for name in BEATING}
    passed(2.5)
    assert {name: other.count(name) for name in BEATING} == stand
    host.write("ca", f"{PREFIX}:CASIDE:HANG", 0)
    client.tasks["pvaside"].resume()
    client.tasks["plain"].start()
    other.more(list(BEATING), 2)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("locked", "pva://OTHER:LOCKED stays at 0 (heartbeat_link): it refuses the writes of this host"),
        ("nowhere", "ca://OTHER:NOWHERE does not answer (heartbeat_link)"),
    ],
)
def test_a_target_that_takes_no_beats_degrades_and_costs_nothing(
    name: str, says: str, client: Client, host: RunningHost
) -> None:
    until(lambda: says in health(client, name), f"{name} says so, it says {health(client, name)!r}")
    before = client.show(name).view.cycles
    assert state(client, name) == "RUN"
    until(lambda: client.show(name).view.cycles > before + 5, "its cycles rise")
    assert client.show(name).view.degraded
    assert host.read("pva", f"{PREFIX}:{name.upper()}:DEGRADED", wanted=1) == 1


def test_a_target_that_dies_is_shown_and_beaten_again_when_it_is_back(
    host: RunningHost, client: Client, other: Targets
) -> None:
    other.more(list(BEATING), 1)
    other.kill()
    for name in BEATING:
        until(
            lambda name=name: f"OTHER:{name.upper()} does not answer" in health(client, name),  # type: ignore[misc]
            f"{name} is degraded",
        )
    before = {name: client.show(name).view.cycles for name in LINKS}
    until(
        lambda: all(client.show(name).view.cycles > before[name] + 10 for name in LINKS),
        "everything goes on",
    )
    assert {state(client, name) for name in LINKS} == {"RUN"}
    assert host.read("ca", f"{PREFIX}:HOST:ALIVE", wanted=1.0) == 1.0
    other.start()
    other.more(list(BEATING), 2)
    until(lambda: not any(health(client, name) for name in BEATING), "nothing is degraded any more")
