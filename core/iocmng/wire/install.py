"""Installing while the host runs: what is asked for, what would change, and how far an operation has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from iocmng.wire.event import Actor
from iocmng.wire.finding import Finding


class InstallVerb(StrEnum):
    """What an operation does."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    UNINSTALL = "uninstall"
    ROLLBACK = "rollback"
    FROM_LOCK = "from-lock"
    FETCH = "fetch"


class Step(StrEnum):
    """The steps of an operation, in their order."""

    PLAN = "plan"
    DIFF = "diff"
    STAGE = "stage"
    PROBE = "probe"
    SWITCH = "switch"
    CONFIRM = "confirm"


class OperationState(StrEnum):
    """How an operation stands. REFUSED changed nothing; ROLLED_BACK changed something and took it back."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    RESTART_REQUIRED = "RESTART_REQUIRED"
    RESTARTING = "RESTARTING"
    REFUSED = "REFUSED"
    FAILED = "FAILED"
    ROLLED_BACK = "ROLLED_BACK"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """A plugin directory as the previous system's POST names it: from git, or a folder of the host's machine.

    `path` is the folder inside of it, `token` the password of an https source; it is never stored or shown.
    One that is `listed` in plugins.yaml has an instance for as long as it stands there.
    """

    name: str
    git_url: str = ""
    local_path: str = ""
    path: str = ""
    branch: str = ""
    token: str = field(default="", repr=False)
    auto_start: bool = True
    auto_start_on_boot: bool = True
    autostart_order: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    listed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRequest:
    """What an admin asks for.

    Attributes:
        verb: What to do.
        requirements: Requirements, absolute paths of wheels and folders, `git+…` addresses; of UNINSTALL and FETCH
            names of plugins or distributions.
        source: One plugin directory instead of requirements.
        sources: Several of them.
        generation: Of ROLLBACK; None for the one before.
        restart_host: Restart the host when that is needed.
        accept_reconnect: Go on although clients of some PVs must connect anew.
        kind: `task` or `job`: what arrives has to be one; "" for either.
    """

    verb: InstallVerb = InstallVerb.INSTALL
    requirements: tuple[str, ...] = ()
    source: SourceRequest | None = None
    sources: tuple[SourceRequest, ...] = ()
    generation: int | None = None
    restart_host: bool = False
    accept_reconnect: bool = False
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionChange:
    """A distribution that is added (`before` is ""), removed (`after` is ""), or of another version or content.

    `origin` is where it comes from: `index`, or the address of a wheel, folder or git source without secrets.
    """

    name: str
    before: str = ""
    after: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceChange:
    """An instance that is added, changed (restarted with other code or config) or removed."""

    name: str
    change: str
    plugin: str = ""
    distribution: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PvChange:
    """A PV that is added, changed or removed; with `reconnect` its present clients have to connect anew."""

    name: str
    change: str
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class NotHot:
    """Why a change needs a restart of the host: the package, and the reason."""

    package: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """What an operation changes. `spares` are needed and free records of each kind; `heavy` are slow imports."""

    distributions: tuple[DistributionChange, ...] = ()
    instances: tuple[InstanceChange, ...] = ()
    pvs: tuple[PvChange, ...] = ()
    hot: bool = True
    reasons: tuple[NotHot, ...] = ()
    spares: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    heavy: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.distributions or self.instances)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step: `state` is `waiting`, `running`, `done`, `failed` or `skipped`; times in seconds since 1970, 0: never."""

    step: Step
    state: str = "waiting"
    detail: str = ""
    started: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationView:
    """An operation; of one that was refused or failed `code`, `message` and `hint` say why, `failed_step` where."""

    id: str
    verb: InstallVerb
    state: OperationState
    planned_only: bool = False
    requirements: tuple[str, ...] = ()
    steps: tuple[StepView, ...] = ()
    plan: PlanView | None = None
    generation: int | None = None
    message: str = ""
    code: str = ""
    hint: str = ""
    failed_step: Step | None = None
    started: float = 0.0
    ended: float | None = None
    actor: Actor = field(default_factory=Actor)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state is not OperationState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationView:
    """A generation: `problem` says why it cannot be used; `origins` where each distribution comes from."""

    number: int
    current: bool = False
    pending: bool = False
    created: float = 0.0
    requirements: tuple[str, ...] = ()
    distributions: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
