"""What crosses a process border: plain frozen dataclasses and one codec, without pydantic (the CLI imports this)."""

from iocmng.wire.access import NewToken, TokenView
from iocmng.wire.codec import from_plain, revive, to_plain
from iocmng.wire.endpoint import ENDPOINT_FILE, TOKEN_FILE, Endpoint, process_started
from iocmng.wire.event import Actor, Event, EventKind
from iocmng.wire.finding import Finding, Level, Where
from iocmng.wire.host import HostView, Problem, Role
from iocmng.wire.install import (
    DistributionChange,
    GenerationView,
    InstallRequest,
    InstallVerb,
    InstanceChange,
    NotHot,
    OperationState,
    OperationView,
    PlanView,
    PvChange,
    SourceRequest,
    Step,
    StepView,
)
from iocmng.wire.instance import (
    InstanceDetail,
    InstanceView,
    LinkView,
    ParameterView,
    PortView,
    PvView,
    RuleView,
    StateChange,
)
from iocmng.wire.log import LogLine
from iocmng.wire.metrics import MetricsView, SiteMetrics
from iocmng.wire.pvs import DevicesView, PvReading
from iocmng.wire.run import JobView, RunView
from iocmng.wire.settings import ChangedSetting, ReloadView

__all__ = [
    "ENDPOINT_FILE",
    "TOKEN_FILE",
    "Actor",
    "ChangedSetting",
    "DevicesView",
    "DistributionChange",
    "Endpoint",
    "Event",
    "EventKind",
    "Finding",
    "GenerationView",
    "HostView",
    "InstallRequest",
    "InstallVerb",
    "InstanceChange",
    "InstanceDetail",
    "InstanceView",
    "JobView",
    "Level",
    "LinkView",
    "LogLine",
    "MetricsView",
    "NewToken",
    "NotHot",
    "OperationState",
    "OperationView",
    "ParameterView",
    "PlanView",
    "PortView",
    "Problem",
    "PvChange",
    "PvReading",
    "PvView",
    "ReloadView",
    "Role",
    "RuleView",
    "RunView",
    "SiteMetrics",
    "SourceRequest",
    "StateChange",
    "Step",
    "StepView",
    "TokenView",
    "Where",
    "from_plain",
    "process_started",
    "revive",
    "to_plain",
]
