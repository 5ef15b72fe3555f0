"""A state directory, a folder of wheels as index, and an installer over both, without a host."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from iocmng.errors import InstallRefused
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.installer import Installer
from iocmng.plugins.installing.model import Generation, Pointer, Resolution
from iocmng.plugins.installing.onlyone import only_one
from iocmng.settings.site import InstallSettings
from iocmng.wire import InstallRequest, InstallVerb


@dataclass
class Place:
    """Where a test installs; `said` are the lines of progress."""

    home: Path
    backend: str = "uv"
    settings: dict[str, object] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def index(self) -> Path:
        return self.home / "index"

    @property
    def generations(self) -> Generations:
        return Generations(self.state)

    def installer(self, **settings: object) -> Installer:
        self.index.mkdir(exist_ok=True)
        all_settings = {"index": str(self.index), "backend": self.backend, **self.settings, **settings}
        return Installer(self.state, InstallSettings.model_validate(all_settings), environ=os.environ)

    def resolve(self, *requirements: str, verb: str = "install", **settings: object) -> Resolution:
        request = InstallRequest(verb=InstallVerb(verb), requirements=requirements)
        return self.installer(**settings).resolve(request, self.said.append)

    def stage(self, resolution: Resolution) -> Generation:
        return self.installer().stage(resolution, self.said.append)

    def put(self, *requirements: str, verb: str = "install") -> Generation:
        """Do what a host does when nothing goes wrong; returns the generation that is in force then."""
        before = self.generations.pointer().current
        generation = self.stage(self.resolve(*requirements, verb=verb))
        self.generations.point(Pointer(current=generation.number, previous=before))
        self.installer().write_lock(generation.lock)
        return generation

    def versions(self) -> dict[str, str]:
        """What is installed."""
        present = self.generations.in_force()
        return {one.name: one.version for one in present.lock.distributions} if present else {}

    def picture(self) -> dict[str, str]:
        """Hash of every file that counts: pointer, lock, generations with a marker."""
        return dict(self._pictured())

    def _pictured(self) -> Iterator[tuple[str, str]]:
        files = [self.state / "plugins.lock", self.state / "generations" / "current.json"]
        for view in self.generations.listed():
            if not view.problem:
                files += sorted((self.state / "generations" / str(view.number)).rglob("*"))
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file.relative_to(self.state)), hashlib.sha256(file.read_bytes()).hexdigest()


def changed(resolution: Resolution) -> list[tuple[str, str, str]]:
    """Name, version before and version after of every change."""
    return [(change.name, change.before, change.after) for change in resolution.changes]


def free(state: Path, seconds: float = 30.0) -> None:
    """Wait until nobody is at work in a state directory, programs of a killed installer included."""
    end = time.monotonic() + seconds
    while True:
        try:
            with only_one(state, "a test"):
                return
        except InstallRefused:
            assert time.monotonic() < end, "somebody is at work for ever"
            time.sleep(0.01)
