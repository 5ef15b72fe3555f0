"""Arguments of a run, and what an exception says that cannot even be printed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from iocmng import JobBase, JobResult, ParameterModel
from iocmng.errors import BadInput
from iocmng.runtime.traces import describe
from iocmng.testing import make_job, run_job


class Scan(JobBase):
    def execute(self) -> JobResult:
        return JobResult(True, data={"points": self.get_pv("POINTS")})


def _config(**port: Any) -> dict[str, Any]:
    return {"arguments": {"inputs": {"POINTS": {"type": "float", "value": 5, **port}}}}


@pytest.mark.parametrize("points", [1, 51, float("nan")])
def test_an_argument_is_held_to_the_limits_of_its_input(points: float) -> None:
    with pytest.raises(BadInput, match=r"POINTS: .* is not within 2 to 50"):
        run_job(Scan, _config(low=2, high=50), POINTS=points)
    assert run_job(Scan, _config(low=2, high=50), POINTS=50).data == {"points": 50}
    assert run_job(Scan, _config(low=2, high=50, clamp=False), POINTS=51).data == {"points": 51}


def test_an_exception_without_a_text_is_described() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    assert describe(Mute()) == "Mute: its text cannot be made (ValueError)"


class Tune(JobBase):
    class Arguments(ParameterModel):
        bands: list[int] = Field(min_length=1)
        gain: float = Field(1.0, ge=0)

    def execute(self) -> JobResult:
        return JobResult(True, data=dict(self.arguments))


def test_a_model_declares_arguments_besides_the_inputs() -> None:
    assert run_job(Tune, _config(), bands=[1, "2"], POINTS=3).data == {
        "bands": [1, 2],
        "gain": 1.0,
        "POINTS": 3.0,
    }
    with pytest.raises(BadInput) as refused:
        run_job(Tune, _config(low=2, high=50), gain=-1, POINTS=99, band=5)
    for part in ("no argument 'band'", "bands: Field required", "gain: ", "POINTS: 99.0 is not within"):
        assert part in str(refused.value)
    with pytest.raises(BadInput, match="gain is inf: needs a finite number"):
        run_job(Tune, _config(), bands=[1], gain=float("inf"))


def test_a_run_that_is_asked_for_before_the_class_is_loaded_is_judged_before_its_code() -> None:
    with make_job(Tune, _config()) as job:
        job.job.cls = None
        result = job.run({"gain": "x", "bands": [0]})
        assert not result.success
        assert result.message.startswith("job: gain: ")
        job.job.cls = None
        assert job.run({"bands": [4]}).data == {"bands": [4], "gain": 1.0, "POINTS": 5.0}
        job.job.cls = None
        job.put("RUN", 1)
        assert (job.status, job.message) == ("FAILED", "job: bands: Field required (got {})")
