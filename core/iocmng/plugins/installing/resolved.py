"""What a request came to; and when that changes nothing, why: what is there already, what holds the newer back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from iocmng.errors import InstallRefused, NotFound
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.draft import IN_BASE, Draft, unpinned
from iocmng.plugins.installing.model import Lock, Locked, Root, Tell
from iocmng.plugins.installing.resolving import Question, Resolver
from iocmng.wire import InstallVerb

_WORDS = {
    InstallVerb.INSTALL: "already installed",
    InstallVerb.UPGRADE: "already the newest",
    InstallVerb.FETCH: "as at its source",
    InstallVerb.FROM_LOCK: "already installed as recorded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What a request came to.

    Attributes:
        verb: What it was to do.
        draft: What it made of the roots.
        lock: What it came to.
        base: Versions of the base.
        resolver: Who was asked, None for nobody.
        question: What was asked, None for nothing.
    """

    verb: InstallVerb
    draft: Draft
    lock: Lock
    base: Mapping[str, str]
    resolver: Resolver | None = None
    question: Question | None = None

    def remark(self, tell: Tell) -> str:
        """Say in one line why nothing changes; for an upgrade the index is asked what there is.

        Raises:
            InstallFailed, Aborted: As `Resolver.resolve`.
        """
        recorded = self.verb is InstallVerb.FROM_LOCK
        asked = [root.name for root in self.lock.roots] if recorded else list(self.draft.given)
        held = {name: why for name in self.draft.upgrade if (why := self._held_back(name, tell))}
        here = [self._title(name) for name in asked if name not in held]
        here += [f"{name} {self.base[name]} ({IN_BASE})" for name in self.draft.in_base]
        said = [f"{_WORDS[self.verb]}: {', '.join(here)}"] if here and self.verb in _WORDS else []
        return "; ".join([*said, *held.values()])

    def _title(self, name: str) -> str:
        root, one = self.lock.root(name), self.lock.locked(name)
        return root.plugin if root and root.plugin else f"{name} {one.version if one else ''}".strip()

    def _held_back(self, name: str, tell: Tell) -> str:
        """Why a newer version of a distribution is not taken, "" when there is none."""
        one = self.draft.keep.get(name)
        if self.resolver is None or self.question is None or one is None:
            return ""
        newer = _newer(name, one, self.draft.given[name])
        tell(f"looking for what is newer than {name} {one.version}")
        alone = replace(self.question, requirements=(newer,), constraints={}, alone=True)
        try:
            found = {pick.name: pick.version for pick in self.resolver.resolve(alone, tell)}
        except (InstallRefused, NotFound):
            return ""
        if name not in found:
            return ""
        free = replace(self.question, requirements=(newer, *self._others(name)), constraints=self.base)
        try:
            picks = {pick.name: pick.version for pick in self.resolver.resolve(free, tell)}
        except (InstallRefused, NotFound) as problem:
            return f"{name} {one.version} stays: there is {found[name]}, but {problem.detail}"
        version = picks.get(name, found[name])
        pins = self.draft.pins
        moved = {
            other: picks[other] for other in sorted(picks) if other in pins and picks[other] != pins[other]
        }
        if not moved:
            asked = next(root.requirement for root in self.draft.roots.values() if root.name == name)
            return (
                f"{name} {one.version} stays: there is {version}, but {asked} is what was asked for;"
                f" iocmng upgrade {name}=={version} takes it"
            )
        needs = " and ".join(f"{other} {new} in place of {pins[other]}" for other, new in moved.items())
        return (
            f"{name} {one.version} stays: {version} needs {needs}, which the request does not name;"
            f" iocmng upgrade {' '.join([name, *moved])}"
        )

    def _others(self, name: str) -> Iterator[str]:
        roots: Iterator[Root] = (root for root in self.draft.roots.values() if root.name != name)
        yield from (root.requirement if root.origin.fetched else unpinned(root.requirement) for root in roots)
        yield from (text for text in self.draft.further if canonical(Requirement(text).name) != name)


def _newer(name: str, one: Locked, given: str) -> str:
    wanted = Requirement(given)
    wanted.name = name
    wanted.specifier &= SpecifierSet(f">{one.version}")
    return str(wanted)
