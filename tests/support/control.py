"""A host in memory that fills `HostControl`: instances that change state at once, runs that end when told."""

from __future__ import annotations

import asyncio
import fnmatch
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from support.installs import MemoryInstalls
from support.pvs import MemoryPvs, MemoryValues
from support.specs import PREFIX, task_spec

from iocmng.errors import BadInput, NotFound, Refused
from iocmng.lifecycle import JobState, State, Trigger, allowed, next_state
from iocmng.names import did_you_mean
from iocmng.runtime.clock import RealClock
from iocmng.runtime.control import HostControl
from iocmng.runtime.events import EventBus
from iocmng.spec import Direction, InstanceSpec, Mode, ParameterValue
from iocmng.wire import (
    Actor,
    ChangedSetting,
    DevicesView,
    EventKind,
    Finding,
    HostView,
    InstanceDetail,
    InstanceView,
    Level,
    LogLine,
    MetricsView,
    ParameterView,
    PortView,
    PvView,
    ReloadView,
    RunView,
    SiteMetrics,
    Where,
)

BROKEN = Finding(
    Level.ERROR,
    "unknown-key",
    "unknown key 'intervall'",
    Where("config.yaml", 3, 5),
    "did you mean 'interval'?",
)


class MemoryControl:
    """A HostControl of dictionaries.

    Attributes:
        actors: Every actor that changed something, with what it did.
        failing: Names whose next start ends in BACKOFF.
        awaited: What `ready` says.
        full: Nothing can be kept.
        kept: How many of the changes are kept.
    """

    def __init__(self) -> None:
        self.events = EventBus(RealClock(), kept=1000)
        self.actors: list[tuple[str, Actor]] = []
        self.failing: set[str] = set()
        self.awaited: str | None = None
        self.full = False
        self.kept = 0
        self.boot_id = "boot-1"
        self.views: dict[str, InstanceView] = {}
        self.specs: dict[str, InstanceSpec] = {}
        self.lines: dict[str, list[LogLine]] = {"HOST": [LogLine(10.0, "INFO", "host", "up")]}
        self.listeners: set[asyncio.Queue[tuple[str, LogLine]]] = set()
        self.run_views: dict[str, RunView] = {}
        self.runs_over: dict[str, asyncio.Event] = {}
        self.values = MemoryValues()
        self.pv_access = MemoryPvs(self.values, self.put_pv)
        self.installs = MemoryInstalls(self.views, self.events, self.restarted)
        for name, mode in (("pump", Mode.CONTINUOUS), ("shot", Mode.TRIGGERED)):
            self.add_task(task_spec(name, mode))
        self.views["tune"] = InstanceView(
            name="tune", kind="job", plugin="tune", state="IDLE", prefix=f"{PREFIX}:TUNE", class_name="Tune"
        )
        self.views["broken"] = InstanceView(
            name="broken",
            kind="task",
            plugin="broken",
            state="INVALID",
            message="config refused",
            findings=(BROKEN,),
        )

    def add_task(self, spec: InstanceSpec) -> None:
        """Let the host have one more task, in RUN."""
        self.specs[spec.name] = spec
        self.views[spec.name] = InstanceView(
            name=spec.name,
            kind="task",
            plugin=spec.plugin.name,
            distribution=spec.plugin.distribution,
            version=spec.plugin.version,
            state="RUN",
            prefix=spec.pv_prefix,
            mode=spec.mode.value,
            cycles=7,
            pvs=len(spec.records),
            class_name=spec.class_name,
        )
        self.lines[spec.name] = []
        for port in spec.ports:
            self.values[port.record.name] = 1.5 if port.direction is Direction.INPUT else math.nan

    def restarted(self) -> None:
        """Be another process."""
        self.boot_id = f"boot-{self.installs.restarts + 1}"

    def host(self) -> HostView:
        """The host."""
        views = self.views.values()
        return HostView(
            prefix=PREFIX,
            name="test",
            state="RUN",
            version="3.0.0",
            hostname="here",
            pid=1,
            boot_id=self.boot_id,
            url="http://127.0.0.1:1",
            uptime=5.0,
            started=1.0,
            instances=len(views),
            running=sum(view.state == "RUN" for view in views),
            failed=sum(view.state in ("ERROR", "INVALID") for view in views),
            degraded=0,
            memory=80.0,
        )

    def ready(self) -> str | None:
        """What is awaited."""
        return self.awaited

    def instances(self) -> Sequence[InstanceView]:
        """All."""
        return list(self.views.values())

    def instance(self, name: str) -> InstanceDetail:
        """One."""
        view, spec = self._view(name), self.specs.get(name)
        return InstanceDetail(
            view=view,
            parameters=tuple(
                ParameterView(name=key, value=given.value, origin=given.origin)
                for key, given in (spec.parameters if spec else {}).items()
            ),
            ports=tuple(
                PortView(name=port.name, direction=port.direction.value, pv=self.pv(port.record.name))
                for port in (spec.ports if spec else ())
            ),
            allowed=tuple(verb.value for verb in allowed(State[view.state])) if view.kind == "task" else (),
        )

    def spec(self, name: str) -> InstanceSpec | None:
        """Its description."""
        return self.specs.get(name)

    def startup(self, name: str) -> Mapping[str, Any]:
        """How it starts."""
        return {"auto_start": True, "autostart_order": 3} if name in self.specs else {}

    def metrics(self) -> Sequence[MetricsView]:
        """Numbers."""
        return [
            MetricsView(
                name=name,
                duration=0.25,
                values={"queue": 3.0, "ratio": math.nan},
                evaluations=40 if name == "pump" else 0,
                unknown=4 if name == "pump" else 0,
            )
            for name in self.specs
        ]

    def act(self, name: str, verb: Trigger, actor: Actor) -> InstanceView:
        """A verb; INIT lasts until somebody waits."""
        view = self._view(name)
        if view.kind == "job":
            raise Refused(f"{name} is a job: it cannot {verb}", hint="run it")
        state = next_state(State[view.state], verb, name=name)
        self._did(f"{verb} {name}", actor)
        return self._change(name, state.name, actor)

    def enable(self, name: str, enabled: bool, actor: Actor) -> InstanceView:
        """Enabled or not."""
        self._view(name)
        self._did(f"{'enable' if enabled else 'disable'} {name}", actor)
        self.views[name] = replace(self.views[name], enabled=enabled)
        return self.views[name] if enabled else self._change(name, "END", actor)

    async def durable(self) -> None:
        """Kept, or not when `full`."""
        if self.full:
            raise OSError("no space left on device")
        self.kept = len(self.actors)

    async def settled(self, name: str, timeout: float) -> InstanceView:
        """INIT is over, well or badly."""
        await asyncio.sleep(0)
        if self._view(name).state == "INIT":
            self._change(name, "BACKOFF" if name in self.failing else "RUN", Actor())
            if name in self.failing:
                self.views[name] = replace(self.views[name], message="no such file: x")
        return self.views[name]

    def set_parameters(self, name: str, changes: Mapping[str, Any], actor: Actor) -> InstanceDetail:
        """Known ones only."""
        self._view(name)
        spec = self.specs[name]
        unknown = sorted(set(changes) - set(spec.parameters))
        if unknown:
            raise BadInput(
                f"{name} has no parameter {unknown}", hint=did_you_mean(unknown[0], spec.parameters)
            )
        self._did(f"set {name}", actor)
        given = {
            key: ParameterValue(value=value, origin="set")
            for key, value in changes.items()
            if value is not None
        }
        self.specs[name] = replace(spec, parameters={**spec.parameters, **given})
        return self.instance(name)

    def schema(self, name: str) -> Mapping[str, Any]:
        """A schema."""
        self._view(name)
        return {"type": "object", "properties": {"gain": {"type": "number"}}}

    def log(
        self, name: str, *, since: float = 0.0, level: str = "DEBUG", limit: int = 1000
    ) -> Sequence[LogLine]:
        """Kept lines."""
        order = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        lines = self.lines[name]
        return [
            line for line in lines if line.time >= since and order.index(line.level) >= order.index(level)
        ][-limit:]

    async def follow_log(self, name: str, *, level: str = "DEBUG") -> AsyncIterator[LogLine]:
        """New lines."""
        queue: asyncio.Queue[tuple[str, LogLine]] = asyncio.Queue()
        self.listeners.add(queue)
        try:
            while True:
                source, line = await queue.get()
                if source == name:
                    yield line
        finally:
            self.listeners.discard(queue)

    def write_log(self, name: str, line: LogLine) -> None:
        """Add a line; on the loop's thread."""
        self.lines[name].append(line)
        for queue in self.listeners:
            queue.put_nowait((name, line))

    async def prepare_job(self, job: str) -> None:
        """There is no code."""

    def start_run(self, job: str, arguments: Mapping[str, Any], actor: Actor) -> RunView:
        """A run that lasts until `end_run`, or that ends at once when `arguments` say how (`outcome`)."""
        if self._view(job).kind != "job":
            raise Refused(f"{job} is no job")
        if any(view.state is JobState.RUNNING for view in self.run_views.values()):
            raise Refused(f"{job} is running", hint="wait for it or abort it")
        if unknown := set(arguments) - {"bands", "outcome"}:
            raise BadInput(f"{job} has no argument {sorted(unknown)}", hint="known: bands, outcome")
        run_id = f"{job}-{len(self.run_views) + 1}"
        view = RunView(
            id=run_id, job=job, state=JobState.RUNNING, arguments=dict(arguments), started=100.0, actor=actor
        )
        self.run_views[run_id] = view
        self.runs_over[run_id] = asyncio.Event()
        self._did(f"run {job}", actor)
        if "outcome" in arguments:
            self.end_run(run_id, JobState[arguments["outcome"]])
        return self.run_views[run_id]

    def end_run(self, run_id: str, state: JobState) -> None:
        """Let a run end; on the loop's thread."""
        self.run_views[run_id] = replace(
            self.run_views[run_id],
            state=state,
            ended=101.0,
            message=state.name.lower(),
            data={"peak": math.inf},
        )
        self.runs_over[run_id].set()

    async def runs_kept(self) -> None:
        """They are in memory."""

    def runs(self, job: str) -> Sequence[RunView]:
        """Runs of a job."""
        self._view(job)
        return [view for view in reversed(self.run_views.values()) if view.job == job]

    def run(self, run_id: str) -> RunView:
        """One run."""
        if run_id not in self.run_views:
            raise NotFound(f"no run is named {run_id!r}", hint=did_you_mean(run_id, self.run_views))
        return self.run_views[run_id]

    async def run_over(self, run_id: str, timeout: float) -> RunView:
        """Wait for it."""
        try:
            async with asyncio.timeout(timeout):
                await self.runs_over[run_id].wait()
        except TimeoutError:
            pass
        return self.run_views[run_id]

    def abort(self, run_id: str, actor: Actor) -> RunView:
        """Abort it."""
        if not self.run(run_id).over:
            self._did(f"abort {run_id}", actor)
            self.end_run(run_id, JobState.ABORTED)
        return self.run_views[run_id]

    def run_log(self, run_id: str) -> Sequence[LogLine]:
        """Its log."""
        self.run(run_id)
        return [LogLine(100.5, "INFO", run_id, "tuning")]

    def trigger(self, name: str, actor: Actor) -> InstanceView:
        """Once."""
        view = self._view(name)
        if view.mode != Mode.TRIGGERED:
            raise Refused(f"{name} is {view.mode}, not triggered", hint="it runs by itself")
        self._did(f"trigger {name}", actor)
        return view

    def pvs(self, pattern: str = "*") -> Sequence[PvView]:
        """Matching PVs."""
        return [self.pv(name) for name in self.values if fnmatch.fnmatchcase(name, pattern)]

    def pv(self, name: str) -> PvView:
        """One PV."""
        full = name if name in self.values else f"{PREFIX}:{name}"
        if full not in self.values:
            raise NotFound(f"no PV is named {name!r}", hint=did_you_mean(name, self.values))
        writable = full.endswith(":LIMIT")
        return PvView(
            name=full,
            type="float",
            record_type="ao" if writable else "ai",
            value=self.values[full],
            severity="NO_ALARM",
            status="NO_ALARM",
            writable=writable,
            unit="mbar",
        )

    def put_pv(self, name: str, value: Any, actor: Actor) -> PvView:
        """Write a float."""
        view = self.pv(name)
        if not view.writable:
            raise Refused(f"{view.name} is read-only", hint="clients cannot write outputs")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadInput(f"{view.name} takes a float, got {value!r}")
        self._did(f"put {view.name}", actor)
        self.values[view.name] = float(value)
        return self.pv(name)

    def devices(self) -> DevicesView:
        """Of the beamline."""
        return DevicesView(available=("GUNFLG01", "DIPO02"), created=("GUNFLG01",))

    async def rescan(self, actor: Actor) -> Mapping[str, Any]:
        """Nothing new."""
        self._did("rescan", actor)
        return {"added": [], "removed": []}

    def config(self) -> Mapping[str, Any]:
        """Settings."""
        return {"prefix": {"value": PREFIX, "origin": "--prefix"}}

    async def site_metrics(self) -> SiteMetrics:
        """Of one package."""
        return SiteMetrics(values={"acme-site:hooks": {"acme_current": 1.5}}, failures={"acme-site:hooks": 2})

    async def reload_config(self, actor: Actor) -> ReloadView:
        """One change."""
        self._did("reload", actor)
        change = ChangedSetting(key="log.level", before="INFO", after="DEBUG", applied=True)
        return ReloadView(file="iocmng.yaml", changes=(change,))

    def _view(self, name: str) -> InstanceView:
        if name not in self.views:
            raise NotFound(f"no instance is named {name!r}", hint=did_you_mean(name, self.views))
        return self.views[name]

    def _change(self, name: str, state: str, actor: Actor) -> InstanceView:
        before = self.views[name]
        self.views[name] = replace(before, state=state)
        if before.state != state:
            self.events.publish(
                EventKind.STATE,
                instance=name,
                text=f"{before.state} → {state}",
                data={"after": state},
                actor=actor,
            )
        return self.views[name]

    def _did(self, what: str, actor: Actor) -> None:
        self.actors.append((what, actor))


def as_control(control: MemoryControl) -> HostControl:
    """The same, seen through the Protocol: a type checker compares the two here."""
    return control
