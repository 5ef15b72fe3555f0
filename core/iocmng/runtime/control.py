"""What the admin endpoint may ask of the host: one Protocol between `api` and `host`, used on the loop's thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from iocmng.lifecycle import Trigger
from iocmng.runtime.events import EventBus
from iocmng.runtime.instance import Instance
from iocmng.runtime.ports import Undo
from iocmng.spec import InstanceSpec
from iocmng.wire import (
    Actor,
    DevicesView,
    GenerationView,
    HostView,
    InstallRequest,
    InstanceDetail,
    InstanceView,
    LogLine,
    MetricsView,
    OperationView,
    PvReading,
    PvView,
    ReloadView,
    RunView,
    SiteMetrics,
)


class PvAccess(Protocol):
    """PVs of this host and elsewhere; a name is `NAME`, `ca://NAME`, `pva://NAME` or `INSTANCE:PORT`.

    A name of this host is read and written inside the process, whatever its scheme. Every method raises BadInput
    for what is no name, and NotFound for a name that only this host could have and has not.
    """

    @property
    def provider(self) -> str:
        """`ca` or `pva`: how names elsewhere without a scheme are reached."""

    def address(self, pv: str) -> str:
        """What a name means: the full name of a PV of this host, else `ca://NAME` or `pva://NAME`."""

    async def get(self, pv: str, timeout: float) -> PvReading:
        """Ask for value and quality now.

        Raises:
            LinkError: It did not answer within `timeout` seconds, or its server refused.
        """

    async def put(self, pv: str, value: Any, timeout: float, actor: Actor) -> None:
        """Write a value, and return when the server has taken it.

        Raises:
            LinkError: It did not answer within `timeout` seconds, or its server refused.
            Refused: It is a PV of this host, and read-only.
            BadInput: It cannot take that value.
        """

    def monitor(self, pv: str, tell: Callable[[PvReading], None]) -> Undo:
        """Call `tell` with what a PV shows now and after each change, on any thread; it must only enqueue.

        The first call comes at once; one that does not answer is told as not connected.
        """


class HostControl(Protocol):
    """The host as its adapters see it. Unknown names raise NotFound with the nearest name in the hint."""

    @property
    def events(self) -> EventBus:
        """The bus."""

    def host(self) -> HostView:
        """The host itself."""

    def ready(self) -> str | None:
        """None when records are served and no start is pending, else what is awaited."""

    def instances(self) -> Sequence[InstanceView]:
        """All instances and broken plugins, by start order and name."""

    def instance(self, name: str) -> InstanceDetail:
        """Everything of one."""

    def act(self, name: str, verb: Trigger, actor: Actor) -> InstanceView:
        """Apply start, stop, pause, resume, restart or reset.

        Raises:
            Refused: Not in this state; lists what is allowed.
        """

    def enable(self, name: str, enabled: bool, actor: Actor) -> InstanceView:
        """Let it start at boot or not; disabling also stops it now."""

    async def durable(self) -> None:
        """Have everything that was asked so far on disk; awaited before a changing request is answered.

        Raises:
            OSError: It cannot be written.
        """

    async def runs_kept(self) -> None:
        """Have records of runs on disk, as far as the disk takes them; awaited before a started run is told."""

    async def settled(self, name: str, timeout: float) -> InstanceView:
        """Wait until a pending transition of `name` is over (state reached, or failed), at most `timeout` seconds."""

    def set_parameters(self, name: str, changes: Mapping[str, Any], actor: Actor) -> InstanceDetail:
        """Set parameters (None drops one); all or none.

        Raises:
            BadInput: A name or value is refused; names every one.
        """

    def schema(self, name: str) -> Mapping[str, Any]:
        """JSON Schema of the instance's parameters (and of a job's arguments under `arguments`)."""

    def startup(self, name: str) -> Mapping[str, Any]:
        """How an instance starts: auto_start, auto_start_on_boot, autostart_order, parameters.

        May be empty: the rest, and what is missing here, is taken from `spec`.
        """

    def spec(self, name: str) -> InstanceSpec | None:
        """The frozen description of an instance; None for a plugin that is too broken to have one."""

    def metrics(self) -> Sequence[MetricsView]:
        """Numbers of all instances as they were last collected; never calls authors' code."""

    async def site_metrics(self) -> SiteMetrics:
        """Numbers of packages with hooks, of those that answer within two seconds."""

    def log(
        self, name: str, *, since: float = 0.0, level: str = "DEBUG", limit: int = 1000
    ) -> Sequence[LogLine]:
        """Lines of an instance's log, oldest first. `HOST` names the host's own."""

    def follow_log(self, name: str, *, level: str = "DEBUG") -> AsyncIterator[LogLine]:
        """New lines as they come."""

    async def prepare_job(self, job: str) -> None:
        """Have the code of a job loaded, as far as it can be: it may declare arguments of runs."""

    def start_run(self, job: str, arguments: Mapping[str, Any], actor: Actor) -> RunView:
        """Start a run.

        Raises:
            Refused: The job is busy and `on_busy` is refuse.
            BadInput: Arguments are refused; names every one.
        """

    def runs(self, job: str) -> Sequence[RunView]:
        """Runs of a job, newest first."""

    def run(self, run_id: str) -> RunView:
        """One run."""

    async def run_over(self, run_id: str, timeout: float) -> RunView:
        """Wait until a run is over, at most `timeout` seconds."""

    def abort(self, run_id: str, actor: Actor) -> RunView:
        """Ask a run to end; idempotent."""

    def run_log(self, run_id: str) -> Sequence[LogLine]:
        """The log of one run."""

    def trigger(self, name: str, actor: Actor) -> InstanceView:
        """Run a triggered task once, as its RUN PV does."""

    def pvs(self, pattern: str = "*") -> Iterable[PvView]:
        """This host's PVs whose full name matches a shell pattern; better lazy, a host may have 30,000."""

    def pv(self, name: str) -> PvView:
        """One PV of this host, by full name or `INSTANCE:PORT`."""

    def put_pv(self, name: str, value: Any, actor: Actor) -> PvView:
        """Write one of this host's writable PVs as a client would.

        Raises:
            Refused: It is read-only.
            BadInput: The value does not fit; names PV, type and value.
        """

    @property
    def pv_access(self) -> PvAccess:
        """PVs wherever they are, on the host's own clients."""

    def devices(self) -> DevicesView:
        """Devices of the beamline file."""

    async def rescan(self, actor: Actor) -> Mapping[str, Any]:
        """Look for plugins again, start those that are new, and say what changed.

        Returns:
            Names of instances: `added`, of these `started`, `removed`, `changed`; whether a `restart_required` of the
            host takes over what was not started, and why not in `remark`.
        """

    def config(self) -> Mapping[str, Any]:
        """The settings in force with the origin of each, without secrets."""

    async def reload_config(self, actor: Actor) -> ReloadView:
        """Read the settings again, apply what needs no restart, and say what became of each that differs.

        Raises:
            BadInput: They cannot be used; nothing changes.
        """

    @property
    def installs(self) -> InstallControl:
        """Plugins that come and go."""


