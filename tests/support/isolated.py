"""A task in a worker beside records in memory: the part of a host that isolation has to do with, without EPICS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iocmng.config import parse_config
from iocmng.lifecycle import State, Trigger
from iocmng.runtime.agenda import Agenda
from iocmng.runtime.authorloop import ThreadedAuthorLoop
from iocmng.runtime.clock import RealClock
from iocmng.runtime.environment import Environment
from iocmng.runtime.evaluation import RunQueue
from iocmng.runtime.evaluation.latches import MemoryLatches
from iocmng.runtime.events import EventBus
from iocmng.runtime.isolation.taskrun import IsolatedTask
from iocmng.runtime.task import TaskInstance
from iocmng.runtime.wiring import LocalPvs, Routed, Wiring
from iocmng.spec import Kind, PluginRef
from iocmng.spec.build import describe
from iocmng.testing.links import FakeLinks
from iocmng.testing.records import FakeRecords
from iocmng.values import Reading
from iocmng.wire import Actor

DEADLINE = 30.0
ACTOR = Actor(via="host")


class IsolatedHost:
    """Supervises one isolated task on the thread that calls `until`."""

    def __init__(self, target: str, config: str) -> None:
        loaded = parse_config(f"isolation: process\n{config}", "config.yaml")
        assert loaded.config is not None, loaded.findings
        plugin = PluginRef(name="apart", target=target, editable=True)
        class_name = target.partition(":")[2]
        spec, findings = describe(
            loaded.config, plugin, kind=Kind.TASK, name="apart", host_prefix="T", class_name=class_name
        )
        assert spec is not None, findings
        clock = RealClock()
        self._woken = clock.wakeup()
        self._agenda = Agenda(clock, self._woken.set)
        self.records = FakeRecords(clock)
        self.records.load(spec.records, source=spec.name)
        self.records.start()
        self.links = FakeLinks(clock)
        client = Routed(LocalPvs(self.records, lambda name, value: None), self.links)
        environment = Environment(
            records=self.records,
            clock=clock,
            events=EventBus(clock),
            authors=ThreadedAuthorLoop(),
            post=self._agenda.post,
            after=self._agenda.after,
            random=lambda: 0.5,
            demand_exit=lambda reason: None,
            wiring=Wiring(client, clock),
            evaluation=RunQueue(clock),
            latches=MemoryLatches(),
        )
        self.task = TaskInstance(spec, environment, load=_never)

    def act(self, verb: Trigger) -> None:
        """Do what an operator asks."""
        self.task.apply(verb, ACTOR)

    def until(self, seen: Callable[[], object], what: str) -> None:
        """Supervise until `seen()`."""
        end = time.monotonic() + DEADLINE
        while not seen():
            assert time.monotonic() < end, f"not {what}: {self.task.state.name}, {self.task.message}"
            self._woken.wait(0.02)
            self._agenda.run_due()

    def reaches(self, state: State) -> None:
        """Supervise until the task is in a state."""
        self.until(lambda: self.task.state is state, state.name)

    def read(self, port: str) -> Reading:
        """What a PV shows."""
        return self.records.record(f"T:APART:{port}").read()

    @property
    def run(self) -> IsolatedTask:
        """The present run."""
        assert isinstance(self.task.run, IsolatedTask)
        return self.task.run


def _never() -> type:
    raise AssertionError("the host has imported the code")


@contextmanager
def isolated(target: str, config: str) -> Iterator[IsolatedHost]:
    """A task in a worker, in RUN; stopped at the end."""
    host = IsolatedHost(target, config)
    host.act(Trigger.START)
    host.reaches(State.RUN)
    try:
        yield host
    finally:
        host.act(Trigger.STOP)
        host.reaches(State.END)
