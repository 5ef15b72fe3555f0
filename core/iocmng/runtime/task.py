"""A task as an instance: applies the state table, starts and ends its runs, and follows the restart policy."""

from __future__ import annotations

from collections.abc import Callable

from iocmng.errors import Refused
from iocmng.lifecycle import State, Trigger, allowed, next_state
from iocmng.runtime.abandoned import Abandoned
from iocmng.runtime.anyrun import KILLED_WITHIN, AnyRun, made_run
from iocmng.runtime.coderun import CodeRun
from iocmng.runtime.counters import Counters
from iocmng.runtime.environment import Environment
from iocmng.runtime.instance import SUPERVISOR
from iocmng.runtime.isolation.standin import StandIns
from iocmng.runtime.linkedinstance import LinkedInstance
from iocmng.runtime.policy import Cause, GiveUp, Restarts
from iocmng.runtime.ports import Put
from iocmng.runtime.renewal import Look, Renewal
from iocmng.runtime.runreports import LINKS, RunReports
from iocmng.runtime.startgate import StartGate
from iocmng.runtime.taskpanel import request_run, show_counters, show_first
from iocmng.runtime.taskview import task_view
from iocmng.runtime.timers import Timers
from iocmng.spec import InstanceSpec, OnStall
from iocmng.wire import Actor, Finding, InstanceView

_UP = (State.RUN, State.PAUSED)


