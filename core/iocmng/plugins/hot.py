"""Whether plugins can be changed while the host runs: every doubt is answered with a restart of the host."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from iocmng.logic.functions import get_registry
from iocmng.plugins.candidate import Candidate
from iocmng.plugins.environment import Environment, Installed, canonical
from iocmng.plugins.holders import Held, Holders
from iocmng.plugins.hooks import HOOKS
from iocmng.plugins.ownership import ChangedDistribution, Owned, Ownership, is_library
from iocmng.plugins.sitepath import base_path, read_pth
from iocmng.plugins.subscriptions import subscribed
from iocmng.spec import InstanceSpec, Isolation
from iocmng.wire import Finding, Level, NotHot, Where

HEAVY = 0.020
"""Seconds of import that are told: for so long it holds neighbours up."""

__all__ = [
    "ChangedDistribution",
    "User",
    "heavy",
    "not_hot",
    "notes",
    "still_running",
    "users",
    "with_dependents",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An instance of the running host.

    Attributes:
        name: The instance.
        distribution: Canonical name of its plugin's distribution.
        needs: Canonical names of all distributions it stands on, its own included.
        isolated: Its code runs in a process of its own.
        stopped: It is stopped in this operation (and removed, or started again with the new code).
        live: Its code is loaded and may run now.
    """

    name: str
    distribution: str
    needs: frozenset[str]
    isolated: bool = False
    stopped: bool = False
    live: bool = True


def users(
    running: Iterable[InstanceSpec], environment: Environment, stopped: Collection[str]
) -> tuple[User, ...]:
    """The instances of the running host as users of distributions.

    Args:
        running: All valid instances.
        environment: What they run on (not what is to come).
        stopped: Names of those that this operation stops.
    """
    made: list[User] = []
    base = frozenset(base_path())
    for spec in running:
        name = canonical(spec.plugin.distribution)
        installed = environment.installed.get(name)
        needs = _needed(installed, environment, base) if installed else set()
        made.append(
            User(
                name=spec.name,
                distribution=name,
                needs=frozenset({name, *needs}),
                isolated=spec.isolation is Isolation.PROCESS,
                stopped=spec.name in stopped,
            )
        )
    return tuple(made)


def _needed(distribution: Installed, environment: Environment, base: Collection[str]) -> set[str]:
    """What a distribution stands on; what the base needs stands in the base, whatever its extras name."""
    needed: set[str] = set()
    queue = [distribution]
    while queue:
        one = queue.pop()
        if one.folder in base and one is not distribution:
            continue
        for name in one.requires:
            if name not in needed:
                needed.add(name)
                queue += [environment.installed[name]] if name in environment.installed else []
    return needed


def with_dependents(
    changes: Sequence[ChangedDistribution], before: Environment, after: Environment
) -> tuple[ChangedDistribution, ...]:
    """The changes, and unchanged distributions that stand on a changed one: their modules hold its objects.

    Give the result to `not_hot`, `still_running` and `ModuleSwap`.
    """
    names = {change.name for change in changes}
    going = {change.name: change.before.folder for change in changes if change.before}
    folders, base = set(going.values()), frozenset(base_path()) - set(going.values())
    more = [
        ChangedDistribution(name=name, before=one, after=after.installed.get(name))
        for name, one in sorted(before.installed.items())
        if name not in names and one.folder in folders and going.keys() & _needed(one, before, base)
    ]
    return (*changes, *more)


def not_hot(changes: Sequence[ChangedDistribution], users: Sequence[User]) -> tuple[NotHot, ...]:
    """Why a plan needs a restart of the host; nothing when it is hot. Asked before anything is stopped.

    Takes some milliseconds on any thread, and lets other threads run meanwhile.
    """
    found = [
        NotHot(change.name, "it has no file records, which would tell what of it is loaded")
        for change in changes
        if change.before is not None and not change.before.record
    ]
    going = _going(changes, users)
    for change in going.changes:
        found += [NotHot(change.name, reason) for reason in _of_files(change)]
        if not _carried(change):
            found += [NotHot(change.name, reason) for reason in _of_users(change.name, users)]
    live = any(user.live and user.needs & going.names for user in users)
    held = [
        *going.registered(),
        *going.holders.heirs(),
        *going.holders.handlers(),
        *going.holders.strangers(),
    ]
    held += going.holders.held(live=live)
    if not live:
        held += [*going.holders.running(), *subscribed(going.holders.owner)]
    return tuple(dict.fromkeys([*found, *(NotHot(*one) for one in held)]))


