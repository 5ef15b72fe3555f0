"""A restart takes over the changed files of an editable installation, and of nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import uv
from support.plugins import Package, plugin_environment
from support.started import Started, started, until

from iocmng.errors import NotFound

PREFIX = "RELOAD"
CODE = """
from iocmng import TaskBase
from {module}.level import LEVEL

class Plugin(TaskBase):
    def execute(self):
        from {module}.late import FACTOR
        self.set_pv("LEVEL", LEVEL * FACTOR * self.parameters["gain"])
"""
CONFIG = """
parameters: {interval: 0.1, gain: 1}
arguments:
  inputs: {LIMIT: {type: float, value: 1.0}}
  outputs: {LEVEL: {type: float, unit: mA}}
"""


def package(key: str) -> Package:
    return Package(key, code=CODE.format(module=f"fixture_{key}"), config=CONFIG)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three projects, of which one is installed as a wheel, and one is not valid at first."""
    folder = tmp_path_factory.mktemp("reload")
    for key in ("editable", "installed", "mended"):
        project = package(key).write(folder)
        (project / f"fixture_{key}" / "level.py").write_text("LEVEL = 1.0\n")
        (project / f"fixture_{key}" / "late.py").write_text("FACTOR = 1.0\n")
        # Without it an editable build needs one more distribution.
        with (project / "pyproject.toml").open("a") as file:
            file.write('\n[tool.hatch.build]\ndev-mode-dirs = ["."]\n')
    (folder / "fixture-mended" / "fixture_mended" / "plugin.py").write_text("import not_there_at_all\n")
    return folder


@pytest.fixture(scope="module")
def host(sources: Path) -> Iterator[Started]:
    python = plugin_environment(sources, [])
    how = ("-q", "--offline", "--no-deps", "--no-build-isolation", "--python", python)
    editable = [word for key in ("editable", "mended") for word in ("-e", sources / f"fixture-{key}")]
    done = uv("pip", "install", *how, sources / "fixture-installed", *editable)
    assert done.returncode == 0, done.stderr
    with started(sources, PREFIX, python=python) as host:
        yield host


@pytest.fixture
def module(sources: Path, host: Started) -> Iterator[Path]:
    """The editable package's folder, put back afterwards."""
    folder = sources / "fixture-editable" / "fixture_editable"
    before = {path: path.read_text() for path in folder.iterdir() if path.is_file()}
    for name in ("editable", "installed"):
        host.reaches(name, "RUN")
    yield folder
    for path, text in before.items():
        if path.read_text() != text:
            change(path, text)
    restarted(host, "editable")


def change(path: Path, text: str) -> None:
    """Write a file so that it is newer than before, also where time stamps are coarse."""
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        path.write_text(text)
        time.sleep(0.01)


def restarted(host: Started, name: str) -> str:
    """What MESSAGE says after a restart."""
    host.client.tasks[name].restart()
    view = host.reaches(name, "RUN")
    assert host.client.pv(f"{PREFIX}:{name.upper()}:MESSAGE").value == view.message
    return view.message


def level(host: Started, wanted: float, name: str = "EDITABLE") -> None:
    def shown() -> bool:
        pv = host.client.pv(f"{PREFIX}:{name}:LEVEL")
        return pv.value == wanted and pv.severity == "NO_ALARM"

    until(shown, f"LEVEL is {wanted}")


def test_changed_modules_are_loaded(host: Started, module: Path) -> None:
    level(host, 1.0)
    change(module / "level.py", "LEVEL = 5.0\n")
    assert "changed code loaded" in restarted(host, "editable")
    level(host, 5.0)
    assert restarted(host, "editable") == "running; code unchanged"
    level(host, 5.0)
    level(host, 1.0, "INSTALLED")


def test_a_module_that_was_imported_late_counts_when_it_changes(host: Started, module: Path) -> None:
    level(host, 1.0)
    assert restarted(host, "editable") == "running; code unchanged"
    change(module / "late.py", "FACTOR = 9.0\n")
    assert "changed code loaded" in restarted(host, "editable")
    level(host, 9.0)


