"""One IOC process: records, instances, supervision and watchdog put together, from ready to stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import random
import socket
import time
import uuid
from collections.abc import Sequence
from functools import partial
from itertools import chain

from iocmng.errors import BootFailed, IocmngError
from iocmng.host.cothreads import Scheduler
from iocmng.host.ending import Ending
from iocmng.host.heartbeats import Heartbeats
from iocmng.host.installing import Running, installs_of
from iocmng.host.installs import NoInstalls
from iocmng.host.intents import Intents
from iocmng.host.linking import Linking
from iocmng.host.loading import RecordLoader
from iocmng.host.looking import LookingAgain
from iocmng.host.making import Maker
from iocmng.host.panel import HostPanel
from iocmng.host.plan import HostPlan
from iocmng.host.problems import present_problems
from iocmng.host.pump import Pump
from iocmng.host.service import HostService
from iocmng.host.site_hooks import SiteHooks
from iocmng.host.spares import spare_counts, tasks_that_fit
from iocmng.ioc import SoftIoc
from iocmng.lifecycle import HostState, State, Trigger
from iocmng.links import pv_client
from iocmng.links.selfcheck import check_served
from iocmng.names import Provider
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.hooks import Hooks
from iocmng.runtime.authorloop import ThreadedAuthorLoop
from iocmng.runtime.autosave import Autosave
from iocmng.runtime.clock import RealClock
from iocmng.runtime.control import InstallControl
from iocmng.runtime.desired import DesiredState, Intent
from iocmng.runtime.environment import Environment
from iocmng.runtime.events import EventBus
from iocmng.runtime.instance import Instance
from iocmng.runtime.jobyard import JobYard
from iocmng.runtime.logs import LogBook
from iocmng.runtime.ports import RecordPort
from iocmng.runtime.runs_disk import DiskRuns
from iocmng.runtime.supervisor import Supervisor
from iocmng.runtime.watchdog import Beat, Watchdog
from iocmng.spec import RecordSpec
from iocmng.spec.defaults import host_records
from iocmng.values import Reading
from iocmng.version import VERSION
from iocmng.wire import Actor, Event, EventKind, HostView, ReloadView

_Specs = Sequence[RecordSpec]
_log = logging.getLogger("iocmng.host")
BOOT = Actor(via="host")
STOP_SLACK = 0.5
COUNT_AFTER = 0.1
_OVER = (State.END.name, State.ERROR.name, State.BACKOFF.name)


class Host:
    """A host between its records and its end; made and used on the thread of its running loop.

    Args:
        plan: What it is made from.
        logs: All logs.
        desired: What operators asked for, loaded.
        hooks: Registered hooks.
    """

    def __init__(self, plan: HostPlan, logs: LogBook, desired: DesiredState, hooks: Hooks) -> None:
        self.plan = plan
        self.url = ""
        self.boot_id = uuid.uuid4().hex[:12]
        self.ending = Ending()
        self.state = HostState.STARTING
        self.ca_port = self.pva_port = 0
        self._started = time.time()
        self._loop = asyncio.get_running_loop()
        self._clock = RealClock()
        self._desired = desired
        self._pump = Pump(self._loop, self._clock)
        self._intents = Intents(desired, self._loop)
        self._problems = list(plan.problems)
        self._records: RecordPort = SoftIoc(
            state_dir=plan.state_dir, loop=self._loop, access_security=plan.access_security, pva=plan.pva
        )
        self._linking = Linking(
            Provider(pv_client.get_provider()),
            self._records,
            self._clock,
            plan.state_dir,
            self._pump.agenda.post,
            lambda put: self.supervisor.on_put(put),
        )
        self._environment = Environment(
            records=self._records,
            clock=self._clock,
            events=EventBus(self._clock),
            authors=ThreadedAuthorLoop(),
            post=self._pump.agenda.post,
            after=self._pump.agenda.after,
            random=random.random,
            demand_exit=self.ending.demand,
            note=plan.note,
            wiring=self._linking.wiring,
            evaluation=self._linking.evaluation,
            latches=self._linking.latches,
            cothreads=Scheduler(self._clock),
        )
        self.supervisor = Supervisor(self._environment)
        self.supervisor.acted = self._intents.acted
        self._autosave = (
            Autosave(plan.autosave_dir, self._clock, period=plan.autosave_period, keep=plan.autosave_keep)
            if plan.autosave_dir
            else None
        )
        client = self._linking.client
        self._heartbeats = Heartbeats(client, client.default, self._pump.agenda.post)
        self._host_records: dict[str, RecordSpec] = host_records(plan.prefix) if plan.host_pvs else {}
        self._logs = logs
        self._runs = DiskRuns(plan.state_dir / "runs", plan.keep_runs)
        self._yard = JobYard(self._runs, roots=plan.script_roots)
        self.site = SiteHooks(hooks, self._runs.run)
        looking = LookingAgain(plan.look_at, self._loop, self._environment.post) if plan.look_at else None
        self._maker = Maker(plan, self._environment, self._yard, self._intents, looking)
        self._panel: HostPanel | None = None
        self._watchdog: Watchdog | None = None
        self._made: list[Candidate] = []
        self._awaiting: set[str] = set()
        self._counting = False
        self._beat_found: Beat | None = None
        self.service: HostService | None = None

    def make_records(self) -> None:
        """Load the records of the host and of every instance; one whose records EPICS refuses is INVALID.

        Raises:
            BootFailed: Those of the host itself are refused.
        """
        try:
            self._records.load(self._host_records.values(), source="HOST")
        except IocmngError as error:
            raise BootFailed(f"the host's own records: {error.detail}", hint=error.hint) from error
        loader = RecordLoader(
            self._records, self.supervisor.listen, self._autosave, self._complain, self.plan.prefix
        )
        self._made = [loader.load(candidate) for candidate in self.plan.candidates]
        if self.plan.installing is not None:
            spares = self.plan.installing.spares
            self._records.reserve(spare_counts(spares), array_length=spares.array_length)
        self._panel = HostPanel(
            {name: self._records.record(spec.name) for name, spec in self._host_records.items()},
            self._started,
        )

    def _complain(self, problem: str) -> None:
        _log.error("%s", problem)
        self._problems.append(problem)

    def serve_records(self) -> None:
        """Serve them, and make sure that they answer and that outputs are protected.

        Raises:
            RecordError: They do not.
        """
        endpoints = self._records.start()
        self.ca_port, self.pva_port = endpoints.ca_port, endpoints.pva_port
        for note in endpoints.notes:
            self._complain(note)
        self._yard.recover(self._environment.post)
        for candidate in self._made:
            self.supervisor.add(self._maker.make(candidate))
        outputs = (record for made in self._made for record in made.spec.records if not record.writable)
        probe = next(chain(self._host_records.values(), outputs), None)
        if probe is not None and self.plan.pva:
            check_served(probe.name, probe.name, self.ca_port, self.pva_port)
        self._records.on_trace(self._environment.events.audit_put)
        self._environment.events.subscribe(self._on_event)

    def begin(self) -> None:
        """Start instances as settings and operators want, and the watchdog; the host is in RUN then."""
        wanted = {instance.name: self._intents.apply(instance) for instance in self.supervisor}
        if self._autosave is not None:
            for instance in self.supervisor:
                self._autosave.watch(instance.name, instance.spec.records, self._read)
            self._autosave.start()
        self._enter(
            HostState.SAFE_MODE if self.plan.safe_mode else HostState.RUN, self.plan.safe_mode or "ready"
        )
        if self._panel is not None:
            self._panel.count(self.supervisor)
            self._panel.introduce(self.boot_id, self.url)
            self._panel.show("SPARES_FREE", tasks_that_fit(self._records.spares()))
        self.service = HostService(
            self.supervisor,
            records=self._records,
            links=self._linking.client,
            provider=self._linking.client.default,
            beamline=self.plan.beamline,
            host_records=tuple(self._host_records.values()),
            logs=self._logs,
            runs=self._runs,
            desired=self._desired,
            describe_host=self.view,
            describe_config=self.plan.describe_config,
            site_metrics=self.site.metrics,
            reload=self._reload,
        )
        self.service.installs = self._installs(self.service)
        self._maker.replace = self.service.installs.renew
        self.service.serving = True
        names = {instance.name for instance in self.supervisor if self._starts(instance)}
        paused = {name for name, desired in wanted.items() if desired.intent is Intent.PAUSED}
        self.supervisor.start(names, paused, BOOT)
        self._watchdog = Watchdog(
            self._clock,
            self._pump.agenda,
            self.supervisor.ordered,
            self.supervisor.check_progress,
            self._beat,
        )
        self._watchdog.start()
        self.site.started(self.service)

    def _starts(self, instance: Instance) -> bool:
        wanted = not self.plan.only or instance.name in self.plan.only
        return wanted and self._intents.starts(instance) and not self.ending.under_way

    def _installs(self, service: HostService) -> InstallControl:
        if self.plan.installing is None:
            return NoInstalls(self.ending)
        return installs_of(
            self.plan.installing,
            Running(
                supervisor=self.supervisor,
                make=self._make,
                told=partial(self._told, service),
                autosave=self._autosave,
                desired=self._desired,
                starts=self._starts,
                disable=lambda name, actor: service.enable(name, False, actor),
                restart_required=partial(self._wait_for_restart, "generation"),
                ending=self.ending,
                boot_id=self.boot_id,
                state_dir=self.plan.state_dir,
                safe_mode=self.plan.safe_mode,
            ),
        )

    def _make(self, candidate: Candidate) -> Instance:
        """An instance that arrives while the host runs."""
        instance = self._maker.make(candidate)
        self._intents.apply(instance)
        return instance

    def _told(self, service: HostService, appeared: _Specs, gone: _Specs) -> None:
        """Records have come or gone."""
        service.own.changed(appeared, gone)
        self._linking.rebind(record.name for record in (*appeared, *gone))
        if self._panel is not None:
            self._panel.show("SPARES_FREE", tasks_that_fit(self._records.spares()))
        self._count()

    def _wait_for_restart(self, what: str, waits: bool) -> None:
        """Say whether something of a kind takes effect with the next start of the host."""
        (self._awaiting.add if waits else self._awaiting.discard)(what)
        if self._panel is not None:
            self._panel.show("RESTART_REQUIRED", bool(self._awaiting))

    def _read(self, name: str) -> Reading:
        return self._records.record(name).read()

    async def _reload(self) -> ReloadView:
        view = await self.plan.reload()
        self._wait_for_restart("settings", view.restart_required)
        return view

    def _enter(self, state: HostState, message: str) -> None:
        self.state = state
        if self._panel is not None:
            self._panel.state(state)
            self._panel.show("MESSAGE", message)
        _log.info("%s: %s", state.name, message)
        self._environment.events.publish(EventKind.HOST, text=message, data={"state": state.name})

    def _beat(self, beat: Beat) -> None:
        """On the watchdog's thread."""
        assert self._panel is not None
        self._beat_found = beat
        self.site.look()
        instances = self.supervisor.ordered()
        for instance in instances:
            instance.tick()
        self._heartbeats.tick(instances, beat.now)
        self._panel.beat(beat)

    def _on_event(self, event: Event) -> None:
        """Any thread."""
        self.site.heard(event)
        if event.kind is EventKind.STATE and event.data["after"] in _OVER:
            pv_client.release(event.instance)
        if event.kind is EventKind.PUT and self._autosave is not None:
            self._autosave.touch(event.instance)
        if event.kind in (EventKind.STATE, EventKind.DEGRADED) and not self._counting:
            self._counting = True
            # A thousand starts are counted some times, not a thousand times.
            self._environment.after(COUNT_AFTER, self._count)

    def _count(self) -> None:
        self._counting = False
        if self._panel is not None:
            self._panel.count(self.supervisor)

    @property
    def events(self) -> EventBus:
        """The bus."""
        return self._environment.events

    async def stop(self) -> None:
        """Stop all instances, dependents first, each within its own `stop_timeout`, and save inputs."""
        assert self.service is not None
        await self.service.installs.close()
        self._enter(
            HostState.STOPPING, self.ending.reason or ("restarting" if self.ending.again else "stopping")
        )
        await self.site.stopping()
        for wave in self.supervisor.stop_waves():
            for instance in wave:
                instance.apply(Trigger.STOP, BOOT)
            limit = max((one.spec.supervision.stop_timeout for one in wave), default=0.0) + STOP_SLACK
            end = self._clock.monotonic() + limit
            while not all(one.shutdown_done() for one in wave) and self._clock.monotonic() < end:
                await asyncio.sleep(0.005)
        if self._watchdog is not None:
            self._watchdog.stop()
        self._heartbeats.close()
        await asyncio.to_thread(self._save)

    def _save(self) -> None:
        if self._autosave is not None:
            self._autosave.close()
        try:
            self._desired.commit()
        except OSError as error:
            _log.error("what operators asked for cannot be kept: %s", error)
        self._runs.close()
        self.site.close()
        self._linking.close()

    def view(self) -> HostView:
        """The host as the world sees it."""
        if self._panel is not None:
            self._panel.count(self.supervisor)
        counts = self._panel.counts if self._panel else {}
        return HostView(
            prefix=self.plan.prefix,
            name=self.plan.name,
            state=self.state.name,
            version=VERSION,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            boot_id=self.boot_id,
            url=self.url,
            uptime=time.time() - self._started,
            started=self._started,
            instances=counts.get("INSTANCES", 0),
            running=counts.get("RUNNING", 0),
            failed=counts.get("FAILED", 0),
            degraded=counts.get("DEGRADED", 0),
            cpu=self._panel.cpu if self._panel else 0.0,
            memory=self._panel.memory if self._panel else 0.0,
            python=platform.python_version(),
            ca_port=self.ca_port,
            pva_port=self.pva_port,
            records=len(self._host_records) + sum(len(one.spec.records) for one in self.supervisor),
            state_dir=str(self.plan.state_dir),
            message=self.plan.safe_mode,
            default_prefix=self.plan.default_prefix,
            problems=(
                *self._problems,
                *self.site.problems,
                *present_problems(
                    self._beat_found,
                    (self._desired, self._autosave, self._linking, self._runs),
                    self._logs.lost,
                ),
            ),
        )
