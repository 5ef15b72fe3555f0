"""The task: what happens in one cycle."""

from __future__ import annotations

from iocmng import ParameterModel, TaskBase
from pydantic import Field


class {{ cookiecutter.__class }}(TaskBase):
    """Follows SETPOINT with READBACK, a fraction of the way in each cycle."""

    class Parameters(ParameterModel):
        """Checked whenever one is set; those marked live take effect at once, others at the next start."""

        fraction: float = Field(
            0.5,
            gt=0,
            le=1,
            description="part of the distance covered in one cycle",
            json_schema_extra={"live": True},
        )

    def initialize(self) -> None:
        """Runs once before the first cycle; an exception here means that the task did not start."""
        self._value = 0.0

    def execute(self) -> None:
        """Runs once per interval."""
        distance = self.get_pv("SETPOINT") - self._value
        self._value += self.parameters.fraction * distance
        self.set_pv("READBACK", self._value)
        self.set_pv("MOVING", abs(distance) > 0.01)

    def cleanup(self) -> None:
        """Runs once after the last cycle, also after a failure."""
        self.logger.info("stopped at %.3f", self._value)
