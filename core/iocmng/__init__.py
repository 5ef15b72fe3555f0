"""iocmng: plugins for EPICS soft IOCs. Names resolve lazily, so that nothing is imported that is not used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from iocmng.version import VERSION as __version__

if TYPE_CHECKING:
    from iocmng.base.job import JobBase, JobResult
    from iocmng.base.parameters import ParameterModel
    from iocmng.base.script import ScriptJob
    from iocmng.base.task import DeclarativeTask, TaskBase
    from iocmng.bridge import BridgeDaemon, BridgeTask
    from iocmng.host.single import run_ioc
    from iocmng.lifecycle import TaskStatus
    from iocmng.values import Reading


_HOMES = {
    "TaskBase": "iocmng.base.task",
    "JobBase": "iocmng.base.job",
    "JobResult": "iocmng.base.job",
    "ScriptJob": "iocmng.base.script",
    "DeclarativeTask": "iocmng.base.task",
    "ParameterModel": "iocmng.base.parameters",
    "Reading": "iocmng.values",
    "hookimpl": "iocmng.plugins.hooks",
    "run_ioc": "iocmng.host.single",
    "pv_client": "iocmng.links.pv_client",
    "BridgeDaemon": "iocmng.bridge",
    "BridgeTask": "iocmng.bridge",
    "TaskStatus": "iocmng.lifecycle",
}

__all__ = [
    "BridgeDaemon",
    "BridgeTask",
    "DeclarativeTask",
    "JobBase",
    "JobResult",
    "ParameterModel",
    "Reading",
    "ScriptJob",
    "TaskBase",
    "TaskStatus",
    "__version__",
    "run_ioc",
]


def __getattr__(name: str) -> Any:
    """Import the home of a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'iocmng' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    return home if name == "pv_client" else getattr(home, name)


def __dir__() -> list[str]:
    """Public names."""
    return sorted({*globals(), *_HOMES})
