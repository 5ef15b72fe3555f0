"""A job as an instance: one run at a time, others waiting, outcomes on PVs, records in the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from iocmng.errors import Refused
from iocmng.lifecycle import JobState, Trigger
from iocmng.runtime.abandoned import Abandoned
from iocmng.runtime.environment import Environment
from iocmng.runtime.instance import Instance
from iocmng.runtime.isolation.jobrun import IsolatedJob
from iocmng.runtime.jobarguments import complete_arguments
from iocmng.runtime.joblocks import Holder
from iocmng.runtime.jobpanel import JobPanel
from iocmng.runtime.jobrun import Ending, JobRun
from iocmng.runtime.jobyard import JobYard, lock_key
from iocmng.runtime.logs import record_text
from iocmng.runtime.ports import Put, Undo
from iocmng.runtime.runs import Run, new_run_id
from iocmng.runtime.streams import bound_run
from iocmng.spec import InstanceSpec, Isolation
from iocmng.wire import Actor, EventKind, Finding, InstanceView, LogLine, RunView

KILLED_WITHIN = 5.0
"""Seconds in which what was killed has to be gone; after that it hangs in the system."""

QUEUE = 100
"""Runs of one job that may wait."""


class _RunLogs(logging.Handler):
    """Copies what a job logs into the log of the run whose code logs it."""

    def __init__(self, job: JobInstance) -> None:
        super().__init__()
        self._job = job

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the base class's lock: a run that was given up may hang in the formatting of its own line.
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record."""
        run = bound_run() or self._job.current
        if isinstance(run, JobRun) and run.outputs is self._job.outputs and not run.own_log:
            source = record.name.removeprefix(self._job.logger.name).lstrip(".") or self._job.name
            run.logged(LogLine(record.created, record.levelname, source, record_text(record)))


@dataclass(slots=True)
class _Asked:
    """A run that was asked for; `put` is the one of RUN that did, completed when the run is over.

    `settled` says that nothing about its arguments is left to be judged.
    """

    run: Run
    put: Put | None
    settled: bool