class TaskInstance(LinkedInstance):
    """One task. All methods run on the supervising thread; `RunReports` brings a run's words there."""

    def __init__(
        self,
        spec: InstanceSpec,
        environment: Environment,
        *,
        load: Callable[[], type],
        findings: tuple[Finding, ...] = (),
        valid: bool = True,
    ) -> None:
        super().__init__(spec, environment, load=load, findings=findings)
        self.state = State.END if valid else State.INVALID
        self.counters = Counters()
        self.abandoned = Abandoned()
        self.leaving = False
        self.awaited: Callable[[], str | None] = lambda: None
        self._restarts = Restarts()
        self._then_start: Actor | None = None
        self._leaving_for = SUPERVISOR
        self._pause_wanted = False
        self._since = 0.0
        self._timers = Timers(environment.after)
        self._waits = False
        self.gate = StartGate(environment.after)
        self.renewal = Renewal(self)
        self._stand_ins = StandIns()
        self.show_all()

    def show_all(self) -> None:
        """Show every default PV as it is now."""
        show_first(self.panel, self.spec, self.counters, self.state)
        if self.state is State.INVALID:
            self.panel.say(Look(None, self.findings).refusal)
            self.note_error(self.message)
        self.outputs.invalidate(self.message)

    def apply(self, verb: Trigger, actor: Actor) -> None:
        """Do what an operator asks.

        Raises:
            Refused: Not in this state.
        """
        if verb is Trigger.STOP:
            self.renewal.cancel()
        if self.leaving and self._apply_leaving(verb, actor):
            return
        if verb is Trigger.START and self.state in (State.RUN, State.INIT):
            return
        after = next_state(self.state, verb, name=self.name)
        if self.renewal.takes(verb, actor):
            return
        if verb is Trigger.RESET:
            self._reset(after, actor)
        elif verb is Trigger.PAUSE:
            self._pause(after, actor)
        elif verb is Trigger.RESUME:
            self._resume(after, actor)
        elif verb is Trigger.STOP:
            self._stop(after, actor)
        else:
            self._restarts.reset()
            self._start_over(actor)

    def _apply_leaving(self, verb: Trigger, actor: Actor) -> bool:
        if verb in (Trigger.PAUSE, Trigger.RESUME):
            text = f"{self.name}: cannot {verb} while it is stopping"
            raise Refused(text, hint="allowed now: start, stop, restart")
        if verb is Trigger.RESET and self.state not in (State.ERROR, State.BACKOFF):
            self._reset(self.state, actor)
            return True
        if verb is Trigger.STOP:
            self._then_start = None
            if self.state in (State.INIT, State.BACKOFF, State.ERROR):
                self._timers.cancel("retry")
                self._enter(State.END, "stopped", actor)
            return True
        return False

    def _reset(self, after: State, actor: Actor) -> None:
        self.counters.zero()
        if self.run is not None:
            self.run.zeroed()
        show_counters(self.panel, self.counters)
        self.forget_error()
        self._restarts.reset()
        if self.unit is not None:
            self.unit.clear(reset=True)
        if self.state in (State.ERROR, State.BACKOFF):
            self._start_over(actor)
        else:
            self.panel.say("reset" if after is not State.INVALID else self.message)

    def _pause(self, after: State, actor: Actor) -> None:
        if after is State.INIT:
            self._pause_wanted = True
            self.panel.show("ENABLE", False)
        elif self.state is not after and self.run is not None:
            self.run.pause()
            self._enter(after, "paused", actor)

    def _resume(self, after: State, actor: Actor) -> None:
        if self.state is not after and self.run is not None:
            self._enter(after, "running", actor)
            self.run.resume()

    def _stop(self, after: State, actor: Actor) -> None:
        self._timers.cancel("retry")
        self._then_start = None
        if self.run is None:
            if self.state is not after:
                self._enter(after, "stopped", actor)
            return
        self._leave("stopping", actor)

    def _leave(self, message: str, actor: Actor) -> None:
        """Ask the present run to end; `stop_timeout` later it is given up."""
        assert self.run is not None
        self.leaving = True
        self._leaving_for = actor
        self.outputs.invalidate(message)
        self.panel.say(message)
        self.run.leave()
        run = self.run
        self._timers.arm("stop", self.spec.supervision.stop_timeout, lambda: self._abandon(run))

    def _start_over(self, actor: Actor) -> None:
        """Start, after the present run has ended when there is one."""
        self._timers.cancel("retry")
        if self.run is not None:
            self._then_start = actor
            if self.state is not State.INIT:
                self._enter(State.INIT, "waits for the last run to end", actor)
            if not self.leaving:
                self._leave("restarting", actor)
            return
        self._begin(actor)

    def renewed(self, actor: Actor) -> None:
        """Validated again and found good: a restart goes on, an INVALID task starts if it would at boot.

        Raises:
            Refused: Too many of its threads hang.
        """
        self._restarts.reset()
        if self.state is State.INVALID:
            self.forget_error()
        if self.state is State.INVALID and not self.renewal.wanted():
            self._enter(State.END, "valid again", actor)
        else:
            self._start_over(actor)

    def _begin(self, actor: Actor) -> None:
        if (reason := self.abandoned.refusal()) is not None:
            self.note_error(reason)
            if self.state is not State.ERROR:
                self._enter(State.ERROR, reason, actor)
            raise Refused(
                f"{self.name}: not started, {reason}",
                hint="end what they wait for, or restart the host: a thread cannot be ended from outside",
            )
        self.renewal.take_over()
        self._pause_wanted = False
        self.panel.show("ENABLE", True)
        if self.state is not State.INIT:
            self._enter(State.INIT, "starting", actor)
        self.try_launch()

    def try_launch(self) -> None:
        """Launch when all dependencies run; called again whenever one of them changes."""
        awaited = self.awaited()
        self._waits = awaited is not None
        if awaited is not None:
            self.panel.say(f"waits for {awaited}")
            return
        self.gate.enter(self, self._launch)

    def _launch(self) -> None:
        """Start the code, when that is still wanted."""
        if self.state is not State.INIT or self.run is not None:
            self.gate.leave(self)
            return
        self.panel.say("initializing")
        reports = RunReports(self, self.env.post)
        self.run = made_run(self.work(), counters=self.counters, owner=reports, stand_ins=self._stand_ins)
        self.pending.clear()
        self.degrade("")
        self.degrade("", LINKS)
        run, limit = self.run, self.spec.supervision.start_timeout
        self._timers.arm("start", limit, lambda: self._start_timeout(run, limit))
        run.start()

    @property
    def waits_for_dependency(self) -> bool:
        """Whether it is in INIT because another instance does not run yet."""
        return self._waits and self.state is State.INIT and self.run is None

    def on_initialized(self, run: CodeRun) -> None:
        """A run's `initialize` has returned."""
        self.gate.leave(self)
        if run is not self.run or self.leaving or self.state is not State.INIT:
            return
        self._timers.cancel("start")
        words, self.cls = self.renewal.words(run.cls), run.cls
        self._since = self.env.clock.monotonic()
        if self._pause_wanted:
            self._enter(next_state(self.state, Trigger.INITIALIZED_PAUSED), "paused", SUPERVISOR)
            return
        self._enter(next_state(self.state, Trigger.INITIALIZED), words, SUPERVISOR)
        run.resume()

    def on_failed(self, run: CodeRun, cause: Cause, reason: str, trace: str) -> None:
        """A run's code failed; its outputs are INVALID already."""
        if run is not self.run:
            return
        self._timers.cancel("start")
        self.note_error(reason, trace)
        if self.leaving:
            return
        self.leaving = True
        self._leaving_for = SUPERVISOR
        self._timers.arm("stop", self.spec.supervision.stop_timeout, lambda: self._abandon(run))
        self._follow(cause, reason)

    def _follow(self, cause: Cause, reason: str) -> None:
        """Enter BACKOFF or ERROR as the policy says."""
        now = self.env.clock.monotonic()
        ran_for = now - self._since if self.state in (*_UP, State.STALLED) else 0.0
        decision = self._restarts.decide(self.spec.supervision, cause, now, ran_for, self.env.random())
        if isinstance(decision, GiveUp):
            words = reason if decision.reason in reason else f"{reason} [{decision.reason}]"
            self._enter(next_state(self.state, Trigger.FAILED_FOR_GOOD), words, SUPERVISOR)
            return
        words = f"retry {decision.attempt} in {decision.delay:.3g} s: {reason}"
        self._enter(next_state(self.state, Trigger.FAILED_RETRY), words, SUPERVISOR)
        self._timers.arm("retry", decision.delay, self._retry)

    def _retry(self) -> None:
        if self.state is not State.BACKOFF:
            return
        self.counters.restarts += 1
        self.panel.show("RESTARTS", self.counters.restarts)
        try:
            self._start_over(SUPERVISOR)
        except Refused as refused:
            self.logger.error("%s", refused)

    def _start_timeout(self, run: CodeRun, limit: float) -> None:
        if run is self.run and self.state is State.INIT and not self.leaving:
            reason = f"initialize() has not returned after {limit:g} s, stands at {run.where()}"
            run.leave()
            self.on_failed(run, Cause.START_TIMEOUT, reason, "")

    def on_ended(self, run: CodeRun, remark: str = "") -> None:
        """A run's thread is over, or given up, which `remark` says."""
        if run is not self.run:
            return
        self.gate.leave(self)
        self._timers.cancel("start")
        self._timers.cancel("stop")
        self.run = None
        was_leaving, self.leaving = self.leaving, False
        self.degrade("", LINKS)
        if not was_leaving and run.retired:
            self._enter(State.END, "ended by itself: its code set running to False", SUPERVISOR)
        elif not was_leaving:
            self._follow(Cause.RETURNED, "its code returned")
        elif self._then_start is not None:
            actor, self._then_start = self._then_start, None
            try:
                self._begin(actor)
            except Refused as refused:
                self.logger.error("%s", refused)
        elif self.state in (*_UP, State.STALLED, State.INIT):
            self._enter(State.END, f"stopped{remark}", self._leaving_for)
        else:
            self.changed(self)

    def _abandon(self, run: CodeRun) -> None:
        if run is not self.run:
            return
        where = run.where()
        self.outputs.close(run)
        if run.kill():
            self.logger.warning("its worker is killed, it stands at %s", where)
            self._timers.arm("stop", KILLED_WITHIN, lambda: self._abandon(run))
            return
        self.drop_links()
        self.abandoned.add(run)
        self.note_error(f"gave up a thread that does not end, it stands at {where}")
        self.logger.error("thread abandoned, it stands at %s", where)
        self.on_ended(run, f"; its thread still hangs at {where}")

    def check_progress(self, now: float) -> None:
        """Find out whether the code stalls or goes on again."""
        run = self.run
        if run is None or self.leaving:
            return
        idle, why = self.idle_for(run, now)
        if self.state is State.RUN and idle > self.spec.stall_after:
            self._stalled(run, why())
        elif self.state is State.STALLED and idle <= self.spec.stall_after:
            self._enter(next_state(self.state, Trigger.PROGRESSED), "running", SUPERVISOR)
            self.decide_again()

    def _stalled(self, run: AnyRun, reason: str) -> None:
        self.note_error(reason)
        run.rescue()
        self._enter(next_state(self.state, Trigger.STALLED), reason, SUPERVISOR)
        action = self.spec.supervision.on_stall
        if action is OnStall.EXIT:
            self.env.demand_exit(f"{self.name}: {reason}")
        elif action is OnStall.RESTART:
            run.leave()
            self.leaving = True
            self._follow(Cause.STALL, reason)
            self._abandon(run)

    def tick(self) -> None:
        """Once a second, on the watchdog's thread: a cycle that is under way for long is shown."""
        run = self.run
        if run is not None and run.in_cycle:
            self.panel.show("BUSY", True)
            if not run.in_cycle:
                self.panel.show("BUSY", False)

    def progressing(self, now: float) -> bool:
        """Whether HEARTBEAT may beat. Any thread."""
        run, beats = self.run, self.state in _UP
        return run is not None and beats and self.idle_for(run, now)[0] <= self.spec.stall_after

    def trigger(self, put: Put | None, actor: Actor) -> None:
        """Run a triggered task once.

        Raises:
            Refused: It is not in RUN, or enough runs wait already.
        """
        request_run(self.run if self.state is State.RUN else None, self.view(), self.panel, put)

    def _enter(self, after: State, reason: str, actor: Actor) -> None:
        before, self.state = self.state, after
        if after is State.RUN:
            self.outputs.validate()
        else:
            self.outputs.invalidate(reason, paused=after is State.PAUSED)
        self.panel.show("STATUS", int(after))
        self.panel.show("ENABLE", after is not State.PAUSED)
        self.panel.say(reason)
        self.record_change(before, after, reason, actor)

    def settled(self) -> bool:
        """Whether no change of state is under way."""
        if self.leaving or self.renewal.under_way:
            return False
        return self.state is not State.INIT or self.waits_for_dependency

    def shutdown_done(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.run is None

    def allowed(self) -> tuple[str, ...]:
        """Verbs that are possible now."""
        return tuple(verb.value for verb in allowed(self.state))

    def view(self) -> InstanceView:
        """One line of the list."""
        uptime = self.env.clock.monotonic() - self._since if self.state in (State.RUN, State.PAUSED) else 0.0
        return task_view(self, uptime)
