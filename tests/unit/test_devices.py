"""Devices: what a beamline file describes, what a task is given, and what it is told when there is none."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from iocmng import JobBase, TaskBase
from iocmng.base import devices
from iocmng.base.beamline import describe_devices
from iocmng.base.devices import DevicesUnavailable
from iocmng.config import parse_config
from iocmng.spec import Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.testing import run_job
from iocmng.testing.kit import TaskUnderTest

BEAMLINE: dict[str, Any] = {
    "iocDefaults": {"motor": {"devgroup": "mot", "devtype": "tml", "opt": {"a": 1, "b": 2}}},
    "epicsConfiguration": {
        "iocs": [
            {
                "name": "tml-ch1",
                "template": "motor",
                "iocprefix": "SPARC:MOT",
                "iocroot": "TML",
                "opt": {"b": 3},
                "devices": [{"name": "GUNFLG01", "poi": [1]}, {"name": "AC1FLG01"}, {"no": "name"}],
            },
            {
                "name": "tml-ch2",
                "template": "motor",
                "iocprefix": "LEL:MOT",
                "devices": [{"name": "GUNFLG01"}],
            },
            {"name": "pump", "devgroup": "vac", "devtype": "ipcmini", "iocprefix": "SPARC:VAC:P1"},
            {"name": "old", "template": "motor", "disable": True},
            {"name": "camera", "devtype": "cam"},
            {"devgroup": "mot"},
            "not a mapping",
        ]
    },
}


def test_a_beamline_file_describes_devices_with_their_defaults() -> None:
    found = describe_devices(BEAMLINE)
    assert {key: (one.name, one.devgroup, one.devtype, one.prefix) for key, one in found.items()} == {
        "GUNFLG01": ("GUNFLG01", "mot", "tml", "SPARC:MOT:TML:GUNFLG01"),
        "AC1FLG01": ("AC1FLG01", "mot", "tml", "SPARC:MOT:TML:AC1FLG01"),
        "tml-ch2_GUNFLG01": ("GUNFLG01", "mot", "tml", "LEL:MOT:GUNFLG01"),
        "pump": ("pump", "vac", "ipcmini", "SPARC:VAC:P1"),
    }
    config = found["GUNFLG01"].config
    assert config["opt"] == {"a": 1, "b": 3}
    assert (config["iocname"], config["poi"], config["name"]) == ("tml-ch1", [1], "GUNFLG01")


@pytest.mark.parametrize(
    "beamline",
    [{}, {"epicsConfiguration": None}, {"epicsConfiguration": {"iocs": {}}}, {"iocDefaults": [], "x": 1}],
)
def test_a_file_without_devices_describes_none(beamline: dict[str, Any]) -> None:
    assert describe_devices(beamline) == {}


class Factory:
    """Stands for the factory of the extra: makes texts, none of unknown types, and fails on request."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def create_device(
        self, devgroup: str, devtype: str, prefix: str, name: str, config: dict[str, Any] | None = None
    ) -> Any:
        if devtype == "ipcmini":
            raise ConnectionError("no answer from the pump")
        if devgroup != "mot":
            return None
        self.made.append(name)
        return {"prefix": prefix, "name": name, "config": config}


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Factory:
    made = Factory()
    monkeypatch.setattr(devices, "device_factory", lambda: made)
    monkeypatch.setattr(devices, "_shared", devices._Shared())
    return made


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "infn_ophyd_hal", None)
    devices.device_factory.cache_clear()
    yield
    devices.device_factory.cache_clear()


def given(work: Callable[[TaskBase], Any], *, enabled: bool = True) -> Any:
    """What `work` returns when a task of a host with that beamline calls it."""
    answers: list[Any] = []

    class Task(TaskBase):
        def initialize(self) -> None:
            try:
                answers.append(work(self))
            except DevicesUnavailable as error:
                answers.append(error)

        def execute(self) -> None:
            """Nothing."""

    config = parse_config("{}", "config.yaml").config
    assert config is not None
    spec, _ = describe(
        config,
        PluginRef(name="task", target="test:Task"),
        kind=Kind.TASK,
        name="task",
        host_prefix="TEST",
        beamline=BEAMLINE,
        devices=enabled,
        class_name="Task",
    )
    assert spec is not None
    with TaskUnderTest(Task, spec) as task:
        task.act("start")
        assert task.status == "RUN", task.message
    (answer,) = answers
    return answer


