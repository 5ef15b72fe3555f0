"""Carries out what the logic of an instance decided: outputs, actuators, latches, message, log and events."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from iocmng.logic.decisions import LogicEvent, LogicEventKind, OutputWrite, Step
from iocmng.values import Value
from iocmng.wire import EventKind

if TYPE_CHECKING:
    from iocmng.runtime.coderun import Work
    from iocmng.runtime.wiring import OutputLinks

_LEVELS = {
    LogicEventKind.ACTIVE: logging.WARNING,
    LogicEventKind.FAILED: logging.WARNING,
    LogicEventKind.UNKNOWN: logging.WARNING,
    LogicEventKind.LATCHED: logging.WARNING,
    LogicEventKind.KEPT: logging.WARNING,
}


class CarryOut:
    """Does what steps say, for one run; on the thread that evaluates.

    Args:
        work: What the run works with.
        token: The run, for its writes.
        links: Its linked outputs and actuators, None without any.

    Attributes:
        latched: What is latched now.
    """

    def __init__(self, work: Work, token: object, links: OutputLinks | None) -> None:
        self._work = work
        self._token = token
        self._links = links
        self._last: dict[str, OutputWrite] = {}
        self._logger = logging.getLogger(f"iocmng.task.{work.spec.name}")
        self.latched: Mapping[str, Value] = {}

    def do(self, step: Step, *, everything: bool) -> None:
        """Carry a step out; with `everything` outputs that did not change are written too.

        Raises:
            InstanceGone: The run has been given up.
        """
        news = {write.port for write in step.writes if write.value is not None}
        for write in step.writes:
            before = self._last.get(write.port)
            # A change of quality alone names no value: the one before counts, whatever a pause shows in between.
            kept = write.value if write.value is not None or before is None else before.value
            self._last[write.port] = replace(write, value=kept)
        due = self._last if everything else [write.port for write in step.writes]
        writes = [self._last[port] for port in due]
        # Asked for commands alone too: a run that was given up may not command either.
        if writes or step.commands or step.withdrawn or step.latched is not None:
            self._work.outputs.decide(self._token, writes, news)
        if self._links is not None:
            for port in step.withdrawn:
                self._links.withdraw(port)
            for command in step.commands:
                self._links.command(command.port, command.value)
            if everything:
                self._links.resume()
        if step.latched is not None:
            self.latched = step.latched
            self._work.latches.keep(self._work.spec.name, step.latched)
        if step.message is not None:
            self._work.panel.say(step.message or "running")
        for event in step.events:
            self._tell(event)

    def refresh(self, step: Step) -> None:
        """Give outputs that a step did not write a fresh time."""
        written = {write.port for write in step.writes}
        self._work.outputs.refresh(self._token, [name for name in self._last if name not in written])

    def _tell(self, event: LogicEvent) -> None:
        words = (
            f"{event.subject} {event.kind}: {event.text}" if event.text else f"{event.subject} {event.kind}"
        )
        self._logger.log(_LEVELS.get(event.kind, logging.INFO), "%s", words)
        data: dict[str, Any] = {"what": event.kind.value, "subject": event.subject}
        self._work.events.publish(EventKind.LOGIC, instance=self._work.spec.name, text=event.text, data=data)
