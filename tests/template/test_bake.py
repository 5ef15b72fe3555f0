"""What the template makes: installs, passes its own tests, validates clean, and is served by a host."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter
from environments import DEADLINE, ROOT, Environment, layered
from hosts import RunningHost, running

KINDS = ("task", "job", "declarative")
PUBLISHED = {"task": "READBACK", "job": "SAMPLES", "declarative": "LIMIT"}


def bake(kind: str, target: Path, name: str | None = None, **answers: str) -> Path:
    made = cookiecutter(
        str(ROOT / "plugin-template"),
        no_input=True,
        output_dir=str(target),
        extra_context={"plugin_name": name or f"made-{kind}", "kind": kind, **answers},
        default_config=True,
    )
    return Path(made)


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    target = tmp_path_factory.mktemp("baked")
    return {kind: bake(kind, target) for kind in KINDS}


@pytest.fixture(scope="module")
def environment(baked: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = layered(tmp_path_factory.mktemp("env") / "venv")
    made.install("--no-deps", *baked.values())
    return made


@pytest.fixture(scope="module")
def host(environment: Environment, tmp_path_factory: pytest.TempPathFactory):
    with running(environment, tmp_path_factory.mktemp("host"), "--prefix", "BAKED") as host:
        yield host


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_files_of_the_kind_are_there(tmp_path: Path, kind: str) -> None:
    made = bake(kind, tmp_path)
    module = made / "src" / f"made_{kind}"
    names = {path.name for path in module.iterdir()}
    code = set() if kind == "declarative" else {"plugin.py"}
    assert names == {"__init__.py", "config.yaml"} | code
    assert {path.name for path in (made / "tests").iterdir()} == {"test_plugin.py"}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_unrendered(tmp_path: Path, kind: str) -> None:
    for path in bake(kind, tmp_path).rglob("*"):
        if path.is_file():
            assert "cookiecutter" not in path.read_text(), path
            assert path.read_text().endswith("\n"), path


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass(environment: Environment, baked: dict[str, Path], kind: str) -> None:
    done = environment.run("python", "-m", "pytest", "-p", "no:cacheprovider", cwd=baked[kind])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["task", "declarative"])
def test_its_own_tests_pass_before_it_is_installed(tmp_path: Path, kind: str) -> None:
    made = bake(kind, tmp_path, "fresh-one")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=made,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_validate_clean_as_directories_and_installed(
    environment: Environment, baked: dict[str, Path]
) -> None:
    done = environment.run("iocmng", "validate", *baked.values(), *(f"made-{kind}" for kind in KINDS))
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in KINDS:
        assert done.stdout.count(f"made-{kind}") >= 2
    assert "error" not in done.stdout
    assert "warning" not in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_its_code_is_formatted_and_clean(environment: Environment, baked: dict[str, Path], kind: str) -> None:
    for command in (["check", "--isolated"], ["format", "--check", "--isolated", "--line-length", "110"]):
        done = environment.run("python", "-m", "ruff", *command, ".", cwd=baked[kind])
        if "No module named ruff" in done.stderr:
            pytest.skip("ruff is a development dependency")
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("provider", ["ca", "pva"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_host_serves_it(host: RunningHost, kind: str, provider: str) -> None:
    assert host.read(provider, f"BAKED:MADE-{kind.upper()}:{PUBLISHED[kind]}") is not None


def test_the_task_follows_a_client(host: RunningHost) -> None:
    done = host.iocmng("set", "made-task", "fraction=1")
    assert done.returncode == 0, done.stdout + done.stderr
    host.write("ca", "BAKED:MADE-TASK:SETPOINT", 25.0)
    assert host.read("pva", "BAKED:MADE-TASK:READBACK", wanted=25.0) == 25.0


def test_the_job_runs_and_publishes(host: RunningHost) -> None:
    done = host.iocmng("job", "run", "made-job", "--arg", "SAMPLES=3", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.read("pva", "BAKED:MADE-JOB:MEAN") == 21.0


@pytest.mark.parametrize("name", ["json", "class", "iocmng", "has space", "-dash"])
def test_names_that_cannot_be_packages_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FailedHookException):
        bake("task", tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_digit_and_a_text_with_quotes(tmp_path: Path) -> None:
    made = bake("task", tmp_path, "2nd_try", description='The "second" \\ try', author="O'Neill")
    project = tomllib.loads((made / "pyproject.toml").read_text())["project"]
    assert project["description"] == 'The "second" \\ try'
    assert project["authors"] == [{"name": "O'Neill"}]
    assert project["entry-points"]["iocmng.plugins"] == {"2nd_try": "plugin_2nd_try.plugin:Plugin2ndTry"}
    assert (made / "src" / "plugin_2nd_try" / "plugin.py").is_file()
