"""What tasks and jobs have in common as instances: records, messages, last error, history."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import IntEnum
from functools import partial
from typing import Any

from iocmng.lifecycle import Trigger
from iocmng.runtime.coderun import Work
from iocmng.runtime.environment import Environment
from iocmng.runtime.outputs import Outputs
from iocmng.runtime.panel import Panel
from iocmng.spec import InstanceSpec, ParameterValue
from iocmng.wire import Actor, EventKind, Finding, InstanceView, StateChange

HISTORY = 50
SUPERVISOR = Actor(via="supervisor")


class Instance:
    """A named task or job of the host. Everything here runs on the supervising thread unless it says otherwise."""

    def __init__(
        self,
        spec: InstanceSpec,
        environment: Environment,
        *,
        load: Callable[[], type],
        findings: tuple[Finding, ...] = (),
    ) -> None:
        self.spec = spec
        self.findings = findings
        self.enabled = spec.enabled
        self.values: dict[str, ParameterValue] = dict(spec.parameters)
        self.pending: set[str] = set()
        self.cls: type | None = None
        self.last_error = ""
        self.last_error_time: float | None = None
        self.trace = ""
        self.degraded = ""
        self._complaints: dict[str, str] = {}
        self.history: deque[StateChange] = deque(maxlen=HISTORY)
        self.env = environment
        self.load = load
        self.panel = Panel(spec, environment.records)
        self.outputs = Outputs(spec, environment.records, environment.clock)
        self.logger = logging.getLogger(f"iocmng.task.{spec.name}")
        self.changed: Callable[[Instance], None] = lambda instance: None
        self.generation: int | None = None
        self.origin = ""

    @property
    def name(self) -> str:
        """The instance's name."""
        return self.spec.name

    @property
    def message(self) -> str:
        """What MESSAGE says, in full."""
        return self.panel.message

    def effective_spec(self) -> InstanceSpec:
        """The description with an `interval` and `timeout` that were set at run time; taken at each start."""
        values = self.plain_values()
        interval = float(values.get("interval", self.spec.interval))
        timeout = float(values.get("timeout", self.spec.timeout))
        if (interval, timeout) == (self.spec.interval, self.spec.timeout):
            return self.spec
        return replace(self.spec, interval=interval, timeout=timeout)

    def work(self) -> Work:
        """What the next run of its code works with."""
        return Work(
            spec=self.effective_spec(),
            load=self.load,
            values=self.plain_values(),
            outputs=self.outputs,
            panel=self.panel,
            default_record=lambda name: self.env.records.record(self.spec.defaults[name].name),
            authors=self.env.authors,
            clock=self.env.clock,
            note=partial(self.env.note, self.name),
            events=self.env.events,
            wiring=self.env.wiring,
            evaluation=self.env.evaluation,
            latches=self.env.latches,
            cothreads=self.env.cothreads,
        )

    def plain_values(self) -> Mapping[str, Any]:
        """Parameters without their origins."""
        return {key: parameter.value for key, parameter in self.values.items()}

    def record_change(self, before: IntEnum, after: IntEnum, reason: str, actor: Actor) -> None:
        """Keep and publish a change of state."""
        when = self.env.clock.time()
        change = StateChange(time=when, before=before.name, after=after.name, reason=reason, actor=str(actor))
        self.history.append(change)
        self.logger.info("%s -> %s%s", before.name, after.name, f": {reason}" if reason else "")
        data = {"before": before.name, "after": after.name, "reason": reason}
        self.env.events.publish(EventKind.STATE, instance=self.name, text=reason, data=data, actor=actor)
        self.changed(self)

    def note_error(self, reason: str, trace: str = "") -> None:
        """Keep a failure until reset, and show it."""
        self.last_error, self.trace = reason, trace
        self.last_error_time = self.env.clock.time()
        self.panel.error(reason, self.last_error_time)

    def forget_error(self) -> None:
        """An operator has acknowledged."""
        self.last_error = self.trace = ""
        self.last_error_time = None
        self.panel.error("", 0.0)

    def degrade(self, reason: str, source: str = "task") -> None:
        """Show that something is not as it should be, or, with "", that `source` has nothing to complain about."""
        self._complaints[source] = reason
        told = "; ".join(filter(None, self._complaints.values()))
        if told == self.degraded:
            return
        self.degraded = told
        self.panel.degraded(told)
        self.env.events.publish(EventKind.DEGRADED, instance=self.name, text=told)
        self.changed(self)

    def common_view(self) -> dict[str, Any]:
        """The fields of InstanceView that tasks and jobs share."""
        plugin = self.spec.plugin
        return {
            "name": self.name,
            "kind": self.spec.kind.value,
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": self.spec.version or plugin.version,
            "prefix": self.spec.pv_prefix,
            "message": self.message,
            "description": self.spec.description,
            "enabled": self.enabled,
            "degraded": bool(self.degraded),
            "complaint": self.degraded,
            "pvs": len(self.spec.records),
            "class_name": self.spec.class_name,
            "generation": self.generation,
            "origin": self.origin,
            "findings": self.findings,
        }

    def apply(self, verb: Trigger, actor: Actor) -> None:
        """Do what an operator asks.

        Raises:
            Refused: Not in this state.
        """
        raise NotImplementedError

    def on_input(self, port: str) -> None:
        """A client wrote an input."""

    def clear(self) -> None:
        """Release latches whose cause is gone."""

    def tick(self) -> None:
        """Once a second, on the watchdog's thread."""

    def view(self) -> InstanceView:
        """One line of the list."""
        raise NotImplementedError

    def follow(self, before: Instance) -> None:
        """It takes the place of an instance of its name: what happened to that stays known."""
        self.history.extendleft(reversed(before.history))
        if before.last_error:
            self.last_error, self.trace = before.last_error, before.trace
            self.last_error_time = before.last_error_time
            self.panel.error(before.last_error, before.last_error_time or 0.0)

    def close(self) -> None:
        """It has stopped and leaves the host: nothing outside holds it any more."""
        self.changed = lambda instance: None

    def shutdown_done(self) -> bool:
        """Whether nothing of it runs any more."""
        raise NotImplementedError
