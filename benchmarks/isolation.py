"""Code in a process of its own: cost of values, reads and arrays, memory and start of a worker.

The records are in memory, so that what is measured is the way between the processes; `publish.py` has the rest.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from isolated_code import LENGTH, VALUES
from table import Row, Sample, sample, show

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
from iocmng.wire import Actor

CONFIG = f"""
isolation: process
arguments:
  outputs:
    VALUE: {{type: float}}
    ARRAY: {{type: array, length: {LENGTH}}}
    PER_VALUE: {{type: float}}
    PER_READ: {{type: float}}
    PER_ARRAY: {{type: float}}
    DONE: {{type: bool}}
"""
LIMIT = 60.0
GOAL_VALUE, GOAL_MEMORY = 20.0, 30.0
ACTOR = Actor(via="host")


class Host:
    """The part of a host that runs one isolated task, on this thread."""

    def __init__(self, cls: str) -> None:
        loaded = parse_config(CONFIG, "config.yaml")
        assert loaded.config is not None
        plugin = PluginRef(name="bench", target=f"isolated_code:{cls}")
        spec, findings = describe(
            loaded.config, plugin, kind=Kind.TASK, name="bench", host_prefix="BENCH", class_name=cls
        )
        assert spec is not None, findings
        clock = RealClock()
        self._woken = clock.wakeup()
        self._agenda = Agenda(clock, self._woken.set)
        self.records = FakeRecords(clock)
        self.records.load(spec.records, source=spec.name)
        self.records.start()
        client = Routed(LocalPvs(self.records, lambda name, value: None), FakeLinks(clock))
        environment = Environment(
            records=self.records,
            clock=clock,
            events=EventBus(clock),
            authors=ThreadedAuthorLoop(),
            post=self._agenda.post,
            after=self._agenda.after,
            random=lambda: 0.5,
            demand_exit=print,
            wiring=Wiring(client, clock),
            evaluation=RunQueue(clock),
            latches=MemoryLatches(),
        )
        self.task = TaskInstance(spec, environment, load=_nothing)

    def until(self, seen: Any) -> None:
        """Do what is due until `seen()`."""
        end = time.monotonic() + LIMIT
        while not seen():
            if time.monotonic() > end or self.task.state is State.ERROR:
                raise TimeoutError(f"{self.task.state.name}: {self.task.message}")
            self._woken.wait(0.05)
            self._agenda.run_due()

    def value(self, name: str) -> float:
        """What an output shows."""
        return float(self.records.record(f"BENCH:BENCH:{name}").read().value)  # type: ignore[arg-type]


def _nothing() -> type:
    raise AssertionError("the host imports nothing")


@contextmanager
def running(cls: str) -> Iterator[Host]:
    """A task in a worker, from RUN to its end."""
    host = Host(cls)
    host.task.apply(Trigger.START, ACTOR)
    host.until(lambda: host.task.state is State.RUN)
    yield host
    host.task.apply(Trigger.STOP, ACTOR)
    host.until(lambda: host.task.state is State.END)


def worked() -> float:
    """Microseconds of processor time that a value takes in both processes, records in memory included."""
    with running("Writer") as host:
        began = time.process_time()
        host.until(lambda: host.value("DONE"))
        return ((time.process_time() - began) / VALUES + host.value("PER_VALUE")) * 1e6


def spoken() -> tuple[float, float, float]:
    """Microseconds for a value, a read, an array."""
    with running("Speaker") as host:
        host.until(lambda: host.value("DONE"))
        values = (host.value(f"PER_{what}") * 1e6 for what in ("VALUE", "READ", "ARRAY"))
        return next(values), next(values), next(values)


def bare() -> tuple[float, float]:
    """Milliseconds from the start to RUN, and MiB of private memory then."""
    began = time.perf_counter()
    with running("Bare") as host:
        took = (time.perf_counter() - began) * 1000
        run = host.task.run
        assert isinstance(run, IsolatedTask)
        time.sleep(1.0)
        return took, run.process.private_memory()


def interpreter() -> float:
    """Milliseconds in which an interpreter starts that imports what a worker does."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", "import asyncio, msgpack, logging"], check=True)
    return (time.perf_counter() - began) * 1000


def rows(runs: int) -> list[Row]:
    """Measure."""
    spoke = [spoken() for _ in range(runs)]
    bares = [bare() for _ in range(runs)]
    yardstick = sample([interpreter() for _ in range(max(runs, 3))], "ms")

    def figure(column: int, of: list[Any], unit: str) -> Sample:
        return sample([one[column] for one in of], unit)

    return [
        Row(
            "a value, one way: processor time of both processes",
            sample([worked() for _ in range(runs)], "µs"),
            "goal",
            sample([GOAL_VALUE], "µs"),
            1.0,
        ),
        Row(f"a value of {VALUES} in a row", figure(0, spoke, "µs")),
        Row("a read, there and back", figure(1, spoke, "µs")),
        Row(f"an array of {LENGTH} doubles, one way", figure(2, spoke, "µs")),
        Row(
            "private memory of a bare worker",
            figure(1, bares, "MiB"),
            "goal",
            sample([GOAL_MEMORY], "MiB"),
            1.0,
        ),
        Row(
            "start of a worker, until RUN",
            figure(0, bares, "ms"),
            "an interpreter with asyncio and msgpack",
            yardstick,
        ),
    ]


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found = rows(count)
    show("isolation", found)
