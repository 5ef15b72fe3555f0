"""The job: what happens in one run."""

from __future__ import annotations

from statistics import fmean, pstdev

from iocmng import JobBase, JobResult, ParameterModel
from pydantic import Field


class {{ cookiecutter.__class }}(JobBase):
    """Takes SAMPLES readings and publishes their mean and spread."""

    class Parameters(ParameterModel):
        """Checked when the plugin is validated and whenever one is set."""

        period: float = Field(0.1, gt=0, description="seconds between two readings")

    def execute(self) -> JobResult:
        """Runs once per request."""
        count = int(self.get_pv("SAMPLES"))
        readings: list[float] = []
        for index in range(count):
            if not self.sleep(self.parameters.period):
                return JobResult(False, message=f"aborted after {index} readings")
            readings.append(self._read(index))
            self.progress((index + 1) / count, f"reading {index + 1} of {count}")
        mean, spread = fmean(readings), pstdev(readings)
        self.set_pv("MEAN", mean)
        self.set_pv("SPREAD", spread)
        return JobResult(True, data={"mean": mean, "spread": spread}, message=f"{count} readings")

    def _read(self, index: int) -> float:
        """Stands for your measurement."""
        return 20.0 + index % 3
