"""New code and config for a task that is here: at a reset of an INVALID one, at a restart after files changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from iocmng.errors import Refused
from iocmng.lifecycle import State, Trigger
from iocmng.runtime.outputs import Outputs
from iocmng.spec import InstanceSpec, RecordSpec
from iocmng.wire import Actor, Finding, Level

if TYPE_CHECKING:
    from iocmng.runtime.task import TaskInstance


@dataclass(frozen=True, slots=True)
class Look:
    """What validating an instance again gave: its description, None when it was refused, and all findings."""

    spec: InstanceSpec | None
    findings: tuple[Finding, ...] = ()

    @property
    def refusal(self) -> str:
        """Why it was refused."""
        errors = [finding.message for finding in self.findings if finding.level is Level.ERROR]
        return errors[0] if errors else "refused by validation"


def unfit(old: InstanceSpec, new: InstanceSpec) -> list[str]:
    """PVs of `new` that need a record which the host does not have; records are made when it starts."""
    had = {record.name: _shape(record) for record in old.records}
    wanted = [*(port.record for port in new.ports), *new.defaults.values()]
    return [record.name for record in wanted if had.get(record.name) != _shape(record)]


def stale(old: InstanceSpec, new: InstanceSpec) -> Iterator[str]:
    """PVs that both have, whose units, limits, texts or alarm settings differ, and those that are gone."""
    had = {record.name: record for record in old.records}
    wanted = {record.name for record in new.records}
    yield from (name for name in had if name not in wanted)
    for record in new.records:
        before = had.get(record.name)
        if before is not None and replace(before, value=None) != replace(record, value=None):
            yield record.name


def _shape(record: RecordSpec) -> tuple[Any, ...]:
    return record.record_type, record.writable, record.length, record.dtype, record.labels, record.completes


class Renewal:
    """Has one task's plugin validated again when that is due, and holds what takes its place at the next start.

    On the supervising thread. A host fills `look`, which validates in the background and then calls back,
    `changed`, which says whether files differ from what is loaded, `wanted`, which says whether the task starts
    at boot, and `replace`, which begins to exchange the whole task for one with other records, or says why it cannot;
    without them nothing is ever renewed.
    """

    def __init__(self, task: TaskInstance) -> None:
        self.look: Callable[[Callable[[Look], None]], None] | None = None
        self.changed: Callable[[], bool] = lambda: False
        self.wanted: Callable[[], bool] = lambda: task.enabled
        self.replace: Callable[[Actor], str] = _not_replaced
        self._task = task
        self._asked: object | None = None
        self._next: InstanceSpec | None = None
        self._restarted = False
        self._note = ""

    @property
    def under_way(self) -> bool:
        """Whether a verb waits for the validation."""
        return self._asked is not None

    def cancel(self) -> None:
        """No verb waits any more, whatever the validation finds."""
        self._asked = None

    def takes(self, verb: Trigger, actor: Actor) -> bool:
        """Whether a verb waits for a validation that begins now; any other ends the wait of one before."""
        task = self._task
        self._asked, self._note = None, ""
        self._restarted = verb is Trigger.RESTART
        if self.look is None or not (
            (verb is Trigger.RESET and task.state is State.INVALID) or (self._restarted and self.changed())
        ):
            return False
        asked = self._asked = object()
        task.panel.say("is validated again")
        self.look(lambda found: self._looked(found, actor) if asked is self._asked else None)
        return True

    def _looked(self, found: Look, actor: Actor) -> None:
        self._asked = None
        task, spec = self._task, found.spec
        task.findings = found.findings
        if spec is None:
            self._refuse(found.refusal)
            return
        missing, changed = unfit(task.spec, spec), list(stale(task.spec, spec))
        if missing or changed:
            refusal = self.replace(actor)
            if not refusal:
                # Until then it is not settled.
                self._asked = object()
                task.panel.say("is exchanged for one with other PVs")
                return
            if missing:
                self._refuse(f"valid, but {refusal}: {_few(missing)}")
                return
            self._note = (
                f"; other PVs, limits and texts come with the next start of the host: {_few(changed)}"
            )
        self._next = spec
        try:
            task.renewed(actor)
        except Refused as refused:
            task.logger.error("%s", refused)

    def _refuse(self, reason: str) -> None:
        task = self._task
        if task.state is not State.INVALID:
            reason = f"changed files refused: {reason}"
        task.note_error(reason)
        task.panel.say(reason)
        task.logger.error("%s", reason)
        task.changed(task)

    def take_over(self) -> None:
        """Put the new description in the place of the old one; no code of the task runs."""
        spec, self._next = self._next, None
        if spec is None:
            return
        task = self._task
        was_set = {key: value for key, value in task.values.items() if value.origin == "set"}
        if spec != task.spec:
            self._note = f"; changed config loaded{self._note}"
        task.spec = spec
        task.values = {**spec.parameters, **was_set}
        task.outputs = Outputs(spec, task.env.records, task.env.clock)

    def words(self, cls: type | None) -> str:
        """What MESSAGE says of RUN: after an operator's restart also whether the code, now `cls`, is another."""
        task = self._task
        note, self._note = self._note, ""
        restarted, self._restarted = self._restarted, False
        if not restarted or task.cls is None:
            return f"running{note}"
        if cls is not task.cls:
            return f"running; changed code loaded{note}"
        plugin = task.spec.plugin
        if note or plugin.editable:
            return f"running{note or '; code unchanged'}"
        if task.generation is not None:
            return f"running; code unchanged: iocmng upgrade {plugin.name} looks for another"
        if plugin.origin == "directory":
            return "running; code unchanged: the next start of the host looks at its directory"
        return f"running; code unchanged: use upgrade (pip install -U {plugin.distribution}, then restart the host)"


def _not_replaced(actor: Actor) -> str:
    return "start the host again to serve its new PVs"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
