"""Plugin packages of tests/fixtures/plugins, built with hatchling and installed into layered environments."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hatchling.builders.wheel import WheelBuilder
from uv import find_uv_bin

TABLE = Path(__file__).resolve().parents[1] / "fixtures" / "plugins" / "packages.yaml"
GOOD = ("counter", "modelled", "panel", "pressed", "summing")

_CODE = """
from iocmng import TaskBase

class Plugin(TaskBase):
    def execute(self):
        self.set_pv("COUNT", self.cycle_count)
"""
_CONFIG = """
parameters: {interval: 0.1}
arguments: {outputs: {COUNT: {type: int}}}
"""
_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "fixture-%(key)s"
version = "%(version)s"
requires-python = ">=3.11"
dependencies = [%(needs)s]

[project.entry-points."%(group)s"]
%(point)s = "%(target)s"

[tool.hatch.build.targets.wheel]
packages = ["%(package)s"]
"""


@dataclass(frozen=True)
class Package:
    """One package; see packages.yaml for the meaning of the fields."""

    key: str
    code: str = _CODE
    config: str | None = _CONFIG
    point: str = ""
    target: str = ""
    needs: tuple[str, ...] = ()
    expect: str = ""
    where: str = ""
    says: str = ""
    version: str = "1.0"
    group: str = "iocmng.plugins"

    @property
    def module(self) -> str:
        return "fixture_" + self.key.replace("-", "_")

    @property
    def plugin(self) -> str:
        return self.point or self.key

    @property
    def distribution(self) -> str:
        return f"fixture-{self.key}"

    def write(self, folder: Path) -> Path:
        """Write the package's project into `folder / distribution`."""
        project = folder / self.distribution
        package = project / self.module
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "plugin.py").write_text(self.code)
        if self.config is not None:
            (package / "config.yaml").write_text(self.config)
        fields = {
            "key": self.key,
            "version": self.version,
            "needs": ", ".join(f'"{need}"' for need in self.needs),
            "group": self.group,
            "point": self.plugin,
            "target": self.target or f"{self.module}.plugin:Plugin",
            "package": self.module,
        }
        (project / "pyproject.toml").write_text(_PROJECT % fields)
        return project

    def wheel(self, folder: Path) -> Path:
        """Build the package's wheel in `folder`."""
        (built,) = WheelBuilder(str(self.write(folder))).build(directory=str(folder), versions=["standard"])
        return Path(built)


@cache
def packages() -> dict[str, Package]:
    """All packages of the table by key."""
    table: dict[str, dict[str, Any]] = yaml.safe_load(TABLE.read_text())
    return {
        key: Package(
            key, **{name: tuple(value) if name == "needs" else value for name, value in entry.items()}
        )
        for key, entry in table.items()
    }


def plugin_environment(tmp: Path, wanted: Iterable[str | Package]) -> Path:
    """Make an environment that sees everything of the running one, and install packages into it.

    Args:
        tmp: A folder for the environment and the wheels.
        wanted: Keys of the table, or packages.

    Returns:
        Its Python.
    """
    environment = tmp / "environment"
    wheels = [(packages()[one] if isinstance(one, str) else one).wheel(tmp / "wheels") for one in wanted]
    if not environment.exists():
        _uv("venv", "-q", "--offline", "--python", sys.executable, environment)
        (site,) = environment.glob("lib/python*/site-packages")
        below = [sysconfig.get_paths()["purelib"]]
        (site / "zz_layered.pth").write_text(
            "".join(f"import site; site.addsitedir({one!r})\n" for one in below)
        )
    python = environment / "bin" / "python"
    if wheels:
        _uv("pip", "install", "-q", "--offline", "--no-deps", "--python", python, *wheels)
    return python


def _uv(*arguments: str | Path) -> None:
    done = subprocess.run([find_uv_bin(), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
