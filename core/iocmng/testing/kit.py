"""Run one task or job with fake records and a virtual clock: no network, no sleeping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from iocmng.base import DeclarativeTask, JobBase, JobResult, TaskBase
from iocmng.lifecycle import JobState, Trigger
from iocmng.names import did_you_mean
from iocmng.runtime.agenda import Agenda
from iocmng.runtime.environment import Environment
from iocmng.runtime.evaluation import MemoryLatches, RunQueue
from iocmng.runtime.events import EventBus
from iocmng.runtime.instance import Instance
from iocmng.runtime.job import JobInstance
from iocmng.runtime.jobyard import JobYard
from iocmng.runtime.outputs import empty
from iocmng.runtime.runs import MemoryRuns
from iocmng.runtime.supervisor import Supervisor
from iocmng.runtime.task import TaskInstance
from iocmng.runtime.watchdog import PERIOD, Beat, Watchdog
from iocmng.runtime.wiring import LocalPvs, Routed, Wiring
from iocmng.spec import Direction, InstanceSpec, Kind, RecordSpec
from iocmng.testing.clock import VirtualAuthorLoop, VirtualClock
from iocmng.testing.links import FakeLinks
from iocmng.testing.records import FakeRecords
from iocmng.testing.subject import describe_subject
from iocmng.values import Reading, Severity, Value
from iocmng.wire import Actor, Event

TESTER = Actor(user="test", via="pv")


class Bench:
    """A host in miniature for one instance and others beside it: supervision, fake records and links, a virtual clock.

    Attributes:
        links: The PVs elsewhere, which the test serves and cuts off.
        latches: What is latched, over restarts of the instance.
    """

    def __init__(
        self, spec: InstanceSpec, *others: InstanceSpec, spares: Mapping[str, int] | None = None
    ) -> None:
        self.spec = spec
        self.clock = VirtualClock()
        self.records = FakeRecords(self.clock)
        self.links = FakeLinks(self.clock.time, self.clock)
        self.latches = MemoryLatches()
        self.exit_demanded = ""
        self._events: list[Event] = []
        self._agenda = Agenda(self.clock, lambda: None)
        bus = EventBus(self.clock)
        bus.subscribe(self._events.append)
        self.environment = Environment(
            records=self.records,
            clock=self.clock,
            events=bus,
            authors=VirtualAuthorLoop(self.clock),
            post=self._agenda.post,
            after=self._agenda.after,
            random=lambda: 0.5,
            demand_exit=self._demand_exit,
            wiring=Wiring(Routed(LocalPvs(self.records, self._put_inside), self.links), self.clock),
            evaluation=RunQueue(self.clock),
            latches=self.latches,
        )
        for each in (spec, *others):
            self.records.load(each.records, source=each.name)
        self.records.reserve(spares or {}, array_length=100)
        self.supervisor = Supervisor(self.environment)
        for each in (spec, *others):
            self.supervisor.listen(each.records)
        self.records.start()
        self._serve_targets()
        self._watchdog = Watchdog(
            self.clock, self._agenda, self.supervisor.ordered, self.supervisor.check_progress, self._beat
        )
        self._agenda.after(PERIOD, self._tick)

    def _serve_targets(self) -> None:
        """Let the PVs of linked outputs take values from the start; inputs are not connected before a `put`."""
        for port in self.spec.ports:
            if port.link is not None and port.direction is Direction.OUTPUT:
                self.links.serve(str(port.link.address), empty(port.record), labels=port.record.labels)

    def _put_inside(self, name: str, value: Value) -> None:
        self.records.client_put(name, value)

    def _demand_exit(self, reason: str) -> None:
        self.exit_demanded = reason

    def _beat(self, beat: Beat) -> None:
        """The kit has no host PVs."""

    def _tick(self) -> None:
        self._agenda.after(PERIOD, self._tick)
        self._watchdog.tick()

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, stopping wherever something is due, until all code waits again.

        Raises:
            TimeoutError: Code under test waits for something else than this clock.
        """
        end = self.clock.monotonic() + seconds
        while True:
            self._settle()
            dues = [due for due in (self.clock.next_deadline(), self._agenda.next_due()) if due is not None]
            if not dues or min(dues) > end:
                break
            self.clock.move_to(min(dues))
        self.clock.move_to(end)
        self._settle()

    def _settle(self) -> None:
        while True:
            self.clock.rest()
            due = self._agenda.next_due()
            if due is None or due > self.clock.monotonic():
                return
            self._agenda.run_due()

    @property
    def events(self) -> Sequence[Event]:
        """Everything that happened, oldest first."""
        return tuple(self._events)

    def record(self, name: str) -> RecordSpec:
        """The record of a port or default PV.

        Raises:
            KeyError: There is none; the text names the nearest one.
        """
        known = {record.port: record for record in self.spec.records}
        if name not in known:
            raise KeyError(f"{self.spec.name} has no PV {name!r}; {did_you_mean(name, known)}")
        return known[name]

    def address(self, name: str) -> str:
        """The PV that a port is linked to.

        Raises:
            KeyError: There is no such port, or it is not linked.
        """
        linked = {port.name: port.link for port in self.spec.ports if port.link is not None}
        if name not in linked:
            hint = did_you_mean(name, linked) or "none is"
            raise KeyError(f"port {name!r} of {self.spec.name} is not linked; {hint}")
        return str(linked[name].address)

    def reading(self, name: str) -> Reading:
        """What a client would read."""
        reading: Reading = self.records.record(self.record(name).name).read()
        return reading

    def put(self, name: str, value: object) -> None:
        """Write as a client would, or let the PV of a linked input have a value; the instance takes it in.

        Raises:
            ValueError: Clients may not write it, or the value does not fit.
        """
        record = self.record(name)
        linked = any(port.name == name and port.link is not None for port in self.spec.ports)
        if linked:
            self.links.serve(self.address(name), value, labels=record.labels)  # type: ignore[arg-type]
        else:
            self.records.client_put(record.name, value)
        self.step()