def still_running(changes: Sequence[ChangedDistribution], users: Sequence[User]) -> tuple[NotHot, ...]:
    """What still runs or is held of the old code when its instances have stopped; nothing: the swap may go on."""
    holders = _going(changes, users).holders
    held = [*holders.running(), *subscribed(holders.owner)]
    held += [*holders.heirs(), *holders.handlers(), *holders.held(live=False)]
    return tuple(dict.fromkeys(NotHot(*one) for one in held))


@dataclass(frozen=True, slots=True)
class _Going:
    """What is loaded and has to go."""

    changes: tuple[ChangedDistribution, ...]
    owned: tuple[Owned, ...]
    holders: Holders

    @property
    def names(self) -> set[str]:
        return {change.name for change in self.changes}

    def registered(self) -> Iterator[Held]:
        """Yield functions of expressions whose code goes."""
        for name, function in get_registry().items():
            if one := self.holders.owner(function):
                yield (
                    one.distribution,
                    f"it registered the function {name!r}, which rules may call at any time",
                )


def _going(changes: Sequence[ChangedDistribution], users: Sequence[User]) -> _Going:
    loaded = Ownership(change.before for change in changes if change.before).loaded()
    names = {one.distribution for one in loaded}
    concerned = tuple(one for one in changes if one.name in names and not _all_apart(one, users))
    kept = {change.name for change in concerned}
    owned = tuple(one for one in loaded if one.distribution in kept)
    return _Going(concerned, owned, Holders(owned))


def _all_apart(change: ChangedDistribution, users: Sequence[User]) -> bool:
    """Whether all that use it are processes of their own; hooks run in the host."""
    those = [user for user in users if change.name in user.needs]
    return bool(those) and all(user.isolated for user in those) and not _hooks(change)


def _of_files(change: ChangedDistribution) -> Iterator[str]:
    """Yield what the files of a distribution that is loaded speak against."""
    if _hooks(change):
        yield "it has hooks (iocmng.hooks), which the host loads at its start only"
    for one in (change.before, change.after):
        library = next((file for file in one.files if is_library(file)), "") if one else ""
        if library:
            yield f"it is not pure Python ({library}), and a process loads compiled code only once"
            break
    for file in _runs_at_start(change.before):
        yield f"its {file} runs code at the start of Python, which cannot be taken back"


def _carried(change: ChangedDistribution) -> bool:
    """Whether a distribution does not change itself; who uses it is told of the one that it stands on."""
    return bool(change.before and change.after and change.before.record == change.after.record)


def _hooks(change: ChangedDistribution) -> bool:
    return any(
        one is not None and any(True for _ in one.points(HOOKS)) for one in (change.before, change.after)
    )


def _runs_at_start(distribution: Installed | None) -> Iterator[str]:
    for file in distribution.files if distribution else ():
        top = file.endswith(".pth") and "/" not in file
        if distribution and top and read_pth(Path(distribution.folder, file)).runs:
            yield file


def _of_users(name: str, users: Sequence[User]) -> Iterator[str]:
    for user in users:
        if name in user.needs and not user.isolated and not user.stopped:
            other = f" of {user.distribution}" if user.distribution != name else ""
            yield f"{user.name}{other} uses it too, and is not part of this operation"


def heavy(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Imports of more than 20 ms that the host does not have yet, like "acme_beam imports numpy (62 ms)"."""
    told: dict[str, None] = {}
    for candidate in candidates:
        if not candidate.valid or candidate.spec.isolation is Isolation.PROCESS:
            continue
        own = candidate.spec.plugin.target.partition(":")[0].partition(".")[0]
        new = {
            name: seconds
            for name, seconds in candidate.imports.items()
            if name not in sys.modules or name == own
        }
        total = sum(new.values())
        if total <= HEAVY:
            continue
        slow = {name: seconds for name, seconds in new.items() if seconds > HEAVY and name != own}
        for name, seconds in slow.items() or [("", total)]:
            text = f"{own} imports {name} ({seconds * 1000:.0f} ms)" if name else ""
            told[text or f"{own} takes {total * 1000:.0f} ms to import"] = None
    return tuple(told)


def notes(changes: Sequence[ChangedDistribution]) -> tuple[Finding, ...]:
    """What is worth knowing of a hot change: hooks of an added distribution act after the next restart."""
    text = "hooks of {} act after the next restart of the host"
    return tuple(
        Finding(
            Level.NOTE, "hooks-later", text.format(change.name), Where(key=change.name), "iocmng restart-host"
        )
        for change in changes
        if change.before is None and _hooks(change)
    )