def test_a_device_of_the_beamline_is_made_once_for_all_tasks(factory: Factory) -> None:
    def work(task: TaskBase) -> Any:
        assert task.get_device("GUNFLG01") is task.get_device("GUNFLG01")
        assert task.list_devices() == ["GUNFLG01"]
        assert task.ophyd_devices["GUNFLG01"] is task.get_device("GUNFLG01")
        return task.get_device("GUNFLG01")

    first, second = given(work), given(work)
    assert first is second
    assert first["prefix"] == "SPARC:MOT:TML:GUNFLG01"
    assert first["config"]["iocname"] == "tml-ch1"
    assert factory.made == ["GUNFLG01"]


def test_a_created_device_is_kept_under_its_name(factory: Factory) -> None:
    def work(task: TaskBase) -> Any:
        first = task.create_device("A:B:M1", "mot", "asyn")
        assert task.create_device(prefix="A:B:M1", devgroup="mot", devtype="asyn") is first
        assert task.create_device("A:B:M1", "mot", "asyn", cache=False) is not first
        assert task.create_device("A:B:M1", "mot", "asyn", name="M2") is not first
        assert task.get_device("M1") is first
        return task.list_devices()

    assert given(work) == ["M1", "M2"]
    assert given(lambda task: task.list_devices()) == []


def test_a_descriptor_of_channelfinder_makes_a_device(factory: Factory) -> None:
    descriptor = {"name": "M1", "devgroup": "mot", "devtype": "tml", "prefix": "A:M1", "pvs": []}
    assert given(lambda task: task.cf_create_device(descriptor))["prefix"] == "A:M1"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("GUNFLG1", "no device GUNFLG1: did you mean 'GUNFLG01'?"),
        ("pump", "no device pump: ConnectionError: no answer from the pump"),
    ],
)
def test_a_device_that_cannot_be_had_is_none_and_said_once(
    factory: Factory, caplog: pytest.LogCaptureFixture, name: str, says: str
) -> None:
    def work(task: TaskBase) -> Any:
        task.get_device(name)
        return task.get_device(name)

    with caplog.at_level(logging.WARNING):
        assert given(work) is None
    assert caplog.text.count(says) == 1


def test_a_type_without_a_class_is_none_and_said(factory: Factory, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert given(lambda task: task.create_device("A:X", "cam", "nano")) is None
    assert "no device X: the factory made none for devgroup 'cam', devtype 'nano' at A:X" in caplog.text


def test_without_leave_of_the_site_the_beamline_has_no_devices(
    factory: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    def work(task: TaskBase) -> Any:
        assert task.get_device("GUNFLG01") is None
        return task.create_device("A:M1", "mot", "asyn")

    with caplog.at_level(logging.WARNING):
        assert given(work, enabled=False)["name"] == "M1"
    assert "IOCMNG_DISABLE_OPHYD=false" in caplog.text


@pytest.mark.parametrize(
    "work",
    [lambda task: task.create_device("A:M1", "mot", "asyn"), lambda task: task.get_device("GUNFLG01")],
)
def test_without_the_extra_the_error_says_which_one(without_extra: None, work: Callable[[Any], Any]) -> None:
    error = given(work)
    assert isinstance(error, DevicesUnavailable)
    assert isinstance(error, ImportError)
    assert "infn_ophyd_hal" in error.detail
    assert "pip install 'iocmng[ophyd]'" in error.hint


def test_a_package_that_the_extra_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'pint'", name="pint")

    devices.device_factory.cache_clear()
    monkeypatch.setattr(devices, "import_module", broken)
    with pytest.raises(
        DevicesUnavailable, match=r"infn_ophyd_hal needs pint, which is not installed .*pip install"
    ):
        devices.device_factory()


class Calibration(JobBase):
    def execute(self) -> Any:
        return {"devices": self.list_devices(), "found": self.cf_search(name="*"), "url": self.channelfinder}


def test_jobs_have_them_too() -> None:
    assert run_job(Calibration, {}).data == {"devices": [], "found": [], "url": None}
