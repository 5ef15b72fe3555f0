"""A job as an instance: one run at a time, its outcome on PVs, its record in the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from iocmng.errors import BadInput, Refused
from iocmng.lifecycle import JobState, Trigger
from iocmng.names import did_you_mean
from iocmng.runtime.abandoned import Abandoned
from iocmng.runtime.environment import Environment
from iocmng.runtime.instance import Instance
from iocmng.runtime.jobrun import JobRun
from iocmng.runtime.panel import clock_text
from iocmng.runtime.ports import Put, Undo
from iocmng.runtime.runs import Run, RunStore, new_run_id
from iocmng.spec import Direction, InstanceSpec, RecordSpec
from iocmng.spec.convert import convert
from iocmng.values import Value
from iocmng.wire import Actor, EventKind, Finding, InstanceView, LogLine, RunView


class _RunLog(logging.Handler):
    """Copies what the job logs into the log of its present run."""

    def __init__(self, job: JobInstance) -> None:
        super().__init__()
        self._job = job

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record."""
        if (current := self._job.current) is not None:
            line = LogLine(record.created, record.levelname, record.name, record.getMessage())
            self._job.store.append(current.run.id, line)


class JobInstance(Instance):
    """One job. On the supervising thread, but for the two methods that a run calls."""

    def __init__(
        self,
        spec: InstanceSpec,
        environment: Environment,
        store: RunStore,
        *,
        load: Callable[[], type],
        findings: tuple[Finding, ...] = (),
    ) -> None:
        super().__init__(spec, environment, load=load, findings=findings)
        self.state = JobState.IDLE
        self.store = store
        self.current: JobRun | None = None
        self.abandoned = Abandoned()
        self.runs_started = 0
        self._put: Put | None = None
        self._timers: list[Undo] = []
        store.keep(spec.name, spec.job.keep_runs)
        self.logger.addHandler(_RunLog(self))
        self.show_all()

    def show_all(self) -> None:
        """Show every default PV as it is now."""
        self.panel.show("STATUS", int(self.state))
        self.panel.say("idle")
        for name in ("RUN", "ABORT"):
            self.panel.show(name, False)
        self.panel.show("PROGRESS", 0.0)
        self.panel.show("ELAPSED", 0.0)
        self.panel.show("EXIT_CODE", 0)
        for name in ("RUN_ID", "STARTED", "LAST_LINE"):
            self.panel.text(name, "")
        self.outputs.invalidate("no successful run yet")

    def apply(self, verb: Trigger, actor: Actor) -> None:
        """STOP aborts a run, RESET forgets the last outcome.

        Raises:
            Refused: Any other verb: a job is run.
        """
        if verb is Trigger.STOP:
            self.abort(actor)
        elif verb is Trigger.RESET:
            self.forget_error()
            if self.current is None:
                self._enter(JobState.IDLE, "reset", actor)
        else:
            raise Refused(
                f"{self.name} is a job: cannot {verb} it",
                hint=f"iocmng job run {self.name}; allowed: stop, reset",
            )

    def checked(self, arguments: Mapping[str, Any]) -> dict[str, Value]:
        """The arguments of a run: what is given, converted, and the inputs' present values for the rest.

        Raises:
            BadInput: Names every argument that does not fit.
        """
        inputs = {port.name: port for port in self.spec.ports if port.direction is Direction.INPUT}
        complete: dict[str, Value] = {}
        problems = []
        for name, value in arguments.items():
            if name not in inputs:
                problems.append(f"no argument {name!r} ({did_you_mean(name, inputs) or 'it takes none'})")
                continue
            try:
                complete[name] = _within(inputs[name].record, convert(inputs[name].record, value))
            except (TypeError, ValueError) as error:
                problems.append(str(error))
        if problems:
            raise BadInput(f"{self.name}: {'; '.join(problems)}", code="arguments")
        for name in inputs.keys() - complete.keys():
            value = self.outputs.read(name).value
            if value is not None:
                complete[name] = value
        return complete

    def start_run(self, arguments: Mapping[str, Any], actor: Actor, put: Put | None = None) -> RunView:
        """Start a run; `put` is the one of RUN that asked for it, completed when the run is over.

        Raises:
            BadInput: An argument does not fit.
            Refused: A run is under way, or the job is disabled.
        """
        if not self.enabled:
            raise Refused(f"{self.name} is disabled", hint=f"iocmng enable {self.name}")
        if self.current is not None:
            raise Refused(
                f"{self.name} is busy with run {self.current.run.id}",
                hint=f"wait, or iocmng job abort {self.name}",
            )
        complete = self.checked(arguments)
        now = self.env.clock.time()
        run = Run(new_run_id(now), self.name, complete, now, actor)
        self.current = JobRun(self.work(), run, arguments=complete, owner=self)
        self.runs_started += 1
        self.pending.clear()
        self.outputs.begin(self.current)
        self.outputs.hold(f"run {run.id} is under way")
        self.store.save(run.view)
        self.panel.text("RUN_ID", run.id)
        self.panel.text("STARTED", clock_text(now))
        self.panel.show("PROGRESS", 0.0)
        self.panel.show("ELAPSED", 0.0)
        self._put = put
        if put is None:
            self.panel.show("RUN", True)
        self._enter(JobState.RUNNING, "running", actor)
        self._tell(run.view, actor)
        if (limit := self.spec.job.run_timeout) is not None:
            current = self.current
            self._timers.append(self.env.after(limit, lambda: self._time_out(current, limit)))
        self.current.start()
        return run.view

    def on_put(self, port: str, put: Put) -> bool:
        """A client wrote RUN or ABORT; True when the put is completed at the end of the run."""
        if port == "ABORT":
            self.panel.show("ABORT", False)
            self.abort(put.actor)
            return False
        if port != "RUN":
            return False
        try:
            self.start_run({}, put.actor, put)
        except BadInput as refusal:
            raise Refused(refusal.detail) from refusal
        return True

    def abort(self, actor: Actor) -> None:
        """Ask the present run to end; nothing when there is none."""
        current = self.current
        if current is None or current.leaving:
            return
        self.logger.info("abort asked for by %s", actor)
        self._end_soon(current, JobState.ABORTED, f"aborted by {actor}")

    def _time_out(self, current: JobRun, limit: float) -> None:
        if current is self.current:
            self._end_soon(current, JobState.TIMEOUT, f"still running after {limit:g} s")

    def _end_soon(self, current: JobRun, outcome: JobState, message: str) -> None:
        """Give the run its outcome; its thread has `stop_timeout` to leave before it is abandoned."""
        current.run.end(outcome, self.env.clock.time(), message=message)
        current.leave()
        limit = self.spec.supervision.stop_timeout
        self._timers.append(self.env.after(limit, lambda: self._abandon(current)))

    def _abandon(self, current: JobRun) -> None:
        if current is not self.current:
            return
        self.logger.error("thread abandoned, it stands at %s", current.where())
        self.abandoned.add(current)
        self._over(current)

    def reported(self, run: JobRun) -> None:
        """A run has made progress. Called on its thread."""
        view = run.run.view
        self.store.save(view)
        self.panel.show("PROGRESS", view.progress)
        if view.message:
            self.panel.say(view.message)

    def finished(self, run: JobRun, outcome: JobState, message: str, data: Any, trace: str) -> None:
        """A run's code has ended. Called on its thread."""

        def over() -> None:
            if run is self.current:
                run.run.end(outcome, self.env.clock.time(), message=message, data=data)
                self._over(run, trace)

        self.env.post(over)

    def _over(self, run: JobRun, trace: str = "") -> None:
        self.current, self.cls = None, run.cls
        for undo in self._timers:
            undo()
        self._timers.clear()
        view = run.run.view
        self.outputs.close(run)
        if view.state is JobState.SUCCESS:
            self.outputs.validate()
        else:
            self.outputs.invalidate(f"run {view.id}: {view.state.name}")
            self.note_error(view.message or view.state.name, trace)
        self.store.save(view)
        self.panel.show("PROGRESS", view.progress)
        self.tick()
        self.panel.show("ELAPSED", (view.ended or view.started) - view.started)
        self._enter(view.state, view.message or view.state.name.lower(), view.actor)
        put, self._put = self._put, None
        if put is not None:
            put.complete()
        else:
            self.panel.show("RUN", False)
        self._tell(view, view.actor)

    def _tell(self, view: RunView, actor: Actor) -> None:
        data = {"run": view.id, "state": view.state.name, "progress": view.progress, "message": view.message}
        self.env.events.publish(EventKind.RUN, instance=self.name, text=view.message, data=data, actor=actor)

    def tick(self) -> None:
        """Once a second: how long the run takes."""
        if self.current is not None:
            self.panel.show("ELAPSED", self.env.clock.time() - self.current.run.started)

    def _enter(self, after: JobState, reason: str, actor: Actor) -> None:
        before, self.state = self.state, after
        self.panel.show("STATUS", int(after))
        self.panel.say(reason)
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
        )


def _within(record: RecordSpec, value: Value) -> Value:
    """`value` when DRVL and DRVH allow it: a put would be limited by EPICS, an argument never meets the record."""
    fields = dict(record.fields)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and {"DRVL", "DRVH"} <= fields.keys():
        low, high = float(fields["DRVL"]), float(fields["DRVH"])
        if not low <= value <= high:
            raise ValueError(f"{record.name.rpartition(':')[2]}: {value} is not within {low:g} to {high:g}")
    return value
