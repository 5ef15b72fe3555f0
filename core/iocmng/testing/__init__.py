"""The authors' test kit: run a task or job with fake records and a virtual clock."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iocmng.testing.kit import JobUnderTest, TaskUnderTest, make_job, run_job, run_task

__all__ = ["JobUnderTest", "TaskUnderTest", "make_job", "run_job", "run_task"]


def __getattr__(name: str) -> Any:
    """Import the kit when it is first used: pytest loads this package's plugin in every session."""
    if name not in __all__:
        raise AttributeError(f"module 'iocmng.testing' has no attribute {name!r}")
    return getattr(import_module("iocmng.testing.kit"), name)
