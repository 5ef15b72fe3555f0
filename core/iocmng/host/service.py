"""The host as its admin endpoint sees it: HostControl over the supervisor, the logs and the records."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from iocmng.base.beamline import describe_devices
from iocmng.base.devices import created_devices
from iocmng.errors import BadInput, NotFound, Refused
from iocmng.host.inside import client_value
from iocmng.host.installs import NoInstalls
from iocmng.host.own_pvs import OwnPvs
from iocmng.host.parameters import changed_values, parameter_views, schema_of
from iocmng.host.pv_access import HostPvs
from iocmng.host.views import pv_view, task_detail
from iocmng.lifecycle import Trigger
from iocmng.names import Provider
from iocmng.runtime.control import InstallControl
from iocmng.runtime.desired import DesiredState, Intent
from iocmng.runtime.events import EventBus
from iocmng.runtime.instance import Instance
from iocmng.runtime.job import JobInstance
from iocmng.runtime.logs import HOST, LogBook
from iocmng.runtime.ports import Put, PvClient, RecordPort
from iocmng.runtime.runs import RunStore
from iocmng.runtime.supervisor import Supervisor
from iocmng.runtime.task import TaskInstance
from iocmng.spec import InstanceSpec, RecordSpec
from iocmng.wire import (
    Actor,
    DevicesView,
    Event,
    EventKind,
    HostView,
    InstanceDetail,
    InstanceView,
    LogLine,
    MetricsView,
    PvView,
    ReloadView,
    RunView,
    SiteMetrics,
)

_log = logging.getLogger("iocmng.host")
RUNS_KEPT = 2.0
"""Seconds that an answer waits for a run's record to be on disk; a disk that fails refuses no run."""


