"""Feed a trace through a program, with every deadline between two lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from iocmng.errors import BadInput
from iocmng.logic.decisions import OutputWrite, Snapshot, Step
from iocmng.logic.engine import Program
from iocmng.logic.samples import Samples
from iocmng.logic.trace import Row, Trace
from iocmng.spec.instance import Direction, InstanceSpec
from iocmng.values import Reading, Severity, Value
from iocmng.wire.instance import RuleView

MAX_STEPS = 1_000_000
"""More evaluations than this in one replay are a mistake: a date among seconds, or logic that flips itself."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One evaluation of a replay in which something happened.

    Attributes:
        time: When, as in the trace.
        line: The line of the trace that caused it, None for a deadline.
        step: What was decided.
        rules: Rules that are decided differently now, with their reasons.
        mismatches: Outputs that do not show what the line expects.
    """

    time: float
    line: int | None
    step: Step
    rules: tuple[RuleView, ...]
    mismatches: tuple[str, ...]

    @property
    def eventful(self) -> bool:
        """Whether there is anything to tell."""
        step = self.step
        told = step.writes or step.commands or step.withdrawn or step.events or step.message is not None
        return bool(told or self.rules or self.mismatches)


class Replay:
    """A program, fed with a trace.

    Args:
        spec: The instance.
        program: Its logic.
        trace: What its ports read.
    """

    def __init__(self, spec: InstanceSpec, program: Program, trace: Trace) -> None:
        self._program = program
        self._trace = trace
        self._linked = {port.name for port in spec.ports if port.link is not None}
        self._parameters = {name: given.value for name, given in spec.parameters.items()}
        self._readings: dict[str, Reading] = {
            port.name: Reading(port.value)
            for port in spec.ports
            if port.direction is Direction.INPUT and port.link is None and port.value is not None
        }
        self._rings: dict[str, deque[tuple[float, Value]]] = {
            port.name: deque(maxlen=port.buffer_size) for port in spec.ports if port.buffer_size
        }
        self._heard: dict[str, float] = {}
        self._decided: dict[str, tuple[Any, ...]] = {}
        self.shown: dict[str, OutputWrite] = {}
        self.rules: tuple[RuleView, ...] = ()
        self._state = program.start(trace.rows[0].time if trace.rows else 0.0)

    def run(self, until: float | None = None) -> Iterator[Moment]:
        """Yield what happens, in order.

        Args:
            until: Go on to this time after the last line; times as in the trace.

        Raises:
            BadInput: It takes more than `MAX_STEPS` evaluations.
        """
        deadline: float | None = None
        steps = 0
        for row in (*self._trace.rows, None):
            end = row.time if row is not None else until
            while (
                deadline is not None
                and end is not None
                and (deadline < end or (row is None and deadline == end))
            ):
                steps += 1
                if steps > MAX_STEPS:
                    raise BadInput(
                        f"the replay takes more than {MAX_STEPS} evaluations", hint="cut the trace"
                    )
                moment = self._step(deadline, None)
                deadline = moment.step.deadline
                if moment.eventful:
                    yield moment
            if row is not None:
                self._take(row)
                moment = self._step(row.time, row)
                deadline = moment.step.deadline
                if moment.eventful:
                    yield moment

    def _take(self, row: Row) -> None:
        for name in (*row.readings, *(name for name in row.severities if name not in row.readings)):
            last = self._readings.get(name)
            reading = row.readings.get(name, last)
            if reading is None:
                continue
            if reading.value is None and last is not None:
                reading = replace(reading, value=last.value)
            if name in row.severities and reading.connected:
                reading = replace(reading, severity=row.severities[name])
            self._readings[name] = reading
            self._heard[name] = row.time
            if reading.ok and name in row.readings:
                self._remember(name, reading.value, row.time)

    def _remember(self, name: str, value: Value | None, time: float) -> None:
        ring = self._rings.get(name)
        if ring is not None and value is not None:
            ring.append((time, value))

    def _step(self, now: float, row: Row | None) -> Moment:
        snapshot = Snapshot(
            dict(self._readings),
            {
                name: Samples([value for _, value in ring], [at for at, _ in ring])
                for name, ring in self._rings.items()
            },
            {name: now - at for name, at in self._heard.items() if name in self._linked},
            self._parameters,
            now,
        )
        evaluate = self._program.clear if row is not None and row.clear else self._program.step
        step = evaluate(self._state, snapshot, now)
        for write in step.writes:
            before = self.shown.get(write.port)
            if write.value is None and before is not None:
                write = replace(write, value=before.value)
            self.shown[write.port] = write
            if write.severity is not Severity.INVALID:
                self._remember(write.port, write.value, now)
        self.rules = self._program.explain(self._state, snapshot, now)
        return Moment(
            now, row.line if row else None, step, tuple(self._changed()), tuple(self._mismatches(row))
        )

    def _changed(self) -> Iterator[RuleView]:
        for view in self.rules:
            decided = (view.state, view.held, view.value, view.pending is not None)
            if self._decided.get(view.id) != decided:
                self._decided[view.id] = decided
                yield view

    def _mismatches(self, row: Row | None) -> Iterator[str]:
        for name, expected in (row.expected if row is not None else {}).items():
            shown = self.shown[name]
            wanted = "INVALID" if expected.value is None else _plain(expected.value)
            is_invalid = shown.severity is Severity.INVALID
            if expected.value is None:
                if is_invalid:
                    continue
            elif not is_invalid and _plain(shown.value) == wanted:
                continue
            found = f"{_plain(shown.value)}{f' {shown.severity.name}' if shown.severity else ''}"
            yield f"{name}: expected {wanted}, shows {found}{f' ({shown.reason})' if shown.reason else ''}"


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def plain_step(moment: Moment) -> Mapping[str, Any]:
    """A moment as JSON knows it."""
    step = moment.step
    return {
        "time": moment.time,
        "line": moment.line,
        "rules": [
            {
                "id": view.id,
                "state": view.state,
                "value": view.value,
                "held": view.held,
                "reason": view.reason,
            }
            for view in moment.rules
        ],
        "writes": [
            {
                "port": write.port,
                "value": _plain(write.value),
                "severity": write.severity.name,
                "status": write.status.name,
                "reason": write.reason,
            }
            for write in step.writes
        ],
        "commands": [
            {"port": command.port, "value": _plain(command.value), "rule": command.rule}
            for command in step.commands
        ],
        "withdrawn": list(step.withdrawn),
        "events": [
            {"kind": event.kind.value, "subject": event.subject, "text": event.text} for event in step.events
        ],
        "latched": None
        if step.latched is None
        else {name: _plain(value) for name, value in step.latched.items()},
        "message": step.message,
        "mismatches": list(moment.mismatches),
    }
