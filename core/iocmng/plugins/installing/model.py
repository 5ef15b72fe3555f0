"""What is installed through the host, in frozen words: roots, locked distributions, generations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from iocmng.wire import DistributionChange, InstallRequest

Tell = Callable[[str], None]
"""Called with a line of progress; raises `Aborted` when the operation is to end here."""

LISTED = "listed"
"""Key of a root's `instance`: it came from plugins.yaml, and has an instance as long as it stands there."""

NOTHING = 0
"""Number of the generation in which nothing is installed; it has no folder."""


class Aborted(Exception):
    """Somebody asked the operation to end."""


class OriginKind(StrEnum):
    """Where a distribution comes from; PLUGIN_DIRECTORY is a folder with a plugin and no package project."""

    INDEX = "index"
    WHEEL = "wheel"
    PROJECT = "project"
    PLUGIN_DIRECTORY = "plugin-directory"
    GIT = "git"
    GIT_PLUGIN_DIRECTORY = "git-plugin-directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a distribution comes from, without secrets.

    `path` is the folder inside of `address`, `content` the git commit, or a hash of the files.
    """

    kind: OriginKind = OriginKind.INDEX
    address: str = ""
    path: str = ""
    branch: str = ""
    content: str = ""

    @property
    def fetched(self) -> bool:
        """Whether it can be looked at again: a git or directory source."""
        return self.kind not in (OriginKind.INDEX, OriginKind.WHEEL)

    def __str__(self) -> str:
        if self.kind is OriginKind.INDEX:
            return "index"
        place = f"{self.address}@{self.branch}" if self.branch else self.address
        return f"{place}#{self.path}" if self.path else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Something that was asked for.

    Attributes:
        name: Canonical name of the distribution.
        requirement: The requirement as it was given (`acme-beam>=2`); of a built one `NAME==VERSION`.
        origin: Where it comes from.
        plugin: Name of the plugin of a plugin directory, else "".
        instance: What the request said about its instance (auto_start, autostart_order, parameters); {} for nothing.
    """

    name: str
    requirement: str
    origin: Origin = Origin()
    plugin: str = ""
    instance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One distribution of a generation; `wheel` is a file name in the wheel store, `sha256` its hash in hex."""

    name: str
    version: str
    wheel: str
    sha256: str
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What should be installed, and for which Python (`3.11`) and base (name → version) it was resolved."""

    python: str
    base: Mapping[str, str]
    roots: tuple[Root, ...] = ()
    distributions: tuple[Locked, ...] = ()

    def root(self, name: str) -> Root | None:
        """The root of that canonical name."""
        return next((root for root in self.roots if root.name == name), None)

    def locked(self, name: str) -> Locked | None:
        """The distribution of that canonical name."""
        return next((one for one in self.distributions if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A staged environment: `folder` is `generations/N`, `site` the real path that is put on `sys.path`."""

    number: int
    folder: Path
    site: Path
    created: float
    lock: Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Which generation is in force.

    Attributes:
        current: The confirmed one, NOTHING for none.
        pending: One that waits for its confirmation, None for none.
        attempts: Boots that began with the pending one.
        previous: The one before the current.
        rejected: Why generations were not kept, by number; the last few.
    """

    current: int = NOTHING
    pending: int | None = None
    attempts: int = 0
    previous: int = NOTHING
    rejected: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a plan came to: the new lock, and how its distributions differ from the generation in force.

    `remark` is for people, above all why nothing changes.
    """

    request: InstallRequest
    lock: Lock
    changes: tuple[DistributionChange, ...]
    before: Generation | None
    remark: str = ""
