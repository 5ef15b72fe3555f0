"""Jobs with fake records but real time, threads and processes, in the test's own process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from iocmng.base import JobBase
from iocmng.runtime.agenda import Agenda
from iocmng.runtime.authorloop import ThreadedAuthorLoop
from iocmng.runtime.clock import RealClock
from iocmng.runtime.environment import Environment
from iocmng.runtime.evaluation import MemoryLatches, RunQueue
from iocmng.runtime.events import EventBus
from iocmng.runtime.job import JobInstance
from iocmng.runtime.jobyard import JobYard
from iocmng.runtime.runs import MemoryRuns, RunStore
from iocmng.runtime.supervisor import Supervisor
from iocmng.runtime.wiring import LocalPvs, Routed, Wiring
from iocmng.spec import InstanceSpec, Kind
from iocmng.testing.links import FakeLinks
from iocmng.testing.records import FakeRecords
from iocmng.testing.subject import describe_subject
from iocmng.wire import Actor, Event, RunView

DEADLINE = 30.0
TESTER = Actor(user="test", via="http")


def _itself(cls: type[JobBase]) -> type[JobBase]:
    return cls


class Yard:
    """Jobs that share a store and locks, supervised by the thread of the test."""

    def __init__(self, store: RunStore | None = None, roots: tuple[Path, ...] = ()) -> None:
        clock = RealClock()
        self.clock = clock
        self.records = FakeRecords(clock)
        self.events: list[Event] = []
        self._woken = threading.Event()
        self._agenda = Agenda(clock, self._woken.set)
        bus = EventBus(clock)
        bus.subscribe(self.events.append)
        links = Routed(LocalPvs(self.records, lambda name, value: None), FakeLinks(clock.time, clock))
        self.environment = Environment(
            records=self.records,
            clock=clock,
            events=bus,
            authors=ThreadedAuthorLoop(),
            post=self._agenda.post,
            after=self._agenda.after,
            random=lambda: 0.5,
            demand_exit=lambda reason: None,
            wiring=Wiring(links, clock),
            evaluation=RunQueue(clock),
            latches=MemoryLatches(),
        )
        self.store = store or MemoryRuns()
        self.shared = JobYard(self.store, roots=roots)
        self.supervisor = Supervisor(self.environment)
        self._added: list[tuple[InstanceSpec, type[JobBase]]] = []
        self._jobs: dict[str, JobInstance] = {}

    def recover(self) -> None:
        """As a host does at its start, before jobs are made."""
        self.shared.recover(self._agenda.post)

    def add(
        self, cls: type[JobBase], config: Path | Mapping[str, Any], name: str = "tune", **changes: Any
    ) -> None:
        """A job of a class, with a config; all jobs are added before one is used."""
        spec = replace(describe_subject(cls, Kind.JOB, config, None, name), **changes)
        self._added.append((spec, cls))

    @property
    def jobs(self) -> dict[str, JobInstance]:
        """The jobs by name; their records are served from now on."""
        if not self._jobs and self._added:
            for spec, _ in self._added:
                self.records.load(spec.records, source=spec.name)
                self.supervisor.listen(spec.records)
            self.records.start()
            for spec, cls in self._added:
                job = JobInstance(spec, self.environment, self.shared, load=partial(_itself, cls))
                job.load_class()
                self._jobs[spec.name] = job
                self.supervisor.add(job)
        return self._jobs

    def pump(self) -> None:
        """Do what is due on the supervising thread."""
        self._agenda.run_due()

    def until(self, condition: Callable[[], Any], what: str = "", timeout: float = DEADLINE) -> None:
        """Supervise until a condition holds."""
        end = time.monotonic() + timeout
        while True:
            self._woken.clear()
            self.pump()
            if condition():
                return
            states = {name: (job.state.name, job.message) for name, job in self.jobs.items()}
            assert time.monotonic() < end, f"{what or 'it'} did not come true: {states}"
            self._woken.wait(0.01)

    def start(self, name: str = "tune", **arguments: Any) -> str:
        """Start a run and return its id."""
        return self.jobs[name].start_run(arguments, TESTER).id

    def over(self, run: str) -> RunView:
        """Wait until a run is over."""
        self.until(lambda: self.store.run(run).over, f"run {run}")
        return self.store.run(run)

    def run(self, name: str = "tune", **arguments: Any) -> RunView:
        """Run a job once, to its end."""
        return self.over(self.start(name, **arguments))

    def texts(self, run: str) -> list[str]:
        """The lines of a run's log."""
        return [line.text for line in self.store.log(run)]

    def pv(self, name: str, job: str = "tune") -> Any:
        """What a client reads of a PV."""
        spec = next(one for one in self.jobs[job].spec.records if one.port == name)
        return self.records.record(spec.name).read().value

    def put(self, name: str, value: object, job: str = "tune") -> Any:
        """Write a PV as a client does, with callback; what comes back says when it is complete."""
        spec = next(one for one in self.jobs[job].spec.records if one.port == name)
        done = self.records.client_put(spec.name, value, callback=True)
        self.pump()
        return done

    def close(self) -> None:
        """Abort what runs and wait for its end."""
        for job in self.jobs.values():
            job.abort(TESTER)
            for run in job.waiting:
                job.abort_run(run.id, TESTER)
        self.until(lambda: all(job.shutdown_done() for job in self.jobs.values()), "the end of all runs")


@contextmanager
def yard(store: RunStore | None = None, roots: tuple[Path, ...] = ()) -> Iterator[Yard]:
    """A yard whose runs are ended at the end of the block."""
    made = Yard(store, roots)
    try:
        yield made
    finally:
        made.close()


def script_config(folder: Path, code: str, *, job: Mapping[str, Any] | None = None, **script: Any) -> Path:
    """A config beside a script `run.py` with that code."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.py").write_text(code)
    config = folder / "config.yaml"
    content: dict[str, Any] = {"script": {"path": "run.py", **script}}
    if job:
        content["job"] = dict(job)
    config.write_text(yaml.safe_dump(content))
    return config
