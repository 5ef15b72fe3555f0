"""What `iocmng validate` calls, on a directory, a project, a wheel, a config file and an installed plugin."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import Lines, ending
from environments import outside
from support.plugins import Package, packages, plugin_environment

Validate = Callable[[object], tuple[int, list[str]]]
PROGRAM = """
import json, sys
from iocmng.errors import IocmngError
from iocmng.host.probe import Probe
from iocmng.plugins.check import validate_path
with Probe(limit=5.0) as probe:
    for line in sys.stdin:
        try:
            report = validate_path(json.loads(line), prober=probe)
            told = [int(not report.ok), report.summary, *map(str, report.findings)]
        except IocmngError as error:
            told = [9, f"{type(error).__name__}: {error}"]
        print(json.dumps(told), flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("validate")


@pytest.fixture(scope="module")
def python(folder: Path) -> Path:
    return plugin_environment(folder, ["counter", "crash"])


@pytest.fixture(scope="module")
def validate(python: Path) -> Iterator[Validate]:
    process = subprocess.Popen(
        [str(python), "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=outside(),
    )
    stdin = process.stdin
    assert stdin is not None
    with ending(process):
        lines = Lines(process.stdout)

        def ask(subject: object) -> tuple[int, list[str]]:
            stdin.write(f"{json.dumps(str(subject))}\n")
            stdin.flush()
            code, *said = json.loads(lines.next(60.0, f"the verdict on {subject}"))
            return code, said

        yield ask
        stdin.close()
        assert process.wait(20) == 0
        lines.close()


def test_an_installed_plugin_and_its_distribution(validate: Validate) -> None:
    assert validate("counter") == (0, ["installed plugin counter: 1 plugin, 19 PVs"])
    code, lines = validate("Fixture_Crash")
    assert code == 1
    assert lines[0] == "installed distribution Fixture_Crash: 1 plugin, 0 PVs, 1 error"
    assert "fixture_crash/plugin.py:1:1: error: " in lines[1]
    assert lines[1].endswith("[import-failed]")


def test_nothing_of_that_name(validate: Validate) -> None:
    code, lines = validate("countre")
    assert code == 9
    assert lines[0].startswith("NotFound")
    assert "'counter'" in lines[0]


@pytest.mark.parametrize("key", ["modelled", "wrong-type", "panel"])
def test_a_project_that_is_not_installed(validate: Validate, tmp_path: Path, key: str) -> None:
    package = packages()[key]
    project = package.write(tmp_path)
    code, lines = validate(project)
    assert code == bool(package.expect)
    if package.expect:
        assert lines[1].startswith(f"{project}/{package.module}/config.yaml:1:")
        assert lines[1].endswith(f"[{package.expect}]")


def test_a_project_counts_before_what_is_installed(validate: Validate, tmp_path: Path) -> None:
    changed = Package("counter", code="raise OSError('changed')\n")
    code, lines = validate(changed.write(tmp_path))
    assert code == 1
    assert "changed" in lines[1]


def test_a_src_layout_and_a_missing_requirement(validate: Validate, tmp_path: Path) -> None:
    project = Package("modelled", needs=("absent-package-of-tests>=2",)).write(tmp_path)
    (project / "src").mkdir()
    (project / "fixture_modelled").rename(project / "src/fixture_modelled")
    code, lines = validate(project)
    assert (code, len(lines)) == (0, 2)
    assert "absent-package-of-tests>=2" in lines[1]
    assert lines[1].endswith("[requirement-missing]")


def test_a_project_without_plugins_says_what_to_write(validate: Validate, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = '1'\n")
    code, lines = validate(tmp_path)
    assert code == 1
    assert "iocmng.plugins" in lines[1]
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert validate(tmp_path)[1][1].endswith("[pyproject]")


@pytest.mark.parametrize("key", ["pressed", "bad-field", "crash"])
def test_a_wheel(validate: Validate, tmp_path: Path, key: str) -> None:
    package = packages()[key]
    wheel = package.wheel(tmp_path)
    code, lines = validate(wheel)
    assert lines[0].startswith(f"wheel {wheel}: 1 plugin")
    assert code == bool(package.expect)
    if package.expect:
        assert lines[1].startswith(f"{wheel}/{package.module}/{package.where}")


def test_a_plugin_directory_shows_the_authors_files(validate: Validate, tmp_path: Path) -> None:
    tank = tmp_path / "tank"
    tank.mkdir()
    (tank / "config.yaml").write_text(
        "arguments:\n  outputs:\n    LEVEL: {type: float, fields: {NOSUCH: 1}}\n"
    )
    (tank / "tank.py").write_text(
        "from iocmng import TaskBase\nclass Tank(TaskBase):\n    def execute(self, x): pass\n"
    )
    code, lines = validate(tank)
    assert code == 1
    assert lines[1].startswith(f"{tank}/tank.py:3:1: error: ")
    (tank / "tank.py").write_text(
        "from iocmng import TaskBase\nclass Tank(TaskBase):\n    def execute(self): pass\n"
    )
    code, lines = validate(tank)
    assert code == 1
    assert lines[1].startswith(f"{tank}/config.yaml:3:")
    assert "NOSUCH" in lines[1]


def test_a_config_alone(validate: Validate, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("arguments: {outputs: {LEVEL: {type: float}}}\n")
    assert validate(config)[0] == 0
    config.write_text("arguments: {outputs: {LEVEL: {type: float, egu: mm}}}\n")
    code, lines = validate(config)
    assert code == 1
    assert lines[1].startswith(f"{config}:1:")


@pytest.mark.parametrize("what", ["notes.txt", "empty"])
def test_other_things_are_refused_with_what_is_possible(
    validate: Validate, tmp_path: Path, what: str
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    code, lines = validate(tmp_path / what)
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
        [str(python), "-P", "-c", PROGRAM],
        input='"config.yaml"\n',
        capture_output=True,
        text=True,
        env=outside(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    code, summary = json.loads(done.stdout)
    assert (code, os.fspath(tmp_path) in summary) == (0, True)
