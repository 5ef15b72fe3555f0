"""What an instance is and serves, described once and frozen."""

from iocmng.spec.handshake import HandshakeSpec
from iocmng.spec.instance import (
    Direction,
    Engine,
    InstanceSpec,
    Isolation,
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
from iocmng.spec.wiring import (
    AgeBy,
    LatchDirection,
    LinkMode,
    LinkSpec,
    LogicSpec,
    OnInvalid,
    RuleSpec,
    TransformSpec,
)

__all__ = [
    "AgeBy",
    "Direction",
    "Engine",
    "HandshakeSpec",
    "InstanceSpec",
    "Isolation",
    "JobSettings",
    "Kind",
    "LatchDirection",
    "LinkMode",
    "LinkSpec",
    "LogicSpec",
    "Mode",
    "OnInvalid",
    "OnStall",
    "ParameterValue",
    "PluginRef",
    "PortSpec",
    "RecordSpec",
    "RestartPolicy",
    "RuleSpec",
    "Supervision",
    "TransformSpec",
]