class HostService:
    """Implements HostControl."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        records: RecordPort,
        links: PvClient,
        provider: Provider,
        beamline: Mapping[str, Any],
        host_records: Sequence[RecordSpec],
        logs: LogBook,
        runs: RunStore,
        desired: DesiredState,
        describe_host: Callable[[], HostView],
        describe_config: Callable[[], Mapping[str, Any]],
        site_metrics: Callable[[], Awaitable[SiteMetrics]],
        reload: Callable[[], Awaitable[ReloadView]],
    ) -> None:
        self._supervisor = supervisor
        self._records = records
        self.own = OwnPvs(supervisor, host_records, describe_host().prefix)
        self._logs = logs
        self._runs = runs
        self._desired = desired
        self._describe_host = describe_host
        self._describe_config = describe_config
        self._site_metrics = site_metrics
        self._reload = reload
        self._beamline = beamline
        self._pv_access = HostPvs(
            links, provider, own=self.own, records=records, put_own=self.put_pv, events=self.events
        )
        self.serving = False
        self.installs: InstallControl = NoInstalls()

    @property
    def events(self) -> EventBus:
        """The bus."""
        return self._supervisor.env.events

    def host(self) -> HostView:
        """The host itself."""
        return self._describe_host()

    def ready(self) -> str | None:
        """None when records are served and no start is pending, else what is awaited."""
        if not self.serving:
            return "records are not served yet"
        pending = self._supervisor.pending()
        return f"{pending} is starting" if pending else None

    def instances(self) -> Sequence[InstanceView]:
        """All instances and broken plugins, by start order and name."""
        return [instance.view() for instance in self._supervisor]

    def instance(self, name: str) -> InstanceDetail:
        """Everything of one."""
        instance = self._supervisor.get(name)
        return task_detail(instance, self._records, parameter_views(instance))

    def act(self, name: str, verb: Trigger, actor: Actor) -> InstanceView:
        """Apply start, stop, pause, resume, restart or reset."""
        return self._supervisor.act(name, verb, actor).view()

    def enable(self, name: str, enabled: bool, actor: Actor) -> InstanceView:
        """Let it start at boot or not; disabling also stops it now."""
        instance = self._supervisor.get(name)
        if not enabled:
            instance.apply(Trigger.STOP, actor)
        instance.enabled = enabled
        self._desired.set_enabled(name, enabled)
        if enabled and self._desired.of(name).intent is Intent.STOPPED:
            self._desired.set_intent(name, None)
        self.events.publish(
            EventKind.AUDIT,
            instance=name,
            text="enable" if enabled else "disable",
            data={"enabled": enabled},
            actor=actor,
        )
        return instance.view()

    async def durable(self) -> None:
        """Have all that operators asked on disk."""
        await asyncio.to_thread(self._desired.commit)

    async def runs_kept(self) -> None:
        """Have records of runs on disk, as far as the disk takes them."""
        await asyncio.to_thread(self._runs.flush, RUNS_KEPT)

    async def settled(self, name: str, timeout: float) -> InstanceView:
        """Wait until a pending transition of `name` is over, at most `timeout` seconds."""
        self._supervisor.get(name)
        # Another one may take its place meanwhile.
        await self._wait(lambda: _settled(self._supervisor.get(name)), name, timeout)
        return self._supervisor.get(name).view()

    async def _wait(self, over: Callable[[], bool], name: str, timeout: float) -> None:
        """Look again at each event of an instance, and four times a second for what tells none."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()

        def tell(event: Event) -> None:
            if event.instance == name:
                loop.call_soon_threadsafe(told.set)

        undo = self.events.subscribe(tell)
        end = loop.time() + timeout
        try:
            while not over() and loop.time() < end:
                told.clear()
                try:
                    await asyncio.wait_for(told.wait(), min(0.25, max(0.0, end - loop.time())))
                except TimeoutError:
                    continue
        finally:
            undo()

    def set_parameters(self, name: str, changes: Mapping[str, Any], actor: Actor) -> InstanceDetail:
        """Set parameters (None drops one); all or none."""
        instance = self._supervisor.get(name)
        kept = dict(self._desired.of(name).parameters)
        values, live = changed_values(instance, changes, kept)
        self._desired.set_parameters(name, kept)
        before = instance.plain_values()
        instance.values = values
        for key in changes:
            if key in live and isinstance(instance, TaskInstance) and instance.run is not None:
                instance.run.parameters = live[key]
            else:
                instance.pending.add(key)
        after = instance.plain_values()
        text = ", ".join(f"{key}: {before.get(key)!r} -> {after.get(key)!r}" for key in changes)
        self.events.publish(
            EventKind.PARAMETER, instance=name, text=text, data={"names": list(changes)}, actor=actor
        )
        return self.instance(name)

    def schema(self, name: str) -> Mapping[str, Any]:
        """JSON Schema of the instance's parameters, of a job's arguments under `arguments`."""
        return schema_of(self._supervisor.get(name))

    def startup(self, name: str) -> Mapping[str, Any]:
        """How an instance starts."""
        instance = self._supervisor.get(name)
        return {
            "auto_start": instance.enabled and self._desired.of(name).intent is not Intent.STOPPED,
            "auto_start_on_boot": instance.enabled,
            "autostart_order": instance.spec.supervision.start_order,
            "parameters": instance.plain_values(),
        }

    def spec(self, name: str) -> InstanceSpec | None:
        """The frozen description of an instance."""
        return self._supervisor.get(name).spec

    def metrics(self) -> Sequence[MetricsView]:
        """Numbers of all instances as they were last collected."""
        return [
            MetricsView(
                name=one.name,
                duration=one.counters.last_duration,
                values=dict(one.counters.metrics),
                evaluations=one.evaluations,
                unknown=sum(one.unknowns.values()),
            )
            for one in self._supervisor
            if isinstance(one, TaskInstance)
        ]

    async def site_metrics(self) -> SiteMetrics:
        """Numbers of packages with hooks."""
        return await self._site_metrics()

    def log(
        self, name: str, *, since: float = 0.0, level: str = "DEBUG", limit: int = 1000
    ) -> Sequence[LogLine]:
        """Lines of an instance's log, oldest first."""
        return self._logs.lines(self._log_name(name), since=since, level=level, limit=limit)

    def follow_log(self, name: str, *, level: str = "DEBUG") -> AsyncIterator[LogLine]:
        """New lines as they come."""
        return self._logs.follow(self._log_name(name), level=level)

    def _log_name(self, name: str) -> str:
        return HOST if name == HOST else self._supervisor.get(name).name

    async def prepare_job(self, job: str) -> None:
        """Have the code of a job loaded, as far as it can be."""
        instance = self._supervisor.job(job)
        if instance.cls is not None or not instance.spec.class_name:
            return
        try:
            limit = instance.spec.supervision.start_timeout
            await asyncio.wait_for(asyncio.to_thread(instance.load_class), limit)
        except Exception as error:  # noqa: BLE001 - a border: an author's module runs; the run itself tells it
            _log.warning("%s: its code cannot be loaded: %s", job, error)

    def start_run(self, job: str, arguments: Mapping[str, Any], actor: Actor) -> RunView:
        """Start a run."""
        return self._supervisor.job(job).start_run(arguments, actor)

    def runs(self, job: str) -> Sequence[RunView]:
        """Runs of a job, newest first."""
        return self._runs.runs(self._supervisor.job(job).name)

    def run(self, run_id: str) -> RunView:
        """One run."""
        try:
            return self._runs.run(run_id)
        except KeyError:
            raise NotFound(f"no run {run_id!r}", hint="iocmng job history NAME lists the kept ones") from None

    async def run_over(self, run_id: str, timeout: float) -> RunView:
        """Wait until a run is over, at most `timeout` seconds."""
        await self._wait(lambda: self.run(run_id).over, self.run(run_id).job, timeout)
        return self.run(run_id)

    def abort(self, run_id: str, actor: Actor) -> RunView:
        """Ask a run to end; idempotent."""
        job = self._supervisor.job(self.run(run_id).job)
        job.abort_run(run_id, actor)
        return self.run(run_id)

    def run_log(self, run_id: str) -> Sequence[LogLine]:
        """The log of one run."""
        self.run(run_id)
        return self._runs.log(run_id)

    def trigger(self, name: str, actor: Actor) -> InstanceView:
        """Run a triggered task once, as its RUN PV does."""
        instance = self._supervisor.get(name)
        if not isinstance(instance, TaskInstance) or "RUN" not in instance.spec.defaults:
            raise Refused(
                f"{name} is not a triggered task", hint="start it, or run a job with: iocmng job run"
            )
        instance.trigger(None, actor)
        self.events.publish(EventKind.AUDIT, instance=name, text="run", actor=actor)
        return instance.view()

    def pvs(self, pattern: str = "*") -> Iterator[PvView]:
        """This host's PVs: of an instance by its name, or by a shell pattern of `INSTANCE:PORT` or full names."""
        for spec in self.own.matching(pattern):
            yield pv_view(spec, self._records.record(spec.name))

    def pv(self, name: str) -> PvView:
        """One PV of this host, by full name or `INSTANCE:PORT`."""
        spec = self.own.get(name)
        return pv_view(spec, self._records.record(spec.name))

    def put_pv(self, name: str, value: Any, actor: Actor) -> PvView:
        """Write one of this host's writable PVs as a client would."""
        spec = self.own.get(name)
        if not spec.writable:
            raise Refused(
                f"{spec.name} is read-only",
                hint="only inputs and the default PVs for operators can be written",
            )
        try:
            fitting = client_value(spec, value)
        except (TypeError, ValueError) as error:
            raise BadInput(str(error), code="value") from error
        self._records.record(spec.name).assign(fitting)
        self._supervisor.on_put(Put(spec.name, fitting, actor, lambda: None))
        return self.pv(spec.name)

    @property
    def pv_access(self) -> HostPvs:
        """PVs wherever they are."""
        return self._pv_access

    def devices(self) -> DevicesView:
        """Devices of the beamline file."""
        return DevicesView(available=tuple(describe_devices(self._beamline)), created=created_devices())

    async def rescan(self, actor: Actor) -> Mapping[str, Any]:
        """Look for plugins again, start those that are new, and say what changed."""
        return await self.installs.rescan(actor)

    def config(self) -> Mapping[str, Any]:
        """The settings in force with the origin of each, without secrets."""
        return self._describe_config()

    async def reload_config(self, actor: Actor) -> ReloadView:
        """Read the settings again and apply what needs no restart."""
        view = await self._reload()
        told = [f"{one.key}: {one.before!r} -> {one.after!r}" for one in view.changes]
        text = f"config reload: {'; '.join(told) or 'nothing changed'}"
        keys = {one.key: one.applied for one in view.changes}
        self.events.publish(EventKind.AUDIT, text=text, data={"applied": keys}, actor=actor)
        return view


def _settled(instance: Instance) -> bool:
    if isinstance(instance, TaskInstance):
        return instance.settled()
    return not (
        isinstance(instance, JobInstance) and instance.current is not None and instance.current.leaving
    )
