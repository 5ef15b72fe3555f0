"""What an instance is and serves, described once and frozen."""

from iocmng.spec.instance import (
    Direction,
    InstanceSpec,
    JobSettings,
    Kind,
    Mode,
    OnStall,
    ParameterValue,
    PluginRef,
    PortSpec,
    RestartPolicy,
    Supervision,
)
from iocmng.spec.record import RecordSpec

__all__ = [
    "Direction",
    "InstanceSpec",
    "JobSettings",
    "Kind",
    "Mode",
    "OnStall",
    "ParameterValue",
    "PluginRef",
    "PortSpec",
    "RecordSpec",
    "RestartPolicy",
    "Supervision",
]