class InstanceUnderTest:
    """What tests of tasks and jobs share. A context manager: leaving it stops the instance."""

    def __init__(self, spec: InstanceSpec) -> None:
        self.bench = Bench(spec)
        self.instance = self._make()
        self.bench.supervisor.add(self.instance)

    def _make(self) -> Instance:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the instance and let its code end."""
        self.instance.apply(Trigger.STOP, TESTER)
        self.bench.step(self.bench.spec.supervision.stop_timeout)

    def step(self, seconds: float = 0.0) -> None:
        """Let so many seconds pass."""
        self.bench.step(seconds)

    def put(self, name: str, value: object) -> None:
        """Write an input or default PV as a client would; the PV of a linked input gets the value."""
        self.bench.put(name, value)

    def disconnect(self, name: str) -> None:
        """Let the PV that a port is linked to stop answering."""
        self.bench.links.disconnect(self.bench.address(name))
        self.bench.step()

    def reconnect(self, name: str) -> None:
        """Let the PV that a port is linked to answer again, with the value it had."""
        self.bench.links.reconnect(self.bench.address(name))
        self.bench.step()

    def sent(self, name: str) -> tuple[Value, ...]:
        """What the PV that a port is linked to was given, oldest first."""
        address = self.bench.address(name)
        return tuple(value for pv, value in self.bench.links.puts if pv == address)

    def get(self, name: str) -> Value | None:
        """The value a client would read."""
        return self.bench.reading(name).value

    def severity(self, name: str) -> Severity:
        """The severity a client would read."""
        return self.bench.reading(name).severity

    def reading(self, name: str) -> Reading:
        """Value, severity, status and time as a client would read them."""
        return self.bench.reading(name)

    @property
    def status(self) -> str:
        """STATUS as a word."""
        return self.instance.view().state

    @property
    def message(self) -> str:
        """MESSAGE in full."""
        return self.instance.message

    @property
    def last_error(self) -> str:
        """LAST_ERROR in full."""
        return self.instance.last_error

    @property
    def events(self) -> Sequence[Event]:
        """Everything that happened, oldest first."""
        return self.bench.events


class TaskUnderTest(InstanceUnderTest):
    """A task that has been started."""

    def __init__(self, cls: type[TaskBase], spec: InstanceSpec) -> None:
        self._cls = cls
        super().__init__(spec)

    def _make(self) -> TaskInstance:
        return TaskInstance(self.bench.spec, self.bench.environment, load=lambda: self._cls)

    def act(self, verb: str) -> None:
        """Apply start, stop, pause, resume, restart or reset, and let the task take it in."""
        self.bench.supervisor.act(self.instance.name, Trigger(verb), TESTER)
        self.bench.step()

    @property
    def task(self) -> TaskInstance:
        """The instance in the host's own terms: counters, state, history."""
        assert isinstance(self.instance, TaskInstance)
        return self.instance


