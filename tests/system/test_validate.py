"""What `iocmng validate` calls, on a directory, a project, a wheel, a config file and an installed plugin."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from environments import outside
from support.plugins import Package, packages, plugin_environment

PROGRAM = """
import sys
from iocmng.errors import IocmngError
from iocmng.host.probe import Probe
from iocmng.plugins.check import validate_path
try:
    with Probe(limit=float(sys.argv[2])) as probe:
        report = validate_path(sys.argv[1], prober=probe)
except IocmngError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(9)
print(report.summary)
for finding in report.findings:
    print(finding)
sys.exit(not report.ok)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("validate")


@pytest.fixture(scope="module")
def python(folder: Path) -> Path:
    return plugin_environment(folder, ["counter", "crash"])


def validate(python: Path, subject: object) -> tuple[int, list[str]]:
    done = subprocess.run(
        [str(python), "-c", PROGRAM, str(subject), "5"],
        capture_output=True,
        text=True,
        timeout=60,
        env=outside(),
    )
    assert done.returncode in (0, 1, 9), done.stderr
    return done.returncode, done.stdout.splitlines()


def test_an_installed_plugin_and_its_distribution(python: Path) -> None:
    assert validate(python, "counter") == (0, ["installed plugin counter: 1 plugin, 19 PVs"])
    code, lines = validate(python, "Fixture_Crash")
    assert code == 1
    assert lines[0] == "installed distribution Fixture_Crash: 1 plugin, 0 PVs, 1 error"
    assert "fixture_crash/plugin.py:1:1: error: " in lines[1]
    assert lines[1].endswith("[import-failed]")


def test_nothing_of_that_name(python: Path) -> None:
    code, lines = validate(python, "countre")
    assert code == 9
    assert lines[0].startswith("NotFound")
    assert "'counter'" in lines[0]


@pytest.mark.parametrize("key", ["modelled", "wrong-type", "panel"])
def test_a_project_that_is_not_installed(python: Path, tmp_path: Path, key: str) -> None:
    package = packages()[key]
    project = package.write(tmp_path)
    code, lines = validate(python, project)
    assert code == bool(package.expect)
    if package.expect:
        assert lines[1].startswith(f"{project}/{package.module}/config.yaml:1:")
        assert lines[1].endswith(f"[{package.expect}]")


def test_a_project_counts_before_what_is_installed(python: Path, tmp_path: Path) -> None:
    changed = Package("counter", code="raise OSError('changed')\n")
    code, lines = validate(python, changed.write(tmp_path))
    assert code == 1
    assert "changed" in lines[1]


def test_a_src_layout_and_a_missing_requirement(python: Path, tmp_path: Path) -> None:
    project = Package("modelled", needs=("absent-package-of-tests>=2",)).write(tmp_path)
    (project / "src").mkdir()
    (project / "fixture_modelled").rename(project / "src/fixture_modelled")
    code, lines = validate(python, project)
    assert (code, len(lines)) == (0, 2)
    assert "absent-package-of-tests>=2" in lines[1]
    assert lines[1].endswith("[requirement-missing]")


def test_a_project_without_plugins_says_what_to_write(python: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'\n")
    code, lines = validate(python, tmp_path)
    assert code == 1
    assert "iocmng.plugins" in lines[1]
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert validate(python, tmp_path)[1][1].endswith("[pyproject]")


@pytest.mark.parametrize("key", ["pressed", "bad-field", "crash"])
def test_a_wheel(python: Path, tmp_path: Path, key: str) -> None:
    package = packages()[key]
    wheel = package.wheel(tmp_path)
    code, lines = validate(python, wheel)
    assert lines[0].startswith(f"wheel {wheel}: 1 plugin")
    assert code == bool(package.expect)
    if package.expect:
        assert lines[1].startswith(f"{wheel}/{package.module}/{package.where}")


def test_a_plugin_directory_shows_the_authors_files(python: Path, tmp_path: Path) -> None:
    tank = tmp_path / "tank"
    tank.mkdir()
    (tank / "config.yaml").write_text(
        "arguments:\n  outputs:\n    LEVEL: {type: float, fields: {NOSUCH: 1}}\n"
    )
    (tank / "tank.py").write_text(
        "from iocmng import TaskBase\nclass Tank(TaskBase):\n    def execute(self, x): pass\n"
    )
    code, lines = validate(python, tank)
    assert code == 1
    assert lines[1].startswith(f"{tank}/tank.py:3:1: error: ")
    (tank / "tank.py").write_text(
        "from iocmng import TaskBase\nclass Tank(TaskBase):\n    def execute(self): pass\n"
    )
    code, lines = validate(python, tank)
    assert code == 1
    assert lines[1].startswith(f"{tank}/config.yaml:3:")
    assert "NOSUCH" in lines[1]


def test_a_config_alone(python: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("arguments: {outputs: {LEVEL: {type: float}}}\n")
    assert validate(python, config)[0] == 0
    config.write_text("arguments: {outputs: {LEVEL: {type: float, egu: mm}}}\n")
    code, lines = validate(python, config)
    assert code == 1
    assert lines[1].startswith(f"{config}:1:")


@pytest.mark.parametrize("what", ["notes.txt", "empty"])
def test_other_things_are_refused_with_what_is_possible(python: Path, tmp_path: Path, what: str) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    code, lines = validate(python, tmp_path / what)
    assert code == 9
    assert lines[0].startswith("BadInput")
    assert "plugin directory" in lines[0]


def test_the_users_folder_is_not_imported_from(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit('the wrong yaml')\n")
    (tmp_path / "config.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [str(python), "-P", "-c", PROGRAM, "config.yaml", "5"],
        capture_output=True,
        text=True,
        env=outside(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert os.fspath(tmp_path) in done.stdout
