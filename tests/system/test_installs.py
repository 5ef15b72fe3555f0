"""Plugins come and go in one running host: what clients, instances and the disk have of it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.started import Started, started, until, write_plugins
from support.wheels import wheel

from iocmng.errors import NotFound, Refused
from iocmng.wire import InstallRequest, InstallVerb, OperationState, OperationView, SourceRequest, Step

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin-directory"
STAYING = ("stays", "follows")
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
FOLLOWS = """
parameters: {mode: reactive}
arguments:
  inputs: {COUNT: {type: int, link: "ca://INST:BEAM:COUNT", trigger: true}}
  outputs: {TWICE: {type: int}}
transforms: [{output: TWICE, expression: COUNT * 2}]
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
    base: Path

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

    def twice(self) -> tuple[object, str]:
        pv = self.started.client.pv("INST:FOLLOWS:TWICE")
        return pv.value, pv.severity

    def interval(self, instance: str) -> tuple[object, str]:
        (found,) = (one for one in self.started.client.show(instance).parameters if one.name == "interval")
        return found.value, found.origin

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
        "exclude: [host-monitor, disk-probe]\nspares: {instances: 6}\n"
        f"install: {{index: {index}, confirm_for: 0.3}}\n"
    )
    plugins = {"stays": (STAYS, CONFIG.format(unit="V", more="")), "follows": ("", FOLLOWS)}
    env = write_plugins(home / "plugins", plugins)
    base = home / "base"
    base.mkdir()
    env |= {"IOCMNG_CONFIG": str(site), "PYTHONPATH": os.pathsep.join([str(base), *sys.path])}
    with started(home, "INST", env=env) as run:
        for name in plugins:
            run.reaches(name, "RUN")
        yield House(run, index, base)


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
    come = {view.distribution for view in house.started.client.list() if view.name not in STAYING}
    for distribution in come - {"acme-base"}:
        done(house.started.client.uninstall(distribution, wait=60.0))
    assert house.instances().keys() - {"base"} == set(STAYING)


def done(operation: OperationView) -> OperationView:
    assert operation.state is OperationState.DONE, (
        f"{operation.failed_step}: {operation.message} ({operation.hint})"
    )
    return operation


def test_the_life_of_a_package(house: House) -> None:
    """One test for what follows upon each other: every operation costs a second."""
    house.package("1.0", 11)
    planning_changes_nothing(house)
    coming(house)
    house.package("2.0", 22, unit="kV", more=", EXTRA: {type: float, value: 3.0}")
    upgrade_and_back(house)
    house.package("3.0", 33, fails=True)
    taken_back_with_its_reason(house)
    (house.index / "acme_beam-3.0-py3-none-any.whl").unlink()
    another_record_type_only_when_accepted(house)
    done(house.started.client.uninstall("beam", wait=60.0))
    assert "beam" not in house.instances()
    until(lambda: house.twice()[1] == "INVALID", "what hangs on a PV that is gone is INVALID")


def planning_changes_nothing(house: House) -> None:
    numbers = [one.number for one in house.started.client.generations()]
    operation = house.started.client.plan("acme-beam", wait=60.0)
    assert operation.state is OperationState.DONE
    assert operation.plan is not None
    assert operation.plan.hot
    assert [one.name for one in operation.plan.instances] == ["beam"]
    assert "INST:BEAM:COUNT" in {pv.name for pv in operation.plan.pvs}
    assert "beam" not in house.instances()
    assert [one.number for one in house.started.client.generations()] == numbers


def coming(house: House) -> None:
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
    until(lambda: house.twice() == (22, "NO_ALARM"), "links of others find the PV that came")
    house.started.host.write("ca", "INST:BEAM:LIMIT", 7.5)


def upgrade_and_back(house: House) -> None:
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
    until(lambda: house.twice() == (44, "NO_ALARM"), "links of others follow through an upgrade")
    again = done(house.started.client.upgrade("beam", wait=60.0))
    assert (again.message, again.generation) == ("already the newest: acme-beam 2.0", None)
    assert done(house.started.client.rollback(wait=60.0)).generation == house.current
    house.value("beam", 11)


def taken_back_with_its_reason(house: House) -> None:
    before = house.current
    operation = house.started.client.upgrade("acme-beam", wait=60.0)
    assert operation.state is OperationState.ROLLED_BACK, operation.message
    assert operation.failed_step is Step.CONFIRM
    assert "it cannot go on" in operation.message
    assert house.current == before
    house.value("beam", 11)
    assert house.started.view("beam").version == "1.0"


def another_record_type_only_when_accepted(house: House) -> None:
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


def test_the_example_of_a_directory_is_installed_and_fetched_again(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "chiller"
    shutil.copytree(EXAMPLE, folder)
    source = SourceRequest(name="chiller", local_path=str(folder), parameters={"interval": 0.2})
    done(house.started.client.install(source=source, wait=60.0))
    assert house.started.host.read("ca", "INST:CHILLER:COOLING", 1) == 1
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("value: 285.0", "value: 297.0"))
    request = InstallRequest(verb=InstallVerb.FETCH, requirements=("chiller",))
    done(house.started.client.begin(request, wait=60.0))
    house.started.host.write("pva", "INST:CHILLER:SETPOINT", 297.0)
    assert house.started.host.read("ca", "INST:CHILLER:COOLING", 0) == 0
    again = house.started.client.begin(request, wait=60.0)
    assert done(again).generation is None
    assert again.plan is not None
    assert again.plan.empty
    other = replace(source, parameters={"interval": 0.5})
    assert [
        one.change for one in done(house.started.client.install(source=other, wait=60.0)).plan.instances
    ] == [  # type: ignore[union-attr]
        "changed"
    ]
    assert house.interval("chiller") == (0.5, "request")


