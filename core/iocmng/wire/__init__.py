"""What crosses a process border: plain frozen dataclasses and one codec, without pydantic (the CLI imports this)."""

from iocmng.wire.codec import from_plain, to_plain
from iocmng.wire.event import Actor, Event, EventKind
from iocmng.wire.finding import Finding, Level, Where
from iocmng.wire.host import HostView, Problem, Role
from iocmng.wire.instance import InstanceDetail, InstanceView, ParameterView, PortView, PvView, StateChange
from iocmng.wire.log import LogLine
from iocmng.wire.run import RunView

__all__ = [
    "Actor",
    "Event",
    "EventKind",
    "Finding",
    "HostView",
    "InstanceDetail",
    "InstanceView",
    "Level",
    "LogLine",
    "ParameterView",
    "PortView",
    "Problem",
    "PvView",
    "Role",
    "RunView",
    "StateChange",
    "Where",
    "from_plain",
    "to_plain",
]
