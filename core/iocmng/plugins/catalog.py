"""All instances of the host, good and bad: discovered, configured, validated, compared with each other."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from iocmng.plugins import policy
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.clashes import Fault, dependency_faults, pv_clashes
from iocmng.plugins.discovery import Discovered, mark_duplicates
from iocmng.plugins.draft import Draft, make_drafts
from iocmng.plugins.hooks import Hooks
from iocmng.plugins.journal import Journal
from iocmng.plugins.judging import judge
from iocmng.plugins.locallinks import local_link_faults
from iocmng.plugins.loops import trigger_loops
from iocmng.plugins.validate import check_files
from iocmng.plugins.verdict import Prober, VerdictStore
from iocmng.settings.settings import Settings
from iocmng.spec import InstanceSpec
from iocmng.spec.defaults import host_records
from iocmng.wire import Finding

_log = logging.getLogger("iocmng.plugins")


@dataclass(frozen=True)
class Catalog:
    """What the host has, in the order of starting.

    Attributes:
        candidates: Every configured or discovered instance, valid or not; names are unique.
        findings: What concerns no single instance: the site file, hooks.
    """

    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...] = ()

    def find(self, name: str) -> Candidate | None:
        """The candidate of that name."""
        return next((one for one in self.candidates if one.spec.name == name), None)


def build_catalog(
    settings: Settings,
    hooks: Hooks,
    *,
    prober: Prober | None = None,
    store: VerdictStore | None = None,
    journal: Journal | None = None,
    focus: str | None = None,
) -> Catalog:
    """Find, configure and judge everything; never raises because of a plugin.

    Args:
        settings: The settings in force.
        hooks: The hooks, with the built-in sources registered (`iocmng.plugins.sources`).
        prober: Imports plugins in a child process; without one only the first step of validation is done.
        store: Keeps verdicts from one start to the next.
        journal: Knows who ended the host the last time.
        focus: The only instance that is to be imported (an operator's reset, changed files): all others are
            judged by their files and kept verdicts, and only this one of the result counts.
    """
    return assemble(
        _discover(settings, hooks), settings, hooks, prober=prober, store=store, journal=journal, focus=focus
    )


def assemble(
    found: Iterable[Discovered],
    settings: Settings,
    hooks: Hooks,
    *,
    prober: Prober | None = None,
    store: VerdictStore | None = None,
    journal: Journal | None = None,
    focus: str | None = None,
    beside: Sequence[InstanceSpec] | None = None,
) -> Catalog:
    """Configure and judge what was discovered; the arguments not named here are those of `build_catalog`.

    Args:
        found: The plugins.
        settings: The settings in force.
        hooks: The hooks.
        prober: Imports plugins.
        store: Keeps verdicts.
        journal: Knows who ended the host.
        focus: The only instance that is to be imported.
        beside: Instances that are there already: what was discovered comes to them, and the site file's
            other instances are none of its business. None: it is everything there is.
    """
    store = store or VerdictStore(None)
    checked = [check_files(one) for one in found]
    taken = None if beside is None else [spec.name for spec in beside]
    drafts, notes = make_drafts(settings, checked, taken=taken)
    for draft in drafts:
        # A kept verdict tells the kind at once, which saves describing the instance twice.
        key = draft.verdict_key
        draft.verdict = store.get(key) if key else None
        draft.describe(settings)
    policy.configure(drafts, settings, hooks)
    judge(drafts, settings, prober, store, focus)
    _compare(drafts, settings, journal, beside or ())
    judged = policy.ask([draft.candidate(settings) for draft in drafts], settings, hooks)
    ordered = sorted(judged, key=lambda one: (one.spec.supervision.start_order, one.spec.name))
    alone = _without_shared_records(ordered, settings, beside or ())
    return Catalog(tuple(alone), (*notes, *(hooks.problems if beside is None else ())))


def _discover(settings: Settings, hooks: Hooks) -> tuple[Discovered, ...]:
    found: list[Discovered] = []
    for answer in hooks.call("iocmng_discover", settings=settings):
        items = answer.value if isinstance(answer.value, Iterable) else [answer.value]
        for item in items:
            if isinstance(item, Discovered):
                found.append(item)
            else:
                _log.error("iocmng_discover of %s gave %r, which is no Discovered", answer.plugin, item)
    found.sort(key=lambda one: (one.plugin.distribution.lower(), one.plugin.name))
    return mark_duplicates(found)


def _compare(
    drafts: Sequence[Draft], settings: Settings, journal: Journal | None, beside: Sequence[InstanceSpec]
) -> None:
    """Find what instances do to each other, and who ended the host."""
    by_name = {draft.name: draft for draft in drafts}

    def running() -> list[InstanceSpec]:
        return [*beside, *(draft.spec for draft in drafts if draft.spec is not None and not draft.broken)]

    def fingerprint_of(name: str) -> str:
        return (by_name[name].checked.discovered.fingerprint or "") if name in by_name else ""

    for name, finding in journal.findings(fingerprint_of).items() if journal else ():
        if name in by_name:
            by_name[name].findings.append(finding)

    def among(faults: Iterable[Fault]) -> list[Fault]:
        return [fault for fault in faults if fault[0] in by_name]

    for name, finding in among(pv_clashes(running(), _host_pvs(settings))):
        by_name[name].findings.append(finding)
    known = [*by_name, *(spec.name for spec in beside)]
    for name, finding in among(dependency_faults(running(), known)):
        by_name[name].findings.append(finding)
    for name, finding in among(local_link_faults(running())):
        loaded = by_name[name].loaded
        where = loaded.locate(*finding.where.key.split(".")) if loaded else finding.where
        by_name[name].findings.append(replace(finding, where=where))
    for name, finding in among(trigger_loops(running())):
        by_name[name].findings.append(finding)


def _host_pvs(settings: Settings) -> dict[str, str]:
    return {record.name: "the host itself" for record in host_records(settings.prefix).values()}


def _without_shared_records(
    candidates: Sequence[Candidate], settings: Settings, beside: Sequence[InstanceSpec]
) -> Iterator[Candidate]:
    """Take the records from an invalid candidate whose PV names are another one's."""
    taken = {*_host_pvs(settings), *(record.name for spec in beside for record in spec.records)}
    for candidate in candidates:
        if candidate.valid:
            taken.update(record.name for record in candidate.spec.records)
    for candidate in candidates:
        names = {record.name for record in candidate.spec.records}
        if not candidate.valid and names & taken:
            yield replace(candidate, spec=replace(candidate.spec, defaults={}, ports=()))
        else:
            taken |= names
            yield candidate
