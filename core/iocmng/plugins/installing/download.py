"""Fetching one file of an index in a child that can be ended at any time."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from iocmng.errors import InstallFailed, InstallRefused
from iocmng.plugins.installing.child import run_child
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.model import Tell
from iocmng.plugins.installing.resolving import TIMEOUT, Pick
from iocmng.plugins.installing.store import sha256_of

_PROGRAM = Path(__file__).with_name("download_child.py")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.(whl|tar\.gz|zip)")


def file_name(url: str) -> str:
    """The last part of an address, as a name for a file."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def fetch(pick: Pick, index: Index, into: Path, scratch: Path, tell: Tell) -> Path:
    """Fetch the file of a pick into a folder and compare its hash.

    Raises:
        InstallRefused: Its hash or its name is not what it should be.
        InstallFailed: It cannot be had.
        Aborted: `tell` said so.
    """
    name = file_name(pick.url)
    if not _NAME.fullmatch(name):
        raise InstallRefused(f"the file of {pick.name} {pick.version} has a name that is none: {name!r}")
    target = into / name
    tell(f"fetching {name}")
    if not _copied(pick.url, target):
        _download(pick, index, target, scratch, tell)
    if pick.sha256 and (found := sha256_of(target)) != pick.sha256:
        target.unlink()
        raise InstallRefused(
            f"{name} is not what the index says: its sha256 is {found}, the index says {pick.sha256}",
            hint="the file was damaged on its way, or exchanged; try again, then ask who runs the index",
            code="wheel-hash",
        )
    return target


def _copied(url: str, target: Path) -> bool:
    """Whether it was a file of this machine."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return False
    shutil.copyfile(unquote(parts.path), target)
    return True


def _download(pick: Pick, index: Index, target: Path, scratch: Path, tell: Tell) -> None:
    name = target.name
    # By the environment: arguments of processes are seen by everybody on the machine.
    asked = json.dumps({"url": pick.url, "target": str(target), "login": index.login(pick.url)})
    environ = {**index.variables("UV"), "IOCMNG_FETCH": asked}
    done = run_child(
        (sys.executable, "-I", str(_PROGRAM)),
        what=f"fetching {name}",
        env=environ,
        cwd=scratch,
        timeout=TIMEOUT,
        tell=tell,
    )
    if done.code:
        target.unlink(missing_ok=True)
        raise InstallFailed(
            f"{name} could not be fetched: {index.redacted(done.output.strip())[-500:]}",
            hint="look at the index and the login for it (install.index or .netrc), the network, and the space on disk",
            code="index",
        )
