"""What an operation would change, in words for people and programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from iocmng.plugins.candidate import Candidate
from iocmng.plugins.installing.model import Generation, Lock, OriginKind
from iocmng.plugins.modules import ModuleSwap
from iocmng.plugins.ownership import ChangedDistribution
from iocmng.runtime.instance import Instance
from iocmng.spec import InstanceSpec, RecordSpec
from iocmng.wire import DistributionChange, Finding, InstanceChange, NotHot, PlanView, PvChange

SAFE_MODE = NotHot("iocmng", "the host is in safe mode and runs no plugins")
_FEW = 4
_DIRECTORIES = (OriginKind.PLUGIN_DIRECTORY, OriginKind.GIT_PLUGIN_DIRECTORY)


@dataclass(frozen=True, kw_only=True)
class Change:
    """Instances that leave and arrive together.

    Attributes:
        distributions: What changes of the environment.
        lock: What is installed afterwards, None where nothing is installed.
        generation: Where it is, None for nothing.
        was: The generation before.
        leaving: Instances of the running host.
        before: What those were made from, to make them again.
        arriving: Instances in their place, valid and not.
        changes: The same for code: which modules change.
        swap: Exchanges those modules, None where none change.
        lacking: Needed and free spare records of the kinds that do not suffice.
        anew: PVs that get another record: clients have to connect anew.
        reasons: Why it needs a restart of the host.
        heavy: Imports that hold neighbours up.
        findings: What is worth knowing besides what is said of instances.
        accepted: Whether clients may have to connect anew.
    """

    distributions: tuple[DistributionChange, ...] = ()
    lock: Lock | None = None
    generation: Generation | None = None
    was: Generation | None = None
    leaving: tuple[Instance, ...] = ()
    before: tuple[Candidate, ...] = ()
    arriving: tuple[Candidate, ...] = ()
    changes: tuple[ChangedDistribution, ...] = ()
    swap: ModuleSwap | None = None
    lacking: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    anew: frozenset[str] = frozenset()
    reasons: tuple[NotHot, ...] = ()
    heavy: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    accepted: bool = False

    @property
    def words(self) -> str:
        """What has changed, in one line."""
        told = [_changed(one, self._plugin(one.name)) for one in self.distributions]
        told += [_instances("added", self.added), _instances("removed", self.removed)]
        return "; ".join(filter(None, told))

    def _plugin(self, distribution: str) -> str:
        """The plugin of a plugin directory, whose distribution nobody has named; "" for others."""
        locks = (self.lock, self.was.lock if self.was else None)
        roots = (lock.root(distribution) for lock in locks if lock is not None)
        return next((root.plugin for root in roots if root and root.origin.kind in _DIRECTORIES), "")

    @property
    def added(self) -> list[str]:
        """Names of instances that were not there before."""
        there = {one.name for one in self.leaving}
        return [one.spec.name for one in self.arriving if one.spec.name not in there]

    @property
    def removed(self) -> list[str]:
        """Names of instances that are gone."""
        stay = {one.spec.name for one in self.arriving}
        return [one.name for one in self.leaving if one.name not in stay]


def _changed(change: DistributionChange, plugin: str) -> str:
    name = plugin or change.name
    if not change.before:
        return f"{name}{'' if plugin else ' ' + change.after} is installed"
    if not change.after:
        return f"{name}{'' if plugin else ' ' + change.before} is removed"
    if change.before == change.after:
        return f"{name}{'' if plugin else ' ' + change.after} is changed"
    return f"{name} is changed" if plugin else f"{name} {change.before} -> {change.after}"


def _instances(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"{what}: {', '.join(names[:_FEW])}{more}"


def complete_plan(plan: PlanView, change: Change, *, safe: str) -> PlanView:
    """Add what the probe found out."""
    reasons = (*change.reasons, *([SAFE_MODE] if safe else ()))
    return replace(
        plan,
        instances=tuple(_instance_changes(change)),
        pvs=tuple(_pv_changes(change)),
        hot=not (reasons or change.lacking or (change.anew and not change.accepted)),
        reasons=reasons,
        spares=change.lacking,
        heavy=change.heavy,
        findings=(*change.findings, *(finding for one in change.arriving for finding in one.findings)),
    )


def _instance_changes(change: Change) -> Iterator[InstanceChange]:
    before = {one.name: one.spec.plugin for one in change.leaving}
    after = {one.spec.name: one.spec.plugin for one in change.arriving}
    for name in sorted(before.keys() | after.keys()):
        plugin = after.get(name) or before[name]
        yield InstanceChange(
            name=name,
            change="removed" if name not in after else "changed" if name in before else "added",
            plugin=plugin.name,
            distribution=plugin.distribution,
            before=before[name].version if name in before else "",
            after=after[name].version if name in after else "",
        )


def _pv_changes(change: Change) -> Iterator[PvChange]:
    before = _records(one.spec for one in change.leaving)
    after = _records(one.spec for one in change.arriving)
    for name in [*after, *(gone for gone in before if gone not in after)]:
        if name not in after:
            yield PvChange(name=name, change="removed")
        elif name not in before:
            yield PvChange(name=name, change="added")
        elif replace(before[name], value=None) != replace(after[name], value=None) or name in change.anew:
            yield PvChange(name=name, change="changed", reconnect=name in change.anew)


def _records(specs: Iterable[InstanceSpec]) -> dict[str, RecordSpec]:
    return {record.name: record for spec in specs for record in spec.records}
