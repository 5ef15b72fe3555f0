"""Wheel, sdist and editable install: complete, equal, and at work in clean environments."""

from __future__ import annotations

import ast
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from environments import ROOT, Environment, checkout, clean, uv

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# By epicscorelibs, softioc, fastapi, pydantic and typer, in this order.
BROUGHT_ALONG = {"setuptools-dso", "epicsdbbuilder", "starlette", "pydantic-core", "click"}
OWN = sys.stdlib_module_names | {"iocmng", "iocmng_cli"}
LIGHT = ["iocmng", "iocmng.wire", "iocmng.lifecycle", "iocmng.values", "iocmng.client", "iocmng_cli.main"]
HEAVY = ["softioc", "epicscorelibs", "p4p", "epics", "numpy", "pydantic", "fastapi", "uvicorn", "cothread"]
TEMPLATE = ROOT / "plugin-template"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, the wheel made from that sdist, and the wheel made from the checkout itself."""
    found = {}
    for name, options in (("wheel from sdist", ()), ("wheel", ("--wheel",))):
        out = tmp_path_factory.mktemp("dist")
        done = uv("build", "-q", *options, "--out-dir", out, source)
        assert done.returncode == 0, done.stderr
        (found[name],) = out.glob("*.whl")
        for path in out.glob("*.tar.gz"):
            found["sdist"] = path
    return found


@pytest.fixture(scope="module", params=["wheel", "sdist", "editable"])
def installed(
    request: pytest.FixtureRequest,
    built: dict[str, Path],
    source: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Environment:
    environment = clean(tmp_path_factory.mktemp("env") / "venv")
    environment.install(*(("-e", source) if request.param == "editable" else (built[request.param],)))
    return environment


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def template_files() -> dict[str, bytes]:
    return {
        str(path.relative_to(TEMPLATE)): path.read_bytes()
        for path in TEMPLATE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_both_wheels_hold_the_same_files(built: dict[str, Path]) -> None:
    assert contents(built["wheel"]) == contents(built["wheel from sdist"])


def test_the_wheel_holds_the_packages_and_the_template(built: dict[str, Path], source: Path) -> None:
    found = contents(built["wheel"])
    shipped = {
        name.removeprefix("iocmng/template/"): text
        for name, text in found.items()
        if name.startswith("iocmng/template/")
    }
    assert shipped == template_files()
    assert {name.split("/")[0] for name in found} == {"iocmng", "iocmng_cli"}
    assert {"iocmng/py.typed", "iocmng_cli/py.typed"} <= found.keys()
    for home in ("core", "cli"):
        files = (path for path in (source / home).rglob("*") if path.is_file() and path.suffix != ".pyc")
        assert {str(path.relative_to(source / home)) for path in files} <= found.keys()


def test_the_sdist_can_be_built_from_and_read(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "pyproject.toml",
        "plugin-template/cookiecutter.json",
    } <= names


@pytest.mark.parametrize("script", sorted(PROJECT["scripts"]))
def test_console_scripts_start(installed: Environment, script: str) -> None:
    done = installed.run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def test_it_says_its_version(installed: Environment) -> None:
    assert installed.run("iocmng", "--version").stdout.split() == ["iocmng", PROJECT["version"]]


def test_an_installed_host_makes_plugins_from_its_template(installed: Environment, tmp_path: Path) -> None:
    done = installed.run("iocmng", "new", "sample", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sample" / "src" / "sample" / "config.yaml").is_file()


@pytest.mark.parametrize(
    "module", ["iocmng", "iocmng.wire", "iocmng.lifecycle", "iocmng.values", "iocmng_cli.main"]
)
def test_imports_stay_light(installed: Environment, module: str) -> None:
    done = installed.run(
        "python", "-c", f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert done.stdout.strip() == "[]", done.stderr


def declared(*extras: str) -> set[str]:
    """Canonical names of the distributions that pyproject asks for."""
    asked = [
        *PROJECT["dependencies"],
        *(item for extra in extras for item in PROJECT["optional-dependencies"][extra]),
    ]
    return {canonical(item) for item in asked}


def canonical(requirement: str) -> str:
    name = requirement
    for mark in "<>=!~[; ":
        name = name.partition(mark)[0]
    return name.lower().replace("_", "-")


def imported(tree: ast.Module) -> set[str]:
    """Top-level names of every absolute import, wherever it stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_everything_imported_is_declared() -> None:
    distributions = packages_distributions()
    allowed = declared("ophyd", "test") | BROUGHT_ALONG
    missing = {}
    for package in ("core/iocmng", "cli/iocmng_cli"):
        for path in (ROOT / package).rglob("*.py"):
            for name in (
                imported(ast.parse(path.read_text())) - sys.stdlib_module_names - {"iocmng", "iocmng_cli"}
            ):
                owners = {canonical(owner) for owner in distributions.get(name, [name])}
                if not owners & allowed:
                    missing[str(path.relative_to(ROOT))] = name
    assert missing == {}


def test_every_dependency_is_explained() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    listed = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    extras = {canonical(item) for items in PROJECT["optional-dependencies"].values() for item in items} - {
        "iocmng"
    }
    assert listed == declared() | extras
