"""The resolver pip, for hosts without uv: one dry run that reports versions, addresses and hashes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing import download
from iocmng.plugins.installing.child import Ended, run_child
from iocmng.plugins.installing.closure import refuse_addresses
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
from iocmng.plugins.installing.store import sha256_of

_NOISE = re.compile(
    r"Looking in|Collecting|Requirement already|Processing|Using cached|Downloading|\[notice\]|DEPRECATION|"
    r"ERROR: ResolutionImpossible|INFO: pip is looking|To fix this|\d\. (loosen|remove)|"
    r"WARNING: Running pip as"
)
_AWAY = re.compile(
    r"connection broken|Max retries exceeded|HTTP error|HTTPError|No space left|Could not install packages due"
    r" to an OSError|Could not fetch URL|does not appear to be a file|401 Error|403 Error|getaddrinfo|Retrying"
)
_PLAN = ["install", "--dry-run", "--report"]
_FETCH = ["wheel", "--no-deps", "--wheel-dir"]
_FILL = ["install", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--require-hashes"]


class Pip:
    """pip of the host's interpreter."""

    name = "pip"

    def __init__(self, index: Index) -> None:
        self._index = index

    def resolve(self, question: Question, tell: Tell) -> tuple[Pick, ...]:
        """See `Resolver`."""
        if not question.alone:
            self._refuse_addresses(question, tell)
        return tuple(map(_pick, self._report(question, tell)))

    def _refuse_addresses(self, question: Question, tell: Tell) -> None:
        """Read the metadata of what would be added, level by level: pip itself builds what lies at an address.

        Raises:
            InstallRefused: One names an address.
        """
        present = {canonical(Requirement(text).name): text for text in question.requirements}
        seen, asked = set(question.constraints), tuple(present.values())
        while asked:
            try:
                found = self._report(replace(question, requirements=asked, alone=True), tell)
            except (InstallRefused, NotFound):
                # Single ones need not go together; what they are to be is for the whole question to tell.
                return
            seen |= {canonical(Requirement(text).name) for text in asked}
            following: dict[str, str] = {}
            for one in (entry["metadata"] for entry in found):
                requires = one.get("requires_dist", ())
                refuse_addresses(f"{one['name']} {one['version']}", requires)
                following |= {canonical(Requirement(text).name): text for text in requires}
            asked = tuple(text for name, text in following.items() if name not in seen)

    def _report(self, question: Question, tell: Tell) -> list[Mapping[str, Any]]:
        wanted, held = write_question(question)
        report = question.scratch / "report.json"
        report.unlink(missing_ok=True)
        # All else is held by the constraints: without a word for single names this upgrades those asked for.
        upgrade = ("--upgrade", "--upgrade-strategy", "only-if-needed") if question.upgrade else ()
        python = ("--python", str(question.python))
        done = self._run(
            [*python, *_PLAN, str(report), *upgrade, "-c", str(held), "-r", str(wanted), *_words(question)],
            question.index,
            question.scratch,
            "pip resolves",
            tell,
        )
        if done.code:
            words = words_of(question.index.redacted(done.output), _NOISE)
            away = _AWAY.search(done.output)
            raise unavailable(self.name, words) if away else unsolvable(self.name, words, question)
        found: list[Mapping[str, Any]] = json.loads(report.read_text())["install"]
        if changed := sorted(pick.name for pick in map(_pick, found) if pick.name in question.constraints):
            raise InstallRefused(
                f"pip would change what has to stay: {', '.join(changed)}",
                hint="only additions to what is there are installed",
                code="conflict",
            )
        return found

    def fetch(self, pick: Pick, question: Question, into: Path, tell: Tell) -> Path:
        """See `Resolver`."""
        if pick.url.startswith("file:") and pick.url.endswith(".whl"):
            return download.fetch(pick, question.index, into, question.scratch, tell)
        tell(f"fetching {pick.name} {pick.version}")
        asked = question.scratch / "fetch.txt"
        check = f" --hash=sha256:{pick.sha256}" if pick.sha256 else ""
        asked.write_text(f"{pick.name}=={pick.version}{check}\n")
        before = set(into.iterdir())
        python = ("--python", str(question.python))
        done = self._run(
            [*python, *_FETCH, str(into), "-r", str(asked), *_words(question)],
            question.index,
            question.scratch,
            f"fetching {pick.name} {pick.version}",
            tell,
        )
        words = words_of(question.index.redacted(done.output), _NOISE)
        if "THESE PACKAGES DO NOT MATCH THE HASHES" in done.output:
            raise InstallRefused(f"{pick.name} is not what the index says: {words}", code="wheel-hash")
        if done.code:
            raise unavailable(self.name, words)
        files = sorted(set(into.iterdir()) - before)
        if len(files) != 1:
            raise InstallFailed(
                f"pip fetched {len(files)} files for {pick.name} {pick.version}, expected one"
            )
        if pick.sha256 and sha256_of(files[0]) != pick.sha256:
            raise InstallRefused(f"{files[0].name} is not what the index says", code="wheel-hash")
        return files[0]

    def fill(self, wheels: Mapping[Path, str], python: Path, scratch: Path, tell: Tell) -> None:
        """See `Resolver`."""
        done = self._run(
            ["--python", str(python), *_FILL, "-r", str(write_hashed(wheels, scratch))],
            self._index.with_only(scratch),
            scratch,
            "pip unpacks",
            tell,
        )
        if done.code:
            raise InstallFailed(
                f"pip could not unpack: {words_of(self._index.redacted(done.output), _NOISE)}",
                hint="look at the space in the state directory",
            )

    def _run(self, words: Sequence[str], index: Index, cwd: Path, what: str, tell: Tell) -> Ended:
        fixed = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_COLOR": "1"}
        environ = {
            "PIP_RETRIES": "1",
            **index.variables("PIP"),
            **fixed,
            "PIP_PROGRESS_BAR": "off",
            "TMPDIR": str(cwd),
        }
        return run_child(
            (sys.executable, "-m", "pip", *words),
            what=what,
            env=environ,
            cwd=cwd,
            timeout=TIMEOUT,
            tell=tell,
        )


def _words(question: Question) -> tuple[str, ...]:
    wheels = ("--only-binary", ":all:") if question.wheels_only else ()
    return (*question.index.arguments, *wheels, *(("--no-deps",) if question.alone else ()))


def _pick(entry: Mapping[str, Any]) -> Pick:
    archive = entry["download_info"].get("archive_info", {})
    sha256 = archive.get("hashes", {}).get("sha256") or ""
    return Pick(
        name=canonical(entry["metadata"]["name"]),
        version=str(entry["metadata"]["version"]),
        url=str(entry["download_info"]["url"]),
        sha256=sha256,
    )
