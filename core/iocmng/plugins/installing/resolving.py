"""What is asked of a resolver and what it answers, and the Protocol that uv and pip are used through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packaging.requirements import Requirement

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.model import Tell

TIMEOUT = 600.0
MOST_WORDS = 4_000
_ABSENT = re.compile(
    r"(?i:because )([\w.-]+) was not found in the (?:package registry|provided package locations)"
    r"|satisfies the requirement ([\w.-]+)[^()]* \(from versions: none\)"
)
_ADDRESS = re.compile(
    r"(?:dependencies for package `([^`=]+)[^`]*`.*)?Package `([^`]+)` was included as a URL dependency"
)
_CLOSED = re.compile(r"could not be queried due to a lack of valid authentication")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A set of requirements, to be met by additions to an environment.

    Attributes:
        requirements: What everything has to fulfil.
        constraints: Exact versions (`name==version`) of what may not change.
        upgrade: Canonical names for which the newest version is wanted although another one fits.
        python: Interpreter of an environment that holds the metadata of all that is there.
        scratch: A folder for files of this run.
        index: Where wheels come from.
        wheels_only: Nothing but wheels may be taken from an index.
        alone: What the requirements themselves need does not count.
    """

    requirements: tuple[str, ...]
    constraints: Mapping[str, str]
    upgrade: frozenset[str]
    python: Path
    scratch: Path
    index: Index
    wheels_only: bool = True
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """A distribution that is to be added: where its file is, and its sha256 as the index says it ("": unsaid)."""

    name: str
    version: str
    url: str = ""
    sha256: str = ""


class Resolver(Protocol):
    """A tool that finds versions and fetches files."""

    @property
    def name(self) -> str:
        """How it is called."""

    def resolve(self, question: Question, tell: Tell) -> tuple[Pick, ...]:
        """What has to be added, () when everything is met.

        Raises:
            NotFound: The index has nothing of a name that is asked for.
            InstallRefused: Nothing fits; says why in the tool's words.
            InstallFailed: The tool or the index cannot be used.
            Aborted: `tell` said so.
        """

    def fetch(self, pick: Pick, question: Question, into: Path, tell: Tell) -> Path:
        """Get the file of a pick into a folder.

        Raises:
            InstallRefused: Its hash is not what the index says.
            InstallFailed: It cannot be had.
            Aborted: `tell` said so.
        """

    def fill(self, wheels: Mapping[Path, str], python: Path, scratch: Path, tell: Tell) -> None:
        """Unpack wheels into an environment as copies, without resolving and without an index.

        Args:
            wheels: Files with their sha256.
            python: Interpreter of the environment.
            scratch: A folder for files of this run.
            tell: Called with lines of progress.

        Raises:
            InstallFailed: It did not work; says the tool's words.
            Aborted: `tell` said so.
        """


def write_question(question: Question) -> tuple[Path, Path]:
    """Write the files of requirements and constraints for a tool.

    Raises:
        OSError: They cannot be written.
    """
    wanted, held = question.scratch / "requirements.txt", question.scratch / "constraints.txt"
    wanted.write_text("".join(f"{line}\n" for line in question.requirements))
    held.write_text("".join(f"{name}=={version}\n" for name, version in sorted(question.constraints.items())))
    return wanted, held


def write_hashed(wheels: Mapping[Path, str], scratch: Path) -> Path:
    """Write a file that names wheels on disk with their hashes, for a tool.

    Raises:
        OSError: It cannot be written.
    """
    path = scratch / "wheels.txt"
    lines = [f"{file.as_uri()} --hash=sha256:{sha256}\n" for file, sha256 in wheels.items()]
    path.write_text("".join(lines))
    return path


def unsolvable(tool: str, words: str, question: Question) -> InstallRefused | InstallFailed | NotFound:
    """What a resolver says about requirements that cannot be met; by its words, why."""
    if _CLOSED.search(words):
        return unavailable(tool, words)
    if one := _ADDRESS.search(words):
        return InstallRefused(
            f"{one[1] or 'a package'} requires {one[2]} from an address of its own",
            hint=f"install {one[2]} by itself, and let the plugin require it by name",
        )
    asked = {canonical(Requirement(text).name) for text in question.requirements}
    absent = [one[1] or one[2] for one in _ABSENT.finditer(words)]
    if lacking := [name for name in absent if canonical(name) in asked]:
        return NotFound(
            f"{lacking[0]} is not on the index",
            hint="look at its spelling, and at install.index; a folder is named with ./ before it",
        )
    return InstallRefused(
        f"{tool} finds no way to install this beside what is there: {words[:MOST_WORDS]}",
        hint="packages of the base and those the request does not name keep their versions;"
        " name those that may change too",
        code="conflict",
    )


def unavailable(tool: str, words: str) -> InstallFailed:
    """What a tool says when it cannot work at all: the index away, no space, no network."""
    return InstallFailed(
        f"{tool} could not do its work: {words[:MOST_WORDS]}",
        hint="look at the index (install.index), the network and the space in the state directory",
        code="index",
    )


def words_of(output: str, noise: re.Pattern[str]) -> str:
    """The lines of a tool that say something, as one line."""
    lines = (line.strip() for line in output.splitlines())
    return " ".join(line for line in lines if line and not noise.match(line))