class JobInstance(Instance):
    """One job. On the supervising thread, but for what a run calls."""

    def __init__(
        self,
        spec: InstanceSpec,
        environment: Environment,
        yard: JobYard,
        *,
        load: Callable[[], type],
        findings: tuple[Finding, ...] = (),
    ) -> None:
        super().__init__(spec, environment, load=load, findings=findings)
        self.state = JobState.IDLE
        self.yard = yard
        self.store = yard.store
        self.current: JobRun | None = None
        self.abandoned = Abandoned()
        self.runs_started = 0
        self._key = lock_key(spec.name, spec.job.lock)
        self._put: Put | None = None
        self._waiting: dict[str, _Asked] = {}
        self._timers: list[Undo] = []
        self._shown = JobPanel(self.panel, environment.clock)
        self.store.keep(spec.name, spec.job.keep_runs)
        self._run_logs = _RunLogs(self)
        self.logger.addHandler(self._run_logs)
        self._shown.idle()
        self.outputs.invalidate("no successful run yet")
        if (latest := yard.lost.get(spec.name)) is not None:
            self.state = JobState.LOST
            self._shown.lost(latest)
            self.note_error(latest.message)

    def apply(self, verb: Trigger, actor: Actor) -> None:
        """STOP aborts all runs, RESET forgets the last outcome.

        Raises:
            Refused: Any other verb: a job is run.
        """
        if verb is Trigger.STOP:
            for run_id in reversed(tuple(self._waiting)):
                self.abort_run(run_id, actor)
            self.abort(actor)
        elif verb is Trigger.RESET:
            self.forget_error()
            if self.current is None and not self._waiting:
                self._enter(JobState.IDLE, "reset", actor)
        else:
            raise Refused(
                f"{self.name} is a job: cannot {verb} it",
                hint=f"iocmng job run {self.name}; allowed: stop, reset",
            )

    def load_class(self) -> None:
        """Load the class, which may declare arguments; any thread but the supervising one, it runs an author's code."""
        if self.cls is None and self.spec.isolation is Isolation.THREAD:
            self.env.note(self.name, "import")
            try:
                self.cls = self.load()
            finally:
                self.env.note(self.name, "")

    @property
    def waiting(self) -> tuple[RunView, ...]:
        """Runs that wait, in their order."""
        return tuple(asked.run.view for asked in self._waiting.values())

    @property
    def holder(self) -> Holder | None:
        """The run that holds the lock of this job, its own one or another's; None when it is free."""
        return self.yard.locks.holder(self._key)

    def start_run(self, arguments: Mapping[str, Any], actor: Actor, put: Put | None = None) -> RunView:
        """Start a run or let it wait; `put` is the one of RUN that asked for it, completed when the run is over.

        Raises:
            BadInput: Arguments do not fit; names every one.
            Refused: The job or its lock is busy, the queue is full, or the job is disabled.
        """
        if not self.enabled:
            raise Refused(f"{self.name} is disabled", hint=f"iocmng enable {self.name}")
        if refusal := self.abandoned.refusal():
            raise Refused(
                f"{self.name}: {refusal}", hint="restart the host; isolation: process ends such code"
            )
        complete = complete_arguments(
            self.spec,
            arguments,
            lambda name: self.outputs.read(name).value,
            roots=self.yard.roots,
            cls=self.cls,
        )
        holder = self.holder
        if holder is not None and self.spec.job.on_busy == "refuse":
            raise Refused(self._busy(holder), hint=f"wait, or iocmng job abort {holder.job}")
        if len(self._waiting) >= QUEUE:
            raise Refused(f"{self._busy(holder)}, and {QUEUE} runs wait already" if holder else "")
        now = self.env.clock.time()
        state = JobState.QUEUED
        run = Run(self._new_id(now), self.name, complete, now, actor, state, lock=self.spec.job.lock or "")
        asked = _Asked(run, put, settled=self.cls is not None)
        mine = Holder(self.name, run.id)
        if holder is None:
            self.yard.locks.take(self._key, mine)
            return self._begin(asked)
        self._waiting[run.id] = asked
        self.yard.locks.wait(self._key, mine, partial(self._begin, asked), partial(self._still_waits, asked))
        self._still_waits(asked)
        self._tell(run.view, actor)
        return run.view

    def _new_id(self, now: float) -> str:
        while self.store.has(run_id := new_run_id(now)):
            continue
        return run_id

    def _busy(self, holder: Holder) -> str:
        if holder.job == self.name and not self.spec.job.lock:
            return f"{self.name} is busy with run {holder.run}{f' ({holder.note})' if holder.note else ''}"
        return f"{self.name}: lock {self.spec.job.lock} is held by {holder}"

    def _still_waits(self, asked: _Asked) -> None:
        holder = self.holder
        ahead = self.yard.locks.ahead(self._key, asked.run.id)
        told = f"waits: {self._busy(holder)}" if holder else "waits"
        asked.run.tell(f"{told}; {ahead} before it" if ahead else told)
        view = asked.run.view
        self.store.save(view)
        if self.current is None and next(iter(self._waiting), "") == view.id:
            self._enter(JobState.QUEUED, view.message, view.actor)

    def _begin(self, asked: _Asked) -> RunView:
        """Start a run that holds the lock."""
        run, actor = asked.run, asked.run.actor
        self._waiting.pop(run.id, None)
        try:
            run.begin(self.env.clock.time())
            made = IsolatedJob if self.spec.isolation is Isolation.PROCESS else JobRun
            self.current = current = made(self.work(), run, owner=self, yard=self.yard, settled=asked.settled)
            self.runs_started += 1
            self.pending.clear()
            self.outputs.begin(current)
            self.outputs.hold(f"run {run.id} is under way")
            self.store.save(run.view)
            self._put = asked.put
            self._shown.begun(run.view, by_put=asked.put is not None)
            self._enter(JobState.RUNNING, "running", actor)
            self._tell(run.view, actor)
            if (limit := self.spec.job.run_timeout) is not None:
                self._timers.append(self.env.after(limit, lambda: self._time_out(current, limit)))
            current.start()
        except BaseException as error:
            # Whatever went wrong (no thread can be started, a PV cannot be written): the lock is not kept.
            if self.current is not None and self.current.run is run:
                run.end(JobState.FAILED, self.env.clock.time(), message=f"cannot start: {error}")
                self._over(self.current)
            else:
                self.yard.locks.release(self._key, run.id)
            if not isinstance(error, Exception):
                raise
        return run.view

    def on_put(self, port: str, put: Put) -> bool:
        """A client wrote RUN or ABORT; True when the put is completed at the end of the run."""
        if port == "ABORT":
            self.panel.show("ABORT", False)
            self.abort(put.actor)
            return False
        if port != "RUN":
            return False
        self.start_run({}, put.actor, put)
        return True

    def abort(self, actor: Actor) -> None:
        """Ask the present run to end, without one the first that waits; nothing when there is neither."""
        if self.current is not None:
            self.abort_run(self.current.run.id, actor)
        elif self._waiting:
            self.abort_run(next(iter(self._waiting)), actor)

    def abort_run(self, run_id: str, actor: Actor) -> None:
        """Ask a run to end, also one that waits; nothing when it is over or asked already."""
        current = self.current
        if current is not None and current.run.id == run_id:
            if not current.leaving:
                self.logger.info("abort asked for by %s", actor)
                self._end_soon(current, JobState.ABORTED, f"aborted by {actor}")
        elif (asked := self._waiting.pop(run_id, None)) is not None:
            self.yard.locks.leave(self._key, run_id)
            message = f"aborted by {actor} before it started"
            asked.run.end(JobState.ABORTED, self.env.clock.time(), message=message)
            view = asked.run.view
            self.store.save(view)
            if self.current is None and not self._waiting:
                self._enter(view.state, message, actor)
            self._tell(view, actor)
            if asked.put is not None:
                asked.put.complete()

    def _time_out(self, current: JobRun, limit: float) -> None:
        if current is self.current and not current.leaving:
            self._end_soon(current, JobState.TIMEOUT, f"still running after {limit:g} s")

    def _end_soon(self, current: JobRun, outcome: JobState, message: str) -> None:
        """Give the run its outcome; its thread has `stop_timeout` to leave before it is abandoned."""
        current.run.end(outcome, self.env.clock.time(), message=message)
        self.panel.say(f"{message}; ending")
        limit = self.spec.supervision.stop_timeout
        self._timers.append(self.env.after(limit, lambda: self._abandon(current)))
        current.leave()

    def _abandon(self, current: JobRun) -> None:
        if current is not self.current:
            return
        if current.kill():
            self.logger.warning("its worker is killed, it stands at %s", current.where())
            self._timers.append(self.env.after(KILLED_WITHIN, lambda: self._abandon(current)))
            return
        self.logger.error("thread abandoned, it stands at %s", current.where())
        self.abandoned.add(current)
        self._over(current)

    def reported(self, run: JobRun) -> None:
        """A run has made progress. Called on its thread."""
        view = run.run.view
        self.store.save(view)
        self._shown.progress(view)

    def logged(self, run: JobRun, line: LogLine) -> None:
        """A run has a new line in its log. Any thread."""
        self.store.append(run.run.id, line)
        if run is self.current:
            self._shown.line(line.text)

    def finished(self, run: JobRun, ending: Ending) -> None:
        """A run's code has ended. Called on its thread."""

        def over() -> None:
            if run is self.current:
                now = self.env.clock.time()
                run.run.end(ending.outcome, now, message=ending.message, data=ending.data)
                run.run.close(now, ending.exit_code)
                self._over(run, ending.trace)

        self.env.post(over)

    def _over(self, run: JobRun, trace: str = "") -> None:
        self.current, self.cls = None, run.cls or self.cls
        for undo in self._timers:
            undo()
        self._timers.clear()
        view = run.run.view
        put, self._put = self._put, None
        try:
            self.outputs.close(run)
            if view.state is JobState.SUCCESS:
                self.outputs.validate()
            else:
                self.outputs.invalidate(f"run {view.id}: {view.state.name}")
                self.note_error(view.message or view.state.name, trace)
            self.store.save(view)
            self._shown.over(view)
            self._enter(view.state, view.message or view.state.name.lower(), view.actor)
            if put is None:
                self.panel.show("RUN", False)
            self._tell(view, view.actor)
        finally:
            if put is not None:
                put.complete()
            self.yard.locks.release(self._key, view.id)

    def _tell(self, view: RunView, actor: Actor) -> None:
        data = {"run": view.id, "state": view.state.name, "progress": view.progress, "message": view.message}
        self.env.events.publish(EventKind.RUN, instance=self.name, text=view.message, data=data, actor=actor)

    def close(self) -> None:
        """Leave the host."""
        super().close()
        self.logger.removeHandler(self._run_logs)

    def tick(self) -> None:
        """Once a second, on the watchdog's thread: how long the run takes."""
        if (current := self.current) is not None:
            self._shown.tick(current.run.view)

    def _enter(self, after: JobState, reason: str, actor: Actor) -> None:
        before, self.state = self.state, after
        self.panel.show("STATUS", int(after))
        self.panel.say(reason)
        if before is not after or after is not JobState.QUEUED:
            self.record_change(before, after, reason, actor)

    def shutdown_done(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.current is None

    def view(self) -> InstanceView:
        """One line of the list."""
        return InstanceView(
            **self.common_view(),
            state=self.state.name,
            busy=self.current is not None,
            cycles=self.runs_started,
            progress=self._shown.percent,
            waiting=len(self._waiting),
        )
