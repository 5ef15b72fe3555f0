"""ScriptJob: a job whose work is a program of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from iocmng.base.job import JobBase, JobResult


class ScriptJob(JobBase):
    """A job that runs the script of its config; as it is, it needs no code.

    A class of one's own writes `execute` around `self.run_script()`, to prepare something or to read what the
    script has left.
    """

    _iocmng_script: ClassVar[bool] = True

    def run_script(self) -> JobResult:
        """Run the script with the arguments of this run and wait for its end.

        An abort or `run_timeout` ends it: TERM to its process group, `stop_grace`, KILL.

        Returns:
            Success is exit code 0; data is what the script has reported.
        """
        return self._bound.run_script()

    def execute(self) -> Any:
        """Run the script."""
        return self.run_script()
