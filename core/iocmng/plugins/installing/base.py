"""The base: the distributions and folders of the environment that the host was installed into."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import InvalidVersion, Version

from iocmng.plugins.environment import Environment, Installed
from iocmng.plugins.installing.generations import FOLDER
from iocmng.version import VERSION

HOST = "iocmng"
_REQUIRED = re.compile(r"^Requires-Dist:[ \t]*(.*?)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Base:
    """What pip put in place, before any generation.

    Attributes:
        folders: Folders of the import path, the standard library's and every generation's left out.
        environment: The distributions in them.
        versions: Canonical name → version, the host's own included.
    """

    folders: tuple[str, ...]
    environment: Environment
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, state_dir: Path, path: Sequence[str] | None = None) -> Base:
        """Read the base.

        Args:
            state_dir: Its generations do not belong to the base.
            path: The import path, None for this interpreter's.
        """
        outside = os.path.realpath(state_dir / FOLDER) + os.sep
        library = {os.path.realpath(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib", "scripts")}
        folders: list[str] = []
        for entry in sys.path if path is None else path:
            real = os.path.realpath(entry) if entry else ""
            inside = (real + os.sep).startswith(outside)
            if entry and os.path.isdir(real) and not inside and real not in library:
                folders.append(real)
        kept = tuple(folder for folder in dict.fromkeys(folders) if os.path.basename(folder) != "lib-dynload")
        environment = Environment.read(kept)
        versions = {name: one.version for name, one in environment.installed.items() if _stated(one.version)}
        return cls(kept, environment, {**versions, HOST: versions.get(HOST, VERSION)})

    @property
    def requires(self) -> dict[str, tuple[str, ...]]:
        """The requirements of every distribution, as they are written."""
        return {name: requirements_in(one.head) for name, one in self.environment.installed.items()}

    def stand_in(self, site: Path) -> None:
        """Write the metadata of every distribution into a folder, for resolvers that ask what is installed.

        Raises:
            OSError: It cannot be written.
        """
        for name, version in self.versions.items():
            found = self.environment.installed.get(name)
            head = _head(found) if found and found.head else f"Name: {name}\nVersion: {version}\n"
            write_stand_in(site, name, version, head)


def requirements_in(head: str) -> tuple[str, ...]:
    """The requirements that metadata state, as they are written."""
    return tuple(_REQUIRED.findall(head))


def write_stand_in(site: Path, name: str, version: str, head: str) -> Path:
    """Write the metadata of a distribution, and nothing else of it; returns their folder.

    Raises:
        OSError: It cannot be written.
    """
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    (folder / "METADATA").write_text(head.rstrip("\n") + "\n\n")
    return folder


def _head(found: Installed) -> str:
    """The metadata under the canonical name, and in a version of the format that every resolver reads."""
    lines = [line for line in found.head.splitlines() if not line.startswith("Metadata-Version:")]
    lines = [
        line for line in lines if not line.startswith(("License-File:", "Dynamic:", "License-Expression:"))
    ]
    return "\n".join(["Metadata-Version: 2.1", *lines, ""])


def _stated(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True
