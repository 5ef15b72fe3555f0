"""Python environments made with uv: clean ones, and ones layered on the one that runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[1]
DEADLINE = 240.0


@dataclass(frozen=True)
class Environment:
    """A virtual environment at `path`."""

    path: Path

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def program(self, name: str) -> str:
        """Path of a console script."""
        return str(self.path / "bin" / name)

    def install(self, *arguments: str | Path) -> None:
        """`uv pip install`; fails with everything uv said."""
        done = uv("pip", "install", "-q", "--python", self.python, *arguments)
        assert done.returncode == 0, done.stderr

    def run(
        self, name: str, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end."""
        return subprocess.run(
            [self.program(name), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            cwd=cwd,
            env={**outside(), **(env or {})},
            stdin=subprocess.DEVNULL,
        )


def outside() -> dict[str, str]:
    """The environment variables of a fresh shell, without those of pytest and its environment."""
    dropped = ("PYTEST", "VIRTUAL_ENV", "PYTHON", "IOCMNG", "COV_")
    return {key: value for key, value in os.environ.items() if not key.startswith(dropped)}


def uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run uv to its end."""
    return subprocess.run(
        [find_uv_bin(), *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE, env=outside()
    )


def clean(path: Path) -> Environment:
    """An environment that holds nothing."""
    done = uv("venv", "-q", "--python", sys.executable, path)
    assert done.returncode == 0, done.stderr
    return Environment(path)


def layered(path: Path) -> Environment:
    """An environment that sees every package of the running one and adds its own in front of them.

    It has its own console scripts of iocmng; `install("--no-deps", …)` adds packages.
    """
    environment = clean(path)
    below = sysconfig.get_paths()["purelib"]
    (site,) = environment.path.glob("lib/python*/site-packages")
    (site / "zz_layered.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    environment.install("--no-deps", "-e", ROOT)
    return environment


def checkout(target: Path) -> Path:
    """A copy of what git would give: tracked and new files, without what is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert listed.returncode == 0, listed.stderr
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target
