"""JobBase and JobResult: what runs once per request."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from iocmng.base.author import Author
from iocmng.base.context import JobContext
from iocmng.wire.finite import nonfinite


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


@dataclass
class JobResult:
    """How a run ended: whether it succeeded, its data, words for people, and when (ISO 8601).

    Raises:
        ValueError: A NaN or infinity in `data`, for which JSON has no word; the text says where.
    """

    success: bool
    data: Any = None
    message: str = ""
    timestamp: str = field(default_factory=_now)

    def __post_init__(self) -> None:
        if found := nonfinite(self.data):
            raise ValueError(f"{found}: a result's data holds finite numbers only")

    def to_dict(self) -> dict[str, Any]:
        """The result as a plain mapping."""
        return {
            "success": self.success,
            "data": self.data,
            "message": self.message,
            "timestamp": self.timestamp,
        }


class JobBase(Author[JobContext]):
    """A job: `execute` returns a JobResult; any other value means success with that value as data.

    An exception means failure with its text. `initialize` runs before each run. Each may be `async def`.
    """

    _iocmng_kind: ClassVar[str] = "job"

    def initialize(self) -> Any:
        """Prepare a run."""

    def execute(self) -> Any:
        """Do the work."""
        raise NotImplementedError(f"{type(self).__name__} has no execute()")

    def set_status(self, word: str) -> None:
        """Nothing: STATUS follows what `execute` returns; iocmng 2.x let a job write it."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of this run by name; for inputs `get_input` gives the same values."""
        return self._bound.arguments

    @property
    def aborted(self) -> bool:
        """Whether an abort was asked for."""
        return self._bound.stopping

    def progress(self, fraction: float, message: str = "") -> None:
        """Show how far the run is.

        Args:
            fraction: 0 to 1.
            message: Shown in MESSAGE when not empty.
        """
        self._bound.progress(float(fraction), message)

    def gather(self, **data: Any) -> None:
        """Add to the data of the run, which is seen while it lasts; the result's own data takes its place.

        Raises:
            ValueError: A number is not finite, or all of it takes more than a MiB.
            TypeError: Something in it has no JSON form.
        """
        self._bound.gather(data)
