"""What plugins and programs of iocmng 2.x import, and how it behaves."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import iocmng
from iocmng.testing import run_job, run_task

NAMES = ("TaskBase", "JobBase", "DeclarativeTask", "JobResult", "pv_client", "run_ioc", "Reading", "hookimpl")


@pytest.mark.parametrize("name", [*NAMES, "ParameterModel", "__version__"])
def test_public_names_are_there_and_listed(name: str) -> None:
    assert getattr(iocmng, name) is getattr(iocmng, name)
    assert name in dir(iocmng)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Taskbase'"):
        iocmng.Taskbase  # noqa: B018


def test_base_paths() -> None:
    from iocmng.base import JobBase, TaskBase
    from iocmng.base.job import JobBase as JobOfModule
    from iocmng.base.job import JobResult
    from iocmng.base.task import TaskBase as TaskOfModule
    from iocmng.declarative import DeclarativeTask

    assert (TaskBase, JobBase) == (TaskOfModule, JobOfModule)
    assert (iocmng.TaskBase, iocmng.JobBase, iocmng.JobResult) == (TaskBase, JobBase, JobResult)
    assert iocmng.DeclarativeTask is DeclarativeTask
    assert issubclass(DeclarativeTask, TaskBase)


def test_job_result() -> None:
    from iocmng.base.job import JobResult

    result = JobResult(True, {"gain": 1.5}, "3 points")
    told = result.to_dict()
    assert told == {
        "success": True,
        "data": {"gain": 1.5},
        "message": "3 points",
        "timestamp": result.timestamp,
    }
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", result.timestamp)
    assert list(inspect.signature(JobResult).parameters) == ["success", "data", "message", "timestamp"]
    bare = JobResult(success=False)
    assert (bare.data, bare.message) == (None, "")


def test_the_function_registry() -> None:
    from iocmng.core.functions import get_registry, register
    from iocmng.core.safe_eval import safe_eval

    before = get_registry()
    assert {"abs", "mean", "std", "median", "clamp", "any_of", "count_true", "last", "moving_avg"} <= set(
        before
    )
    register("seed_paths_double", lambda value: 2 * value)
    assert "seed_paths_double" in get_registry()
    assert "seed_paths_double" not in before
    assert safe_eval("seed_paths_double(level) + 1", {"level": 20.5}) == 42.0
    get_registry().pop("seed_paths_double")
    assert "seed_paths_double" in get_registry()


def test_safe_eval() -> None:
    from iocmng.core.safe_eval import safe_eval

    assert safe_eval("a == 0 and b == 1", {"a": 0, "b": 1}) is True
    assert safe_eval("mean(x_buf) > 0.5", {"x_buf": [0.1, 0.9, 0.8]}) is True
    assert safe_eval("triple(v)", {"v": 3}, extra_functions={"triple": lambda v: 3 * v}) == 9
    assert safe_eval(expression="1 < x <= 3", variables={"x": 3}) is True
    with pytest.raises(ValueError, match="Unsafe"):
        safe_eval("__import__('os').system('true')", {})
    with pytest.raises(ValueError, match="not registered"):
        safe_eval("eval('1')", {})
    with pytest.raises(SyntaxError):
        safe_eval("1 +", {})
    with pytest.raises(NameError):
        safe_eval("missing > 1", {})


def test_pv_client() -> None:
    from iocmng import pv_client
    from iocmng.core import pv_client as of_core

    for name in (
        "init", "get_provider", "get", "put", "monitor", "unmonitor", "unmonitor_all", "active_monitors", "close",
    ):  # fmt: skip
        assert getattr(of_core, name) is getattr(pv_client, name)
    before = pv_client.get_provider()
    try:
        pv_client.init(pva=False)
        assert pv_client.get_provider() == "ca"
        pv_client.init()
        assert pv_client.get_provider() == "pva"
    finally:
        pv_client.init(pva=before == "pva")
    assert list(inspect.signature(pv_client.get).parameters) == ["pv_name", "timeout"]
    assert list(inspect.signature(pv_client.put).parameters) == ["pv_name", "value", "timeout"]
    assert list(inspect.signature(pv_client.monitor).parameters)[:3] == ["pv_name", "callback", "name"]
    assert pv_client.unmonitor("nobody") is False
    assert (pv_client.active_monitors(), pv_client.unmonitor_all()) == ({}, 0)


def test_run_ioc_takes_what_it_took() -> None:
    from iocmng.runner import main, run_ioc

    assert iocmng.run_ioc is run_ioc
    assert callable(main)
    parameters = inspect.signature(run_ioc).parameters
    earlier = {"config": None, "parameters": None, "prefix": None, "pva": True, "name": None, "pvout": None}
    assert {name: parameters[name].default for name in earlier} == earlier
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in earlier)
    assert next(iter(parameters)) == "plugin_class"


def test_a_reading_and_its_severity() -> None:
    from iocmng import Reading
    from iocmng.values import Severity

    reading = Reading(1.5)
    assert (reading.value, reading.severity, reading.connected) == (1.5, Severity.NO_ALARM, True)


def test_parameter_model_reads_like_a_mapping() -> None:
    class Parameters(iocmng.ParameterModel):
        threshold: float = 2.0

    parameters = Parameters()
    assert (parameters["threshold"], parameters.threshold) == (2.0, 2.0)
    assert (parameters.get("threshold"), parameters.get("interval", 1.0)) == (2.0, 1.0)
    with pytest.raises(KeyError, match="threshold"):
        parameters["treshold"]


def test_hookimpl_marks_for_pluggy() -> None:
    @iocmng.hookimpl
    def iocmng_event(event: Any) -> None:
        """Nothing."""

    assert iocmng_event.iocmng_impl["optionalhook"] is False  # type: ignore[attr-defined]


CONFIG = {
    "parameters": {"interval": 0.5, "gain": 2.0},
    "arguments": {
        "inputs": {"SETPOINT": {"type": "float", "value": 3.0}},
        "outputs": {"VALUE": {"type": "float"}, "LABEL": {"type": "string"}},
    },
}
TASK_ATTRIBUTES = re.findall(
    r"\w+",
    """name parameters beamline_config logger pvs pv_prefix plugin_prefix mode running enabled cycle_count
    readings stopping ophyd_devices channelfinder""",
)
TASK_METHODS = re.findall(
    r"\w+",
    """keepalive get_pv set_pv get_input set_input get_output set_output set_status set_message step_cycle sleep busy
    get_datetime get_timems get_device create_device list_devices cf_search cf_discover_devices cf_create_device
    initialize execute triggered cleanup health metrics""",
)


class Earlier(iocmng.TaskBase):
    """Written as plugins of 2.x are."""

    seen: dict[str, Any] = {}

    def __init__(self, name: str, parameters: Any = None, pv_definitions: Any = None, **kwargs: Any) -> None:
        super().__init__(name, parameters=parameters, pv_definitions=pv_definitions, **kwargs)
        self.gain = self.parameters.get("gain", 1.0)
        self._cycles = 0

    def initialize(self) -> None:
        self.logger.info("gain %s", self.gain)
        self.set_message("Ready")
        self.seen.update({name: getattr(self, name) for name in TASK_ATTRIBUTES})
        self.seen["methods"] = [name for name in TASK_METHODS if not callable(getattr(self, name))]

    def execute(self) -> None:
        self._cycles += 1
        self.pvs["VALUE"].set(self.gain * self.pvs["SETPOINT"].get())
        self.set_output("LABEL", f"{self.get_datetime()} {self.get_timems()}")
        self.seen["cycles"] = (self._cycles, self.cycle_count)

    def cleanup(self) -> None:
        self.seen["cleaned"] = self.get_pv("VALUE")


def test_a_task_of_2_x_runs_as_it_is() -> None:
    with run_task(Earlier, CONFIG, name="earlier") as task:
        task.step(1.0)
        assert task.get("VALUE") == 6.0
        task.put("SETPOINT", 4.0)
        task.step(1.0)
        assert task.get("VALUE") == 8.0
        label = str(task.get("LABEL"))
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \d{13}", label), label
    seen = Earlier.seen
    assert (seen["name"], seen["plugin_prefix"], seen["pv_prefix"]) == ("earlier", "EARLIER", "TEST:EARLIER")
    assert (seen["mode"], seen["parameters"]["interval"], seen["running"]) == ("continuous", 0.5, True)
    assert {"STATUS", "MESSAGE", "ENABLE", "CYCLE_COUNT", "SETPOINT", "VALUE", "LABEL"} <= set(seen["pvs"])
    assert seen["methods"] == []
    assert seen["channelfinder"] is None
    assert seen["cleaned"] == 8.0
    cycles, counted = seen["cycles"]
    assert counted == cycles - 1


class EarlierJob(iocmng.JobBase):
    def __init__(
        self, name: str, parameters: Any = None, pv_definitions: Any = None, beamline_config: Any = None
    ) -> None:
        super().__init__(name, parameters, pv_definitions, beamline_config)
        self.factor = self.parameters["gain"]

    def initialize(self) -> None:
        self.set_status("RUNNING")

    def execute(self) -> iocmng.JobResult:
        value = self.factor * self.get_input("SETPOINT")
        self.set_pv("VALUE", value)
        self.set_message("Done")
        return iocmng.JobResult(success=True, data={"value": value}, message="computed")


def test_a_job_of_2_x_runs_as_it_is() -> None:
    result = run_job(EarlierJob, CONFIG, SETPOINT=5.0)
    assert (result.success, result.data, result.message) == (True, {"value": 10.0}, "computed")
