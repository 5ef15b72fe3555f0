"""What a request makes of the roots, before a resolver is asked; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from iocmng.errors import BadInput, InstallRefused, NotFound
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.base import HOST
from iocmng.plugins.installing.model import Locked, Origin, OriginKind, Root

IN_BASE = "installed by pip in the base"


@dataclass(slots=True, kw_only=True)
class Draft:
    """A set of roots on its way to a lock.

    Attributes:
        roots: What is asked for, by name.
        keep: The distributions that are there, by name.
        free: Names whose version may change.
        upgrade: Names for which the newest version is wanted.
        further: Requirements that are no roots.
        given: The requirements that this request brings, by name.
        in_base: Names of what it asks for and the base has already.
    """

    roots: dict[str, Root]
    keep: dict[str, Locked]
    free: set[str] = field(default_factory=set)
    upgrade: set[str] = field(default_factory=set)
    further: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    in_base: list[str] = field(default_factory=list)

    def add(self, name: str, requirement: str, root: Root) -> None:
        """Ask for a distribution.

        Raises:
            BadInput: The request asks for it twice.
        """
        if name in self.given:
            raise BadInput(f"{name} is asked for twice: {self.given[name]} and {requirement}")
        self.given[name] = requirement
        self.roots[name] = root
        self.free.add(name)

    def upgrade_one(self, name: str, requirement: str) -> None:
        """Ask for the newest version of something that is there.

        Raises:
            NotFound: It is not there.
            BadInput: The request asks for it twice.
        """
        if name not in self.keep:
            raise NotFound(f"{name} is not installed", hint=f"iocmng install {name}")
        if name in self.given:
            raise BadInput(f"{name} is asked for twice: {self.given[name]} and {requirement}")
        self.given[name] = requirement
        self.upgrade.add(name)
        self.free.add(name)
        root = self.roots.get(name)
        if root is None:
            self.further.append(requirement)
        else:
            wanted = requirement if restricted(requirement) else unpinned(root.requirement)
            self.roots[name] = replace(root, requirement=wanted, origin=Origin(kind=OriginKind.INDEX))

    @property
    def requirements(self) -> tuple[str, ...]:
        """Everything that a resolver has to meet."""
        return (*(root.requirement for root in self.roots.values()), *self.further)

    @property
    def pins(self) -> dict[str, str]:
        """Versions that may not change."""
        return {name: one.version for name, one in self.keep.items() if name not in self.free}


def refuse_base(name: str, versions: Mapping[str, str]) -> None:
    """Raise when something of the base is to be changed.

    Raises:
        InstallRefused: It is the host itself, or pip put it into the base.
    """
    if name == HOST:
        raise InstallRefused(
            f"{HOST} is the host itself", hint="upgrade it with pip, then: iocmng restart-host", code="base"
        )
    if name in versions:
        raise InstallRefused(
            f"{name} {versions[name]} is {IN_BASE}, and is changed with pip only",
            hint="after a change by pip: iocmng restart-host",
            code="base",
        )


def met_by_base(name: str, requirement: str, versions: Mapping[str, str]) -> bool:
    """Whether the base has what is asked for already.

    Raises:
        InstallRefused: It has another version, or it is the host itself.
    """
    if name == HOST:
        refuse_base(name, versions)
    if name not in versions:
        return False
    if not Requirement(requirement).specifier.contains(versions[name], prereleases=True):
        raise InstallRefused(
            f"{requirement} is asked for, and {name} {versions[name]} is {IN_BASE}",
            hint="change it there with pip, then: iocmng restart-host",
            code="base",
        )
    return True


def restricted(requirement: str) -> bool:
    """Whether a requirement says which versions."""
    return bool(Requirement(requirement).specifier)


def unpinned(requirement: str) -> str:
    """A requirement without the exact version that would forbid an upgrade."""
    try:
        wanted = Requirement(requirement)
    except InvalidRequirement:
        return requirement
    kept = [one for one in wanted.specifier if one.operator not in ("==", "===")]
    wanted.specifier = SpecifierSet(",".join(map(str, kept)))
    return str(wanted)


def distribution_of(name: str, plugins: Mapping[str, tuple[str, ...]]) -> str | None:
    """The distribution that a person means by its own name or by that of one of its plugins.

    Args:
        name: As it was given.
        plugins: Canonical name of each distribution → names of its plugins.
    """
    wanted = canonical(name)
    owners = [owner for owner, names in sorted(plugins.items()) if name in names]
    if wanted in plugins and (not owners or wanted in owners):
        return wanted
    if len(owners) == 1 and wanted not in plugins:
        return owners[0]
    if owners:
        mine = f"{wanted} is a distribution, and " if wanted in plugins else ""
        raise BadInput(
            f"{name} can be taken in two ways: {mine}a plugin of {' and of '.join(owners)}",
            hint="name the distribution",
        )
    return None