class JobUnderTest(InstanceUnderTest):
    """A job, idle."""

    def __init__(self, cls: type[JobBase], spec: InstanceSpec) -> None:
        self._cls = cls
        super().__init__(spec)

    def _make(self) -> JobInstance:
        yard = JobYard(MemoryRuns())
        job = JobInstance(self.bench.spec, self.bench.environment, yard, load=lambda: self._cls)
        job.load_class()
        return job

    @property
    def job(self) -> JobInstance:
        """The instance in the host's own terms."""
        assert isinstance(self.instance, JobInstance)
        return self.instance

    def run(self, arguments: Mapping[str, object] | None = None, *, longest: float = 3600.0) -> JobResult:
        """Run it once to its end, at most `longest` virtual seconds."""
        view = self.job.start_run(arguments or {}, TESTER)
        spent = 0.0
        while not (view := self.job.store.run(view.id)).over and spent <= longest:
            self.bench.step(1.0 if spent else 0.0)
            spent += 1.0
        return JobResult(view.state is JobState.SUCCESS, view.data, view.message)


def run_task(
    cls: type[TaskBase] | None,
    config: str | Path | Mapping[str, Any] = "config.yaml",
    *,
    inputs: Mapping[str, object] | None = None,
    parameters: Mapping[str, Any] | None = None,
    name: str = "task",
    start: bool = True,
) -> TaskUnderTest:
    """Run a task with fake records and a virtual clock.

    Args:
        cls: The class; None for a plugin that is only a config.
        config: A mapping, a path, or a file name beside the module of the class.
        inputs: Values of inputs before the start.
        parameters: Override those of the config.
        name: Name of the instance.
        start: Start it, until it waits for the first time.

    Raises:
        BadInput: The config has errors; the text holds all of them.
        FileNotFoundError: There is no such config.
    """
    used: type[TaskBase] = cls or DeclarativeTask
    under_test = TaskUnderTest(used, describe_subject(used, Kind.TASK, config, parameters, name))
    _set(under_test.put, inputs)
    if start:
        under_test.act("start")
    return under_test


def run_job(
    cls: type[JobBase],
    config: str | Path | Mapping[str, Any] = "config.yaml",
    *,
    parameters: Mapping[str, Any] | None = None,
    **arguments: object,
) -> JobResult:
    """Run a job once with fake records and a virtual clock; `arguments` are its inputs."""
    with make_job(cls, config, parameters=parameters) as job:
        return job.run(arguments)


def make_job(
    cls: type[JobBase],
    config: str | Path | Mapping[str, Any] = "config.yaml",
    *,
    parameters: Mapping[str, Any] | None = None,
    name: str = "job",
) -> JobUnderTest:
    """A job that can be run, aborted and looked at step by step."""
    return JobUnderTest(cls, describe_subject(cls, Kind.JOB, config, parameters, name))


def _set(put: Callable[[str, object], None], values: Mapping[str, object] | None) -> None:
    for name, value in (values or {}).items():
        put(name, value)
