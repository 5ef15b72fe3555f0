"""EPICS records through softioc: the only place that knows EPICS' C library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iocmng.ioc.softioc_port import SoftIoc

__all__ = ["SoftIoc"]


def __getattr__(name: str) -> Any:
    """Import the port when first used: softioc starts a thread, which a process that forks must not have."""
    if name != "SoftIoc":
        raise AttributeError(f"module 'iocmng.ioc' has no attribute {name!r}")
    return import_module("iocmng.ioc.softioc_port").SoftIoc
