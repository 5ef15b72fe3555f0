"""The wheel store of a state directory: every wheel of every kept generation, each with its hash."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from iocmng.errors import InstallFailed, InstallRefused
from iocmng.plugins.installing.generations import WHEELS
from iocmng.plugins.installing.layout import Layout, read_locked
from iocmng.plugins.installing.lock import safe_wheel
from iocmng.plugins.installing.model import Locked

_CHUNK = 1 << 20
_LETTERS = 16


class WheelStore:
    """Wheels by content: two of one name and version may both be there."""

    def __init__(self, state_dir: Path) -> None:
        self.folder = state_dir / WHEELS
        self._layouts: dict[str, Layout] = {}

    def path(self, locked: Locked) -> Path:
        """Where a locked wheel is, or would be.

        Raises:
            InstallRefused: It would lie outside of the store.
        """
        if not safe_wheel(locked.wheel):
            raise InstallRefused(f"{locked.wheel!r} of {locked.name} is no place in the wheel store")
        return self.folder / locked.wheel

    def holds(self, locked: Locked) -> bool:
        """Whether a locked wheel is there, unchanged."""
        path = self.path(locked)
        return path.is_file() and not path.is_symlink() and sha256_of(path) == locked.sha256

    def checked(self, locked: Locked) -> Path:
        """The file of a locked wheel.

        Raises:
            InstallRefused: Its content is not what was locked.
            InstallFailed: It is not there.
        """
        path = self.path(locked)
        if not path.is_file() or path.is_symlink():
            raise InstallFailed(
                f"the wheel {locked.wheel} of {locked.name} {locked.version} is not in {self.folder}",
                hint="iocmng install --from-lock fetches it again",
            )
        if (found := sha256_of(path)) != locked.sha256:
            raise InstallRefused(
                f"the wheel {locked.wheel} of {locked.name} {locked.version} has changed:"
                f" its sha256 is {found}, locked is {locked.sha256}",
                hint=f"remove {path} and run iocmng install --from-lock",
                code="wheel-hash",
            )
        return path

    def layout(self, locked: Locked) -> Layout:
        """What a locked wheel brings; `checked` comes first.

        Raises:
            InstallRefused: It is damaged or leads outside.
            OSError: It cannot be read.
        """
        if locked.sha256 not in self._layouts:
            self._layouts[locked.sha256] = read_locked(self.path(locked), locked)
        return self._layouts[locked.sha256]

    def put(self, wheel: Path, sha256: str) -> str:
        """Take a copy of a wheel, on disk on return; gives its name in the store.

        Raises:
            OSError: It cannot be written.
        """
        folder = self.folder / sha256[:_LETTERS]
        target = folder / wheel.name
        if target.is_symlink() or not target.is_file() or sha256_of(target) != sha256:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            temporary = folder / f".{wheel.name}.tmp"
            try:
                shutil.copyfile(wheel, temporary)
                _sync(temporary)
                os.replace(temporary, target)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            _sync(folder)
        return target.relative_to(self.folder).as_posix()


def sha256_of(path: Path) -> str:
    """The sha256 of a file in hex.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
