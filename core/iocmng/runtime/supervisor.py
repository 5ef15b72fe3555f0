"""All instances of a host: starts them in order, applies what operators ask, hears clients' puts, ends them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from iocmng.errors import NotFound, Refused
from iocmng.lifecycle import State, Trigger
from iocmng.names import did_you_mean
from iocmng.runtime.environment import Environment
from iocmng.runtime.instance import Instance
from iocmng.runtime.job import JobInstance
from iocmng.runtime.ports import Put, Undo
from iocmng.runtime.startgate import StartGate
from iocmng.runtime.task import TaskInstance
from iocmng.spec import RecordSpec
from iocmng.wire import Actor, EventKind

_log = logging.getLogger("iocmng.supervisor")
_STARTING = (Trigger.START, Trigger.RESUME, Trigger.RESTART)
_PUT_VERBS = {"RESTART": Trigger.RESTART, "RESET": Trigger.RESET}


class Supervisor:
    """Owns the instances; on the supervising thread only.

    Attributes:
        leaving: Names of those that are being exchanged, which nobody may start meanwhile.
    """

    def __init__(self, environment: Environment) -> None:
        self.env = environment
        self._instances: dict[str, Instance] = {}
        self._ordered: tuple[Instance, ...] = ()
        self._puts: dict[str, tuple[Instance, str]] = {}
        self._waiting: dict[str, TaskInstance] = {}
        self._ignored: dict[str, int] = {}
        self._hearing: dict[str, Undo] = {}
        self.leaving: frozenset[str] = frozenset()
        self._gate = StartGate(environment.after)
        self.acted: Callable[[Instance, Trigger], None] = lambda instance, verb: None

    def __iter__(self) -> Iterator[Instance]:
        return iter(self.ordered())

    def __len__(self) -> int:
        return len(self._instances)

    def listen(self, records: Iterable[RecordSpec]) -> None:
        """Hear clients of loaded records; before they are served, so that no put is lost."""
        for record in records:
            if record.writable and record.name not in self._hearing:
                self._hearing[record.name] = self.env.records.on_put(record.name, self.on_put)

    def add(self, instance: Instance) -> None:
        """Take an instance in."""
        self._instances[instance.name] = instance
        self._ordered = ()
        instance.changed = self._on_change
        if isinstance(instance, TaskInstance):
            instance.awaited = lambda: self._awaited(instance)
            instance.gate = self._gate
        for record in instance.spec.records:
            if record.writable:
                self._puts[record.name] = (instance, record.port)

    def remove(self, instance: Instance) -> None:
        """Let go of an instance that has stopped; its records are the caller's to take away."""
        del self._instances[instance.name]
        self._ordered = ()
        self._waiting.pop(instance.name, None)
        self._gate.leave(instance)
        for record in instance.spec.records:
            self._puts.pop(record.name, None)
            self._ignored.pop(record.name, None)
            if undo := self._hearing.pop(record.name, None):
                undo()
        instance.close()

    def ordered(self) -> Sequence[Instance]:
        """Instances by start order and name. Any thread."""
        if not self._ordered:
            self._ordered = tuple(
                sorted(self._instances.values(), key=lambda one: (one.spec.supervision.start_order, one.name))
            )
        return self._ordered

    def get(self, name: str) -> Instance:
        """The instance of a name.

        Raises:
            NotFound: None has it; the hint has the nearest name.
        """
        try:
            return self._instances[name]
        except KeyError:
            hint = did_you_mean(name, self._instances)
            raise NotFound(f"no instance {name!r}", hint=hint) from None

    def job(self, name: str) -> JobInstance:
        """The job of a name.

        Raises:
            NotFound: None has it, or it is a task.
        """
        instance = self.get(name)
        if not isinstance(instance, JobInstance):
            raise NotFound(f"{name} is a task, not a job", hint=f"iocmng start {name}")
        return instance

    def act(self, name: str, verb: Trigger, actor: Actor) -> Instance:
        """Apply an operator's verb and tell the audit.

        Raises:
            NotFound: No such instance.
            Refused: Not in this state, or it is about to be exchanged.
        """
        instance = self.get(name)
        if name in self.leaving and verb in _STARTING:
            raise Refused(
                f"{name}: cannot {verb} it, another version is taking its place", hint="wait for some seconds"
            )
        before = instance.view().state
        instance.apply(verb, actor)
        after = instance.view().state
        self.env.events.publish(
            EventKind.AUDIT,
            instance=name,
            text=f"{verb}: {before} -> {after}",
            data={"verb": verb.value, "before": before, "after": after},
            actor=actor,
        )
        self.acted(instance, verb)
        return instance

    def start(self, names: Iterable[str], paused: Iterable[str], actor: Actor) -> None:
        """Start tasks in order; those in `paused` go to PAUSED. One that refuses costs the others nothing."""
        wanted, held = set(names), set(paused)
        for instance in self.ordered():
            if instance.name not in wanted or not isinstance(instance, TaskInstance):
                continue
            if instance.state is State.INVALID:
                continue
            try:
                instance.apply(Trigger.START, actor)
                if instance.name in held:
                    instance.apply(Trigger.PAUSE, actor)
            except Refused as refused:
                _log.error("%s", refused)

    def stop_waves(self) -> list[list[Instance]]:
        """Instances in the order in which a shutdown stops them: dependents first, then by falling start order."""
        remaining = {one.name: one for one in self._instances.values()}
        waves: list[list[Instance]] = []
        while remaining:
            needed = {name for one in remaining.values() for name in one.spec.supervision.depends_on}
            free = [one for one in remaining.values() if one.name not in needed] or list(remaining.values())
            last = max(one.spec.supervision.start_order for one in free)
            wave = [one for one in free if one.spec.supervision.start_order == last]
            waves.append(wave)
            for one in wave:
                del remaining[one.name]
        return waves

    def pending(self) -> str | None:
        """The name of an instance that is still starting, or None."""
        for instance in self._instances.values():
            if isinstance(instance, TaskInstance) and not instance.settled():
                return instance.name
        return None

    def check_progress(self, now: float) -> None:
        """Look for stalls."""
        for instance in self._instances.values():
            if isinstance(instance, TaskInstance):
                instance.check_progress(now)

    def on_put(self, put: Put) -> None:
        """A client wrote a writable record; called in order on the supervising thread."""
        if put.name not in self._puts:
            # It was on its way when its instance went.
            put.complete()
            return
        instance, port = self._puts[put.name]
        self.env.events.publish(
            EventKind.PUT,
            instance=instance.name,
            text=f"{port} = {put.value}",
            data={"pv": put.name, "port": port},
            actor=put.actor,
        )
        if port not in instance.spec.defaults:
            instance.on_input(port)
            put.complete()
            return
        if put.ignored:
            self._ignored[put.name] = self._ignored.get(put.name, 0) + 1
            instance.panel.say(f"{port} put while it runs has no effect ({self._ignored[put.name]} so far)")
            return
        instance.panel.forget(port)
        kept = False
        try:
            kept = self._on_default_put(instance, port, put)
        except Refused as refused:
            _log.warning("%s: put of %s refused: %s", put.actor, put.name, refused)
            instance.panel.say(f"{port} refused: {refused.detail}")
            self._show_back(instance, port)
        if not kept:
            put.complete()

    def _on_default_put(self, instance: Instance, port: str, put: Put) -> bool:
        """Do what a default PV stands for; True when the put is completed later."""
        if port == "ENABLE":
            self.act(instance.name, Trigger.RESUME if put.value else Trigger.PAUSE, put.actor)
        elif not put.value:
            return False
        elif port in _PUT_VERBS:
            instance.panel.show(port, False)
            self.act(instance.name, _PUT_VERBS[port], put.actor)
        elif port == "CLEAR":
            instance.panel.show(port, False)
            instance.clear()
        elif port == "RUN" and isinstance(instance, TaskInstance):
            instance.trigger(put, put.actor)
            return True
        elif isinstance(instance, JobInstance):
            return instance.on_put(port, put)
        return False

    def _show_back(self, instance: Instance, port: str) -> None:
        """Show a refused default PV as it really is."""
        if port == "ENABLE":
            instance.panel.show(
                port, not (isinstance(instance, TaskInstance) and instance.state is State.PAUSED)
            )
        elif port != "RUN":
            instance.panel.show(port, False)

    def _awaited(self, instance: TaskInstance) -> str | None:
        for name in instance.spec.supervision.depends_on:
            needed = self._instances.get(name)
            if isinstance(needed, TaskInstance) and needed.state is not State.RUN:
                self._waiting[instance.name] = instance
                return f"{name} ({needed.state.name})"
        self._waiting.pop(instance.name, None)
        return None

    def _on_change(self, instance: Instance) -> None:
        for waiting in list(self._waiting.values()):
            if instance.name in waiting.spec.supervision.depends_on:
                if waiting.waits_for_dependency:
                    waiting.try_launch()
                else:
                    self._waiting.pop(waiting.name, None)
