"""Staging a package without installing it, and noticing changes."""

from __future__ import annotations

import json
import os
from importlib.metadata import distributions
from pathlib import Path

import pytest

from iocmng.errors import BadInput
from iocmng_cli.development import Watched, stage

PYPROJECT = """
[project]
name = "acme.beam"
version = "1.4"
dependencies = ["numpy"]

[project.entry-points."iocmng.plugins"]
beam-monitor = "acme_beam.monitor:BeamMonitor"
interlock = "acme_beam.interlock"

[project.entry-points."iocmng.hooks"]
acme = "acme_beam.hooks"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package with sources below src."""
    root = tmp_path / "acme"
    (root / "src" / "acme_beam").mkdir(parents=True)
    (root / "src" / "acme_beam" / "monitor.py").write_text("x = 1\n")
    (root / "pyproject.toml").write_text(PYPROJECT)
    return root


def test_a_staged_package_looks_like_an_editable_installation(project: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    staged = stage(project, site)
    assert staged.plugins == ("beam-monitor", "interlock")
    assert staged.import_path[:2] == (site, project / "src")
    (found,) = distributions(path=[str(site)])
    assert (found.metadata["Name"], found.version, found.requires) == ("acme.beam", "1.4", ["numpy"])
    assert {(point.group, point.name, point.value) for point in found.entry_points} == {
        ("iocmng.plugins", "beam-monitor", "acme_beam.monitor:BeamMonitor"),
        ("iocmng.plugins", "interlock", "acme_beam.interlock"),
        ("iocmng.hooks", "acme", "acme_beam.hooks"),
    }
    assert json.loads(found.read_text("direct_url.json") or "")["dir_info"] == {"editable": True}
    assert not list(project.rglob("*.egg-info"))


def test_the_host_discovers_a_staged_package(project: Path, tmp_path: Path) -> None:
    from iocmng.plugins.discovery import discover

    staged = stage(project, tmp_path / "site")
    names = {found.plugin.name: found for found in discover([*map(str, staged.import_path)])}
    assert set(names) == {"beam-monitor", "interlock"}
    assert names["beam-monitor"].plugin.editable


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[project", "pyproject.toml"),
        ("[project]\n", "no .project. name"),
        ('[project]\nname = "x"\n', "entry-points"),
    ],
)
def test_a_pyproject_without_plugins_is_refused(
    project: Path, tmp_path: Path, text: str, reason: str
) -> None:
    (project / "pyproject.toml").write_text(text)
    with pytest.raises(BadInput, match=reason):
        stage(project, tmp_path / "site")


def test_changes_of_sources_are_noticed_once(project: Path) -> None:
    watched = Watched(project)
    assert watched.changed() == []
    monitor = project / "src" / "acme_beam" / "monitor.py"
    monitor.write_text("x = 22\n")
    (project / "config.yaml").write_text("")
    (project / "notes.md").write_text("not watched")
    cache = project / "src" / "__pycache__"
    cache.mkdir()
    (cache / "x.py").write_text("")
    assert watched.changed() == ["config.yaml", "src/acme_beam/monitor.py"]
    assert watched.changed() == []
    monitor.unlink()
    assert watched.changed() == ["src/acme_beam/monitor.py"]


def test_a_change_of_equal_length_is_noticed(project: Path) -> None:
    monitor = project / "src" / "acme_beam" / "monitor.py"
    watched = Watched(project)
    before = monitor.stat()
    monitor.write_text("x = 2\n")
    os.utime(monitor, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert watched.changed() == ["src/acme_beam/monitor.py"]
