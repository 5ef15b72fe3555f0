"""Arguments of a run, and what an exception says that cannot even be printed."""

from __future__ import annotations

from typing import Any

import pytest

from iocmng import JobBase, JobResult
from iocmng.errors import BadInput
from iocmng.runtime.traces import describe
from iocmng.testing import run_job


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
