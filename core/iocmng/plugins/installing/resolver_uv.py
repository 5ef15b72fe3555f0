"""The resolver uv: a dry run against stand-ins of what is there, exact addresses and hashes, copies of files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from iocmng.errors import InstallFailed, InstallRefused
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing import download
from iocmng.plugins.installing.child import Ended, run_child
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.model import Tell
from iocmng.plugins.installing.resolving import (
    TIMEOUT,
    Pick,
    Question,
    unavailable,
    unsolvable,
    words_of,
    write_hashed,
    write_question,
)

_ADDED = re.compile(r"^ \+ (?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)", re.MULTILINE)
_TAKEN = re.compile(r"^ [-~] (?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)", re.MULTILINE)
_NOISE = re.compile(r"Using Python|Resolved \d|Checked \d|error: No solution found|warning: ")
_NO_SOLUTION = 1
_PLAN = ["pip", "install", "--dry-run", "--python"]
_PLACE = ["pip", "compile", "--no-deps", "--format", "pylock.toml", "--no-header", "--quiet", "--python"]
# Links into a cache would let an edit of one generation appear in another.
_FILL = [
    "pip",
    "install",
    "--no-deps",
    "--no-index",
    "--no-build",
    "--link-mode",
    "copy",
    "--require-hashes",
    "--python",
]


class Uv:
    """uv as a program."""

    name = "uv"

    def __init__(self, program: str, index: Index) -> None:
        self._program = program
        self._index = index

    def resolve(self, question: Question, tell: Tell) -> tuple[Pick, ...]:
        """See `Resolver`."""
        wanted, held = write_question(question)
        upgrade = [word for name in sorted(question.upgrade) for word in ("--upgrade-package", name)]
        upgrade += ["--no-deps"] if question.alone else []
        done = self._run(
            [*_PLAN, str(question.python), *upgrade, "-c", str(held), "-r", str(wanted), *_words(question)],
            question.index,
            question.scratch,
            "uv resolves",
            tell,
        )
        words = words_of(question.index.redacted(done.output), _NOISE)
        if done.code == _NO_SOLUTION:
            raise unsolvable(self.name, words.removeprefix("cause: "), question)
        if done.code:
            raise unavailable(self.name, words)
        found = {canonical(one["name"]): one["version"] for one in _ADDED.finditer(done.output)}
        if lost := [one[0].strip() for one in _TAKEN.finditer(done.output) if _lost(one, found, question)]:
            raise InstallRefused(
                f"uv would take away what has to stay: {', '.join(lost)}",
                hint="only additions to what is there are installed",
                code="conflict",
            )
        return self._placed(found, question, tell) if found else ()

    def _placed(self, found: Mapping[str, str], question: Question, tell: Tell) -> tuple[Pick, ...]:
        """Ask for address and hash of each file: a dry run says neither."""
        pins, placed = question.scratch / "pins.txt", question.scratch / "pylock.toml"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in found.items()))
        placed.unlink(missing_ok=True)
        done = self._run(
            [*_PLACE, str(question.python), "--output-file", str(placed), str(pins), *_words(question)],
            question.index,
            question.scratch,
            "uv looks for files",
            tell,
        )
        if done.code:
            raise unavailable(self.name, words_of(question.index.redacted(done.output), _NOISE))
        packages = tomllib.loads(placed.read_text()).get("packages", ())
        return tuple(_pick(package, question) for package in packages)

    def fetch(self, pick: Pick, question: Question, into: Path, tell: Tell) -> Path:
        """See `Resolver`."""
        file = download.fetch(pick, question.index, into, question.scratch, tell)
        return file if file.suffix == ".whl" else self._built(file, question, into, tell)

    def _built(self, archive: Path, question: Question, into: Path, tell: Tell) -> Path:
        before = set(into.iterdir())
        done = self._run(
            ["build", "--wheel", "--out-dir", str(into), *question.index.arguments, str(archive)],
            question.index,
            question.scratch,
            f"building {archive.name}",
            tell,
        )
        made = [file for file in into.iterdir() if file not in before and file.suffix == ".whl"]
        if done.code or len(made) != 1:
            words = words_of(question.index.redacted(done.output), _NOISE)
            raise InstallFailed(f"{archive.name} could not be built into a wheel: {words}", code="build")
        return made[0]

    def fill(self, wheels: Mapping[Path, str], python: Path, scratch: Path, tell: Tell) -> None:
        """See `Resolver`."""
        listed = write_hashed(wheels, scratch)
        done = self._run(
            [*_FILL, str(python), "--cache-dir", str(scratch / "cache"), "-r", str(listed)],
            self._index.with_only(scratch),
            scratch,
            "uv unpacks",
            tell,
        )
        if done.code:
            raise InstallFailed(
                f"uv could not unpack: {words_of(self._index.redacted(done.output), _NOISE)}",
                hint="look at the space in the state directory",
            )

    def _run(self, words: Sequence[str], index: Index, cwd: Path, what: str, tell: Tell) -> Ended:
        quiet = ("--no-progress", "--color", "never", "--no-python-downloads")
        environ = {"UV_HTTP_RETRIES": "1", **index.variables("UV"), "UV_NO_SOURCES": "1", "TMPDIR": str(cwd)}
        if index.configured:
            environ["UV_NO_CONFIG"] = "1"
        return run_child(
            (self._program, *words, *quiet), what=what, env=environ, cwd=cwd, timeout=TIMEOUT, tell=tell
        )


def _words(question: Question) -> tuple[str, ...]:
    wheels = ("--no-build",) if question.wheels_only else ()
    return (*question.index.arguments, *wheels)


def _lost(one: re.Match[str], found: Mapping[str, str], question: Question) -> bool:
    name = canonical(one["name"])
    return name not in found or name in question.constraints


def _pick(package: Mapping[str, Any], question: Question) -> Pick:
    """The best file of a package for this Python."""
    name, version = canonical(package["name"]), str(package["version"])
    order = {tag: place for place, tag in enumerate(sys_tags())}
    best: tuple[int, Mapping[str, Any]] | None = None
    for file in package.get("wheels", ()):
        try:
            tags = parse_wheel_filename(_file_name(file))[3]
        except InvalidWheelFilename:
            continue
        place = min((order[tag] for tag in tags if tag in order), default=None)
        if place is not None and (best is None or place < best[0]):
            best = place, file
    chosen = best[1] if best else package.get("sdist")
    if chosen is None or (best is None and question.wheels_only):
        raise InstallRefused(
            f"{name} {version} has no wheel for this Python",
            hint="wheels only are taken from an index (install.wheels_only)",
            code="no-wheel",
        )
    return Pick(
        name=name,
        version=version,
        url=str(chosen.get("url") or Path(str(chosen["path"])).absolute().as_uri()),
        sha256=str(chosen.get("hashes", {}).get("sha256", "")),
    )


def _file_name(file: Mapping[str, Any]) -> str:
    return download.file_name(str(file.get("name") or file.get("url") or file.get("path", "")))
