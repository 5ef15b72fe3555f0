"""Plugins come and go in one running host: what clients, instances and the disk have of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.started import Started, started, until, write_plugins
from support.wheels import wheel

from iocmng.wire import InstallRequest, InstallVerb, OperationState, OperationView, SourceRequest, Step

STAYS = """
from iocmng import TaskBase

class Stays(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count)
"""
CONFIG = """
parameters: {{interval: 0.1}}
arguments:
  inputs: {{LIMIT: {{type: float, value: 1.0, unit: {unit}}}}}
  outputs: {{COUNT: {{type: int}}{more}}}
"""
CODE = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def initialize(self):
        self.number = 0

    def execute(self):
        self.number += 1
        if {fails} and self.number > 2:
            raise ValueError("it cannot go on")
        self.set_pv("COUNT", {says})
"""


@dataclass
class House:
    """A host with one task that stays, and an index."""

    started: Started
    index: Path

    def package(
        self,
        version: str,
        says: int,
        *,
        unit: str = "V",
        more: str = "",
        fails: bool = False,
        name: str = "acme-beam",
    ) -> None:
        """Put a version of a package into the index."""
        package = name.replace("-", "_")
        wheel(
            self.index,
            name,
            version,
            plugin=name.removeprefix("acme-"),
            files={
                f"{package}/plugin.py": CODE.format(says=says, fails=fails),
                f"{package}/config.yaml": CONFIG.format(unit=unit, more=more),
            },
        )

    def install(self, *requirements: str, **more: bool) -> OperationView:
        return self.started.client.install(*requirements, wait=60.0, **more)  # type: ignore[arg-type]

    def value(self, instance: str, wanted: int, port: str = "COUNT") -> None:
        self.started.host.read("pva", f"INST:{instance.upper()}:{port}", wanted)

    def instances(self) -> dict[str, str]:
        return {one.name: one.state for one in self.started.client.list()}

    @property
    def current(self) -> int:
        file = self.started.state_dir / "generations" / "current.json"
        return int(json.loads(file.read_text())["current"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("installs")
    index = home / "index"
    index.mkdir()
    site = home / "site.yaml"
    site.write_text(
        f"exclude: [host-monitor, disk-probe]\ninstall: {{index: {index}, confirm_for: 0.3}}\nspares: {{instances: 6}}\n"
    )
    env = write_plugins(home / "plugins", {"stays": (STAYS, CONFIG.format(unit="V", more=""))})
    with started(home, "INST", env={**env, "IOCMNG_CONFIG": str(site)}) as run:
        run.reaches("stays", "RUN")
        yield House(run, index)


@pytest.fixture(autouse=True)
def undisturbed(house: House) -> Iterator[None]:
    """Whatever a test does: the task that stays never restarts, goes on, and is the only one left."""
    before = house.started.view("stays")
    for old in house.index.iterdir():
        old.unlink()
    yield
    after = house.started.view("stays")
    assert (after.state, after.restarts) == ("RUN", before.restarts)
    assert after.uptime > before.uptime
    assert after.cycles > before.cycles
    for view in house.started.client.list():
        if view.name not in ("stays",):
            house.started.client.uninstall(view.distribution, wait=60.0)
    assert house.instances() == {"stays": "RUN"}


def done(operation: OperationView) -> OperationView:
    assert operation.state is OperationState.DONE, (
        f"{operation.failed_step}: {operation.message} ({operation.hint})"
    )
    return operation


def test_a_package_comes_is_upgraded_and_goes(house: House) -> None:
    house.package("1.0", 11)
    operation = done(house.install("acme-beam"))
    assert [one.state for one in operation.steps] == ["done"] * len(Step)
    assert operation.plan is not None
    assert [(one.name, one.before, one.after) for one in operation.plan.distributions] == [
        ("acme-beam", "", "1.0")
    ]
    assert {pv.change for pv in operation.plan.pvs} == {"added"}
    view = house.started.reaches("beam", "RUN")
    assert (view.version, view.generation, view.origin) == ("1.0", operation.generation, "index")
    house.value("beam", 11)
    house.started.host.write("ca", "INST:BEAM:LIMIT", 7.5)

    house.package("2.0", 22, unit="kV", more=", EXTRA: {type: float, value: 3.0}")
    operation = done(house.started.client.upgrade("acme-beam", wait=60.0))
    assert operation.plan is not None
    assert {(pv.name, pv.change) for pv in operation.plan.pvs if pv.change == "added"} == {
        ("INST:BEAM:EXTRA", "added")
    }
    assert any(pv.name == "INST:BEAM:LIMIT" and pv.change == "changed" for pv in operation.plan.pvs)
    assert not any(pv.reconnect for pv in operation.plan.pvs)
    house.value("beam", 22)
    house.value("beam", 3, "EXTRA")
    assert house.started.client.pv("INST:BEAM:LIMIT").value == 7.5

    assert done(house.started.client.rollback(wait=60.0)).generation == house.current
    house.value("beam", 11)
    done(house.started.client.uninstall("beam", wait=60.0))
    assert house.instances() == {"stays": "RUN"}


def test_a_version_that_fails_is_taken_back_with_its_reason(house: House) -> None:
    house.package("1.0", 11)
    done(house.install("acme-beam"))
    before = house.current
    house.package("3.0", 33, fails=True)
    operation = house.started.client.upgrade("acme-beam", wait=60.0)
    assert operation.state is OperationState.ROLLED_BACK, operation.message
    assert operation.failed_step is Step.CONFIRM
    assert "it cannot go on" in operation.message
    assert house.current == before
    house.value("beam", 11)
    assert house.started.view("beam").version == "1.0"


def test_a_plan_changes_nothing(house: House) -> None:
    house.package("1.0", 11)
    numbers = [one.number for one in house.started.client.generations()]
    operation = house.started.client.plan("acme-beam", wait=60.0)
    assert operation.state is OperationState.DONE
    assert operation.plan is not None
    assert operation.plan.hot
    assert [one.name for one in operation.plan.instances] == ["beam"]
    assert "INST:BEAM:COUNT" in {pv.name for pv in operation.plan.pvs}
    assert house.instances() == {"stays": "RUN"}
    assert [one.number for one in house.started.client.generations()] == numbers


def test_another_record_type_makes_clients_connect_anew_only_when_accepted(house: House) -> None:
    house.package("1.0", 11)
    done(house.install("acme-beam"))
    package = "acme_beam"
    wheel(
        house.index,
        "acme-beam",
        "5.0",
        plugin="beam",
        files={
            f"{package}/plugin.py": CODE.format(says="float(55)", fails=False),
            f"{package}/config.yaml": CONFIG.format(unit="V", more="").replace("type: int", "type: float"),
        },
    )
    operation = house.started.client.upgrade("acme-beam", wait=60.0)
    assert (operation.state, operation.code) == (OperationState.REFUSED, "reconnect")
    assert "INST:BEAM:COUNT" in operation.message
    house.value("beam", 11)
    operation = house.started.client.upgrade("acme-beam", accept_reconnect=True, wait=60.0)
    assert done(operation).plan is not None
    house.started.host.read("ca", "INST:BEAM:COUNT", 55.0)


def test_a_directory_is_fetched_again(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "here.py").write_text(STAYS.replace("Stays", "Here").replace("self.cycle_count", "1"))
    (folder / "config.yaml").write_text(CONFIG.format(unit="V", more=""))
    source = SourceRequest(name="here", local_path=str(folder), parameters={"interval": 0.2})
    done(house.started.client.install(source=source, wait=60.0))
    house.value("here", 1)
    (folder / "here.py").write_text(STAYS.replace("Stays", "Here").replace("self.cycle_count", "2"))
    request = InstallRequest(verb=InstallVerb.FETCH, requirements=("here",))
    done(house.started.client.begin(request, wait=60.0))
    house.value("here", 2)
    again = house.started.client.begin(request, wait=60.0)
    assert done(again).generation is None
    assert again.plan is not None
    assert again.plan.empty