def test_the_pv_restart_does_the_same(host: Started, module: Path) -> None:
    change(module / "level.py", "LEVEL = 6.0\n")
    host.host.write("pva", f"{PREFIX}:EDITABLE:RESTART", 1)
    level(host, 6.0)
    assert host.host.read("ca", f"{PREFIX}:EDITABLE:LEVEL", wanted=6.0) == 6.0


def test_changed_config_is_loaded_and_what_was_set_stays(host: Started, module: Path) -> None:
    config = CONFIG.replace("gain: 1", "gain: 3").replace("interval: 0.1", "interval: 0.05")
    change(module / "config.yaml", config)
    assert "changed config loaded" in restarted(host, "editable")
    level(host, 3.0)
    host.client.tasks["editable"].set(gain=10)
    change(module / "config.yaml", config.replace("gain: 3", "gain: 4"))
    restarted(host, "editable")
    level(host, 10.0)
    host.client.tasks["editable"].set(gain=None)
    restarted(host, "editable")
    level(host, 4.0)


def test_new_limits_are_shown_at_once(host: Started, module: Path) -> None:
    change(module / "config.yaml", CONFIG.replace("mA", "kA"))
    restarted(host, "editable")
    assert host.host.read("ca", f"{PREFIX}:EDITABLE:LEVEL.EGU", "kA") == "kA"
    assert any(change.after == "RUN" for change in host.client.show("editable").history)
    change(module / "config.yaml", CONFIG)
    restarted(host, "editable")
    assert host.host.read("ca", f"{PREFIX}:EDITABLE:LEVEL.EGU", "mA") == "mA"


def test_new_ports_get_their_records(host: Started, module: Path) -> None:
    change(module / "config.yaml", CONFIG.replace("outputs: {", "outputs: {MORE: {type: int, value: 3}, "))
    restarted(host, "editable")
    assert host.host.read("pva", f"{PREFIX}:EDITABLE:MORE", 3) == 3
    change(module / "config.yaml", CONFIG)
    restarted(host, "editable")
    with pytest.raises(NotFound):
        host.client.pv(f"{PREFIX}:EDITABLE:MORE")


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("plugin.py", "import not_there_at_all\n", "not_there_at_all"),
        ("config.yaml", CONFIG.replace("type: float, unit", "type: flot, unit"), "flot"),
    ],
)
def test_changes_that_are_not_valid_are_refused_and_the_old_code_goes_on(
    host: Started, module: Path, file: str, text: str, says: str
) -> None:
    change(module / file, text)
    host.client.tasks["editable"].restart()
    view = host.view("editable")
    assert view.state == "RUN"
    assert view.message.startswith("changed files refused: ")
    assert says in view.message
    assert says in host.client.show("editable").last_error
    level(host, 1.0)


def test_of_another_installation_it_says_that_the_code_is_unchanged(host: Started) -> None:
    assert restarted(host, "installed") == (
        "running; code unchanged: use upgrade (pip install -U fixture-installed, then restart the host)"
    )
    assert any(
        "code unchanged: use upgrade (pip install -U" in line.text for line in host.client.log("installed")
    )
    done = host.iocmng("restart", "installed")
    assert done.returncode == 0
    assert "code unchanged" in done.stdout


def test_a_reset_of_an_invalid_one_validates_it_again(host: Started, sources: Path) -> None:
    assert host.view("mended").state == "INVALID"
    done = host.iocmng("reset", "mended")
    assert "not_there_at_all" in done.stdout + done.stderr
    change(sources / "fixture-mended" / "fixture_mended" / "plugin.py", CODE.format(module="fixture_mended"))
    host.client.tasks["mended"].reset()
    host.reaches("mended", "RUN")
    assert host.view("mended").findings == ()
    level(host, 1.0, "MENDED")