class InstallControl(Protocol):
    """Installing, upgrading and removing plugins while the host runs; one operation at a time."""

    def begin(self, request: InstallRequest, actor: Actor, *, plan_only: bool = False) -> OperationView:
        """Begin an operation; it goes on by itself.

        Raises:
            Refused: Installing is switched off, or another operation is under way (it is named).
            BadInput: The request makes no sense.
        """

    def operation(self, operation: str) -> OperationView:
        """One operation of this process, by its id."""

    def operations(self) -> Sequence[OperationView]:
        """All operations of this process that are remembered, newest first."""

    async def operation_over(self, operation: str, timeout: float) -> OperationView:
        """Wait until an operation is over, at most `timeout` seconds."""

    def abort(self, operation: str, actor: Actor) -> OperationView:
        """Ask an operation to end; before its switch nothing has changed then, after it that is taken back."""

    def generations(self) -> Sequence[GenerationView]:
        """What is kept, newest first; broken ones with their problem."""

    def add_instance(
        self, plugin: str, name: str, parameters: Mapping[str, Any], prefix: str | None, actor: Actor
    ) -> OperationView:
        """Make another instance of a plugin that is here; it is kept over restarts.

        Raises:
            NotFound: There is no such plugin.
            Refused: There is an instance of that name.
            BadInput: Name or prefix cannot be one.
        """

    def remove(self, instance: str, actor: Actor) -> OperationView:
        """Remove an instance, and its distribution when nothing else uses it and it came through the host.

        What pip installed in the base, and what the site file configures, is disabled instead; the message says so.
        """

    def fetch(self, instance: str, actor: Actor) -> OperationView | None:
        """Fetch the git or directory source of an instance again and change over when it differs; None without one."""

    def renew(self, instance: Instance, actor: Actor) -> str:
        """Begin to exchange an instance that was validated again for one with other records; or say why not."""

    async def rescan(self, actor: Actor) -> Mapping[str, Any]:
        """See `HostControl.rescan`."""

    def restart_host(self, actor: Actor) -> None:
        """Replace the process by a new one of itself, as soon as the state is saved and instances have stopped."""

    async def close(self) -> None:
        """The host stops: end what is under way."""