def test_another_instance_of_a_plugin_is_kept_until_it_is_deleted(house: House) -> None:
    house.package("1.0", 11)
    done(house.install("acme-beam"))
    added = house.started.client.add_instance("beam", "beam-two", parameters={"interval": 0.2}, wait=60.0)
    assert [one.name for one in done(added).plan.instances] == ["beam-two"]  # type: ignore[union-attr]
    house.value("beam-two", 11)
    kept = json.loads((house.started.state_dir / "instances.json").read_text())["instances"]
    assert [one["name"] for one in kept] == ["beam-two"]
    with pytest.raises(Refused, match="there is an instance 'beam-two' already"):
        house.started.client.add_instance("beam", "beam-two")
    disabled = done(house.started.client.remove("beam", wait=60.0))
    assert "is also used by beam-two" in disabled.message
    assert not house.started.view("beam").enabled
    done(house.started.client.remove("beam-two", wait=60.0))
    with pytest.raises(NotFound):
        house.started.view("beam-two")
    done(house.started.client.remove("beam", wait=60.0))
    assert house.instances().keys() - {"base"} == set(STAYING)


def test_what_pip_put_into_the_base_is_started_by_a_rescan(house: House) -> None:
    made = wheel(house.base.parent / "made", "acme-base", "1.0", plugin="base")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(house.base)
    found = house.started.client.rescan()
    assert (found["added"], found["started"], found["restart_required"]) == (["base"], ["base"], False)
    view = house.started.reaches("base", "RUN")
    assert (view.generation, view.origin) == (None, "base")
    refused = house.started.client.uninstall("base", wait=60.0)
    assert refused.state is OperationState.REFUSED
    assert "installed by pip in the base" in refused.message
    house.package("9.9", 1, name="acme-base")
    refused = house.started.client.upgrade("acme-base", wait=60.0)
    assert (refused.state, refused.failed_step) == (OperationState.REFUSED, Step.PLAN)


def test_what_does_not_end_goes_on_after_the_refusal(house: House, tmp_path: Path) -> None:
    stuck = tmp_path / "stuck"
    waits = f"""
import pathlib, time
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("COUNT", 11)
        while pathlib.Path({str(stuck)!r}).exists():
            time.sleep(0.02)
"""
    files = {
        "acme_beam/plugin.py": waits,
        "acme_beam/config.yaml": CONFIG.format(unit="V", more="") + "supervision: {stop_timeout: 0.2}\n",
    }
    wheel(house.index, "acme-beam", "1.0", plugin="beam", files=files)
    done(house.install("acme-beam"))
    stuck.touch()
    house.package("2.0", 22)
    operation = house.started.client.upgrade("acme-beam", wait=60.0)
    stuck.unlink()
    assert (operation.state, operation.code) == (OperationState.REFUSED, "still-running"), operation.message
    assert house.started.reaches("beam", "RUN").version == "1.0"
    house.value("beam", 11)


def test_a_disk_that_was_full_in_the_end_leaves_nothing_for_the_next_start(
    house: House, tmp_path: Path
) -> None:
    house.package("1.0", 11)
    done(house.install("acme-beam"))
    before = house.current
    go = tmp_path / "go"
    waits = f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)"
    code = CODE.format(says=22, fails=False).replace("self.number = 0", f"self.number = 0\n        {waits}")
    files = {
        "acme_beam/plugin.py": f"import pathlib, time\n{code}",
        "acme_beam/config.yaml": CONFIG.format(unit="V", more=""),
    }
    wheel(house.index, "acme-beam", "2.0", plugin="beam", files=files)
    begun = house.started.client.upgrade("acme-beam", wait=0.0).id
    until(
        lambda: any(
            (one.step, one.state) == (Step.CONFIRM, "running")
            for one in house.started.client.operation(begun).steps
        ),
        "it is to be confirmed",
    )
    pid, unlimited = house.started.host.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    try:
        go.touch()
        operation = house.started.client.operation(begun, wait=60.0)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
    assert (operation.state, operation.failed_step) == (OperationState.FAILED, Step.CONFIRM)
    assert "File too large" in operation.message
    house.value("beam", 11)
    assert done(house.started.client.upgrade("acme-beam", wait=60.0)).generation == house.current
    assert house.current > before


def test_a_plan_names_who_depends_on_what_goes(house: House) -> None:
    house.package("1.0", 11)
    code = CODE.format(says=1, fails=False)
    config = CONFIG.format(unit="V", more="") + "supervision: {depends_on: [beam]}\n"
    files = {"acme_later/plugin.py": code, "acme_later/config.yaml": config}
    wheel(house.index, "acme-later", "1.0", plugin="later", files=files)
    done(house.install("acme-beam", "acme-later"))
    operation = done(house.started.client.uninstall("acme-beam", wait=60.0))
    assert operation.plan is not None
    assert ["later depends on 'beam', which goes" in one.message for one in operation.plan.findings] == [True]
