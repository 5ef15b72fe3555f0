"""The loops of tasks and jobs in a worker: those of the host's threads, with the host at the other end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from iocmng.base import TaskBase
from iocmng.errors import BadInput
from iocmng.runtime.authorloop import ThreadedAuthorLoop
from iocmng.runtime.clock import RealClock
from iocmng.runtime.coderun import CodeRun, Work
from iocmng.runtime.counters import Counters, Progress
from iocmng.runtime.evaluation import Latches, RunQueue
from iocmng.runtime.evaluation.unit import Unit
from iocmng.runtime.events import EventBus
from iocmng.runtime.isolation.greeting import Greeting
from iocmng.runtime.jobrun import Ending, JobRun
from iocmng.runtime.jobyard import JobYard
from iocmng.runtime.parameters import build
from iocmng.runtime.policy import Cause
from iocmng.runtime.runs import Run
from iocmng.runtime.taskrun import TaskRun
from iocmng.runtime.wiring import Wiring
from iocmng.worker.description import description_of
from iocmng.worker.link import HostLink
from iocmng.worker.ports import FarOutputs, FarPanel, FarRecords, default_records
from iocmng.worker.unit import FarUnit

MANY = 1 << 30


class _InTheHost:
    """Stands for what only the host has."""

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(f"{name}: links, logic and stores of runs are in the host")


class WorkerTask(TaskRun):
    """A TaskRun whose ports, links, logic and supervision are in the host."""

    def __init__(self, work: Work, greeting: Greeting, link: HostLink) -> None:
        counters = Counters()
        for name, value in greeting.counters.items():
            setattr(counters, name, value)
        super().__init__(work, counters=counters, owner=_Owner(link, counters))
        self._wired = greeting.wired
        self._link = link

    def _make(self, context: Any) -> Any:
        author = super()._make(context)
        self._link.send("class", description_of(self._class(), self.spec.plugin))
        return author

    def _wire(self, author: TaskBase) -> None:
        if not self._wired:
            return
        self._hears = type(author).on_input_changed is not TaskBase.on_input_changed
        far = FarUnit(self.spec, self._link, lambda call: self._clock.spawn(call, f"links-{self.name}"))
        # The part of a unit that code reaches; the rest of it the host calls.
        self.unit = cast(Unit, far)
        self._link.ask("wire", self._hears)

    def obey(self, word: str, *given: Any) -> None:
        """Do what the host says."""
        if word == "pause":
            self.pause()
        elif word == "resume":
            self.resume()
        elif word == "leave":
            self.leave()
        elif word == "zero":
            self.counters.zero()
            for name in ("CYCLE_ERRORS", "OVERRUNS"):
                self.panel.forget(name)
        elif word == "change":
            self.changes.put(*given)
        elif word == "run":
            number = given[0]
            send = self._link.send
            if not self.request(lambda: send("begun", number), lambda: send("done", number), MANY):
                send("done", number)
        elif word == "parameters":
            self.parameters = build(self._class(), given[0], owner=self.name)
        elif word == "check":
            self._link.send("checked", given[0], self._complaint(given[1]))

    def beat(self) -> tuple[Progress, str]:
        """Progress, and where the code stands."""
        if self.in_cycle:
            self.panel.show("BUSY", True)
            if not self.in_cycle:
                self.panel.show("BUSY", False)
        return self.progress, self.where()

    def _class(self) -> type:
        assert self.cls is not None
        return self.cls

    def _complaint(self, values: Mapping[str, Any]) -> str:
        try:
            build(self._class(), values, owner=self.name)
        except BadInput as refusal:
            return refusal.detail
        return ""


class _Owner:
    """Tells the host what a run has to say."""

    def __init__(self, link: HostLink, counters: Counters) -> None:
        self._link = link
        self._counters = counters

    def initialized(self, run: CodeRun) -> None:
        """`initialize` has returned."""
        self._link.send("initialized")

    def failed(self, run: CodeRun, cause: Cause, reason: str, trace: str) -> None:
        """The code failed."""
        self._link.send("failed", cause.value, reason, trace)

    def ended(self, run: CodeRun) -> None:
        """The code is over."""
        self._link.send("ended", run.retired)

    def health(self, run: CodeRun, reason: str) -> None:
        """What the task says of its health."""
        self._link.send("health", reason)

    def linked(self, run: CodeRun, complaint: str) -> None:
        """Links are in the host."""


class WorkerJob(JobRun):
    """A JobRun whose ports, log and record are in the host."""

    def __init__(self, work: Work, greeting: Greeting, link: HostLink) -> None:
        told = greeting.run
        run = Run(told["id"], work.spec.name, told["arguments"], told["started"])
        super().__init__(
            work, run, owner=_JobOwner(link), yard=cast(JobYard, _InTheHost()), settled=told["settled"]
        )
        self.progress = Progress()
        self._link = link

    def _await_record(self) -> None:
        """The host has waited."""

    def report(self, fraction: float, message: str) -> None:
        """Tell the host of progress."""
        self._link.send("report", fraction, message)

    def printed(self, stream: str, text: str) -> None:
        """What is printed goes to the host as it is."""

    def gather(self, data: Mapping[str, Any]) -> None:
        """Add to the data that the run has so far."""
        super().gather(data)
        self._link.send("gather", dict(data))

    def obey(self, word: str, *given: Any) -> None:
        """Do what the host says."""
        if word == "leave":
            self.leave()

    def beat(self) -> tuple[Progress, str]:
        """Where the code stands; of a job no progress is expected."""
        return self.progress, self.where()


class _JobOwner:
    """Tells the host how a run ended."""

    def __init__(self, link: HostLink) -> None:
        self._link = link

    def reported(self, run: JobRun) -> None:
        """The run itself has told."""

    def logged(self, run: JobRun, line: object) -> None:
        """Lines go to the host by themselves."""

    def finished(self, run: JobRun, ending: Ending) -> None:
        """The run's code has ended."""
        self._link.send("arguments", dict(run.run.arguments))
        self._link.send("finished", int(ending.outcome), ending.message, ending.data, ending.trace)


def work_of(greeting: Greeting, link: HostLink) -> Work:
    """What the run of this process works with."""
    spec, clock = greeting.spec, RealClock()
    records = FarRecords(spec, link)
    absent = _InTheHost()

    def load() -> type:
        from iocmng.plugins.load import load_class

        return load_class(spec.plugin)

    return Work(
        spec=spec,
        load=load,
        values=greeting.values,
        outputs=FarOutputs(spec, records, clock, link),
        panel=FarPanel(spec, records, link),
        default_record=default_records(spec, records),
        authors=ThreadedAuthorLoop(),
        clock=clock,
        note=lambda what: None,
        events=EventBus(clock),
        wiring=cast(Wiring, absent),
        evaluation=cast(RunQueue, absent),
        latches=cast(Latches, absent),
    )
