from __future__ import annotations

import shutil
import sys
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocmng.base import DeclarativeTask, JobBase, TaskBase
from iocmng.plugins.directory import FOLDER, stage
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.environment import Environment
from iocmng.plugins.isolation import PACKAGE, distribution_name, finder, package_name
from iocmng.plugins.load import LoadFailed, load_class, prepare
from iocmng.settings.directories import PluginDirectory
from iocmng.settings.instances import InstanceSettings
from iocmng.wire import Level

TASK = """
from iocmng import TaskBase
class {name}({base}):
    def execute(self):
        pass
"""


@pytest.fixture(autouse=True)
def unload() -> Iterator[None]:
    yield
    finder.roots.clear()
    finder.folders.clear()
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


class Places:
    """Plugin directories below one folder, staged into one state directory."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.state = tmp / "state"

    def write(self, name: str, **files: str) -> Path:
        for file, text in files.items():
            path = self.tmp / name / file.replace("__", "/").replace("_py", ".py").replace("_yaml", ".yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self.tmp / name

    def stage(self, name: str, root: Path | None = None) -> Discovered:
        folder = self.tmp / name
        entry = PluginDirectory(
            name=folder.name, directory=folder, root=root, settings=InstanceSettings(plugin=folder.name)
        )
        return stage(entry, self.state, Environment.read())

    def load(self, name: str) -> type:
        found = self.stage(name)
        assert not found.broken, found.findings
        prepare(found.roots, found.plugin.target)
        return load_class(found.plugin)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_a_directory_becomes_a_distribution(places: Places) -> None:
    places.write("tank", plugin_py=TASK.format(name="Tank", base="TaskBase"), config_yaml="description: x\n")
    found = places.stage("tank")
    assert (found.plugin.distribution, found.plugin.origin) == ("iocmng-dir-tank", "directory")
    assert found.plugin.version.startswith("0+")
    assert found.fingerprint
    assert found.lenient
    assert Path(found.plugin.config).read_text() == "description: x\n"
    (wheel,) = (places.state / FOLDER).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "iocmng_dir_tank/plugin.py" in names
    assert any(name.endswith(".dist-info/RECORD") for name in names)


def test_bare_imports_never_meet_another_plugin(places: Places) -> None:
    for name in ("north", "south"):
        places.write(
            name,
            my_plugin_py=(
                "import helper, lib.deep\nfrom lib import deep as same\nfrom helper import WHO\n"
                "from . import helper as own\n"
                "from iocmng import TaskBase\nclass Plugin(TaskBase):\n"
                "    def execute(self):\n        import late\n        from lib.deep import WHO as inner\n"
                "        return WHO, helper.WHO, own.WHO, lib.deep.WHO, same.WHO, late.WHO, inner\n"
            ),
            helper_py=f"import late2\nWHO = {name!r}\n",
            late_py="from helper import WHO\n",
            late2_py="",
            lib____init___py="",
            lib__deep_py="from helper import WHO\n",
            config_yaml="{}",
        )
    north, south = places.load("north"), places.load("south")
    assert set(north.execute(None)) == {"north"}  # type: ignore[attr-defined]
    assert set(south.execute(None)) == {"south"}  # type: ignore[attr-defined]
    assert not {"helper", "late", "lib", "my_plugin"} & sys.modules.keys()


def test_files_are_found_relative_to_the_module(places: Places) -> None:
    code = "from pathlib import Path\nTEXT = (Path(__file__).parent / 'data' / 'map.txt').read_text()\n"
    places.write("mapped", plugin_py=code + TASK.format(name="Mapped", base="TaskBase"), config_yaml="{}")
    (places.tmp / "mapped/data").mkdir()
    (places.tmp / "mapped/data/map.txt").write_text("north")
    cls = places.load("mapped")
    assert sys.modules[cls.__module__].TEXT == "north"


@pytest.mark.parametrize("shared", ["json", "numpy"])
def test_a_folder_of_data_does_not_hide_a_real_module(places: Places, shared: str) -> None:
    code = f"import {shared}\nNAME = {shared}.__name__\n"
    places.write("data", plugin_py=code + TASK.format(name="Data", base="TaskBase"), config_yaml="{}")
    (places.tmp / "data" / shared).mkdir()
    (places.tmp / "data" / shared / "table.txt").write_text("")
    assert shared == sys.modules[places.load("data").__module__].NAME


def test_imported_bases_do_not_count(places: Places) -> None:
    places.write(
        "derived",
        aaa_py=TASK.format(name="Common", base="TaskBase"),
        plugin_py="from aaa import Common as Shared\nclass Real(Shared):\n    pass\n",
        config_yaml="{}",
    )
    found = places.stage("derived")
    assert found.plugin.target == "iocmng_dir_derived.plugin:Real"
    assert not found.findings
    assert issubclass(places.load("derived"), TaskBase)


@pytest.mark.parametrize(
    "code",
    [
        "import iocmng\nclass P(iocmng.JobBase):\n    def execute(self): pass\n",
        "import iocmng as m\nclass P(m.JobBase):\n    def execute(self): pass\n",
        "from iocmng.base.job import JobBase as J\nclass P(J):\n    def execute(self): pass\n",
        "from iocmng import base\nclass P(base.JobBase):\n    def execute(self): pass\n",
        "import iocmng.base.job\nclass P(iocmng.base.job.JobBase):\n    def execute(self): pass\n",
        "from iocmng import JobBase\nif True:\n    class P(JobBase):\n        def execute(self): pass\n",
    ],
)
def test_the_base_class_is_recognised_however_it_is_imported(places: Places, code: str) -> None:
    places.write("job", plugin_py=code, config_yaml="{}")
    assert issubclass(places.load("job"), JobBase)


def test_class_chooses_among_several(places: Places) -> None:
    two = TASK.format(name="First", base="TaskBase") + TASK.format(name="Second", base="TaskBase")
    places.write("two", plugin_py=two, config_yaml="class: Second\n")
    assert places.load("two").__name__ == "Second"
    places.write("two", config_yaml="{}")
    found = places.stage("two")
    (finding,) = found.findings
    assert (finding.code, finding.level) == ("class-ambiguous", Level.WARNING)
    assert "First" in finding.message
    assert "Second" in finding.message
    assert found.plugin.target.endswith(":First")
    places.write("two", config_yaml="class: Secnod\n")
    (finding,) = [one for one in places.stage("two").findings if one.level is Level.ERROR]
    assert finding.code == "class-missing"
    assert "Second" in finding.hint


def test_only_config_is_a_declarative_task(places: Places) -> None:
    places.write("panel", config_yaml="arguments: {}\n")
    assert places.load("panel") is DeclarativeTask


def test_modules_without_a_plugin_class_are_an_error(places: Places) -> None:
    places.write("empty", plugin_py="class Plugin:\n    pass\n", config_yaml="{}")
    assert [one.code for one in places.stage("empty").findings] == ["base-class"]


def test_a_syntax_error_has_a_place_and_nothing_runs(places: Places) -> None:
    places.write("wrong", plugin_py="raise SystemExit\nclass (:\n", config_yaml="{}")
    (finding,) = places.stage("wrong").findings
    assert finding.code == "syntax-error"
    assert (finding.where.file, finding.where.line) == (str(places.tmp / "wrong/plugin.py"), 2)


@pytest.mark.parametrize("cached", [False, True], ids=["compiled", "cached"])
def test_places_in_the_code_are_in_the_authors_files(places: Places, cached: bool) -> None:
    code = "import lib\ndef fail():\n    return [lib.deep(n) for n in (1,)]\n"
    code += TASK.format(name="Tank", base="TaskBase").replace("pass", "fail()")
    lib = "def deep(n):\n    class Inner:\n        value = n / 0\n"
    places.write("tank", plugin_py=code, lib_py=lib, config_yaml="{}")
    if cached:
        places.load("tank")
        forget()
    cls = places.load("tank")
    with pytest.raises(ZeroDivisionError) as failure:
        cls.execute(None)  # type: ignore[attr-defined]
    frames = traceback.extract_tb(failure.value.__traceback__)[1:]
    own, beside = str(places.tmp / "tank/plugin.py"), str(places.tmp / "tank/lib.py")
    assert {frame.filename for frame in frames} == {own, beside}
    assert (frames[-1].filename, frames[-1].lineno, frames[-1].line) == (beside, 3, "value = n / 0")
    assert Path(sys.modules[cls.__module__].__file__ or "").is_relative_to(places.state)


def test_a_failing_import_is_placed_in_the_authors_file(places: Places) -> None:
    task = TASK.format(name="Tank", base="TaskBase")
    places.write("tank", plugin_py=f"import lib{task}", lib_py="\n1 / 0\n", config_yaml="{}")
    with pytest.raises(LoadFailed) as failure:
        places.load("tank")
    assert (failure.value.where.file, failure.value.where.line) == (str(places.tmp / "tank/lib.py"), 2)
    assert str(places.state) not in failure.value.trace
    forget()
    places.write("tank", lib_py="\n\nreturn 1\n")
    with pytest.raises(LoadFailed) as failure:
        places.load("tank")
    assert (failure.value.where.file, failure.value.where.line) == (str(places.tmp / "tank/lib.py"), 3)


def test_the_authors_config_is_the_one_to_show(places: Places) -> None:
    places.write("tank", plugin_py=TASK.format(name="Tank", base="TaskBase"), config_yaml="{}")
    plugin = places.stage("tank").plugin
    assert Path(plugin.config).is_relative_to(places.state)
    assert plugin.author_config == str(places.tmp / "tank/config.yaml")


def test_tests_and_setup_beside_the_plugin_are_not_plugins(places: Places) -> None:
    other = TASK.format(name="Other", base="TaskBase")
    names = ("test_it_py", "conftest_py", "setup_py", "_private_py")
    places.write("clean", plugin_py=TASK.format(name="Plugin", base="TaskBase"), config_yaml="{}")
    places.write("clean", **dict.fromkeys(names, other))
    assert places.load("clean").__name__ == "Plugin"
    assert not places.stage("clean").findings


def test_equal_content_is_built_once_and_changed_content_anew(places: Places) -> None:
    places.write("tank", plugin_py=TASK.format(name="Tank", base="TaskBase"), config_yaml="{}")
    first = places.stage("tank")
    written = (places.state / FOLDER).stat().st_mtime_ns
    assert places.stage("tank") == first
    assert (places.state / FOLDER).stat().st_mtime_ns == written
    places.write("tank", config_yaml="description: new\n")
    second = places.stage("tank")
    assert second.plugin.version != first.plugin.version
    assert second.fingerprint != first.fingerprint


def test_the_directory_may_go_away_after_staging(places: Places) -> None:
    places.write("tank", plugin_py=TASK.format(name="Tank", base="TaskBase"), config_yaml="{}")
    found = places.stage("tank")
    shutil.rmtree(places.tmp / "tank")
    prepare(found.roots, found.plugin.target)
    assert load_class(found.plugin).__name__ == "Tank"


def test_caches_and_environments_are_left_behind(places: Places) -> None:
    folder = places.write("tank", plugin_py=TASK.format(name="Tank", base="TaskBase"), config_yaml="{}")
    before = places.stage("tank").plugin.version
    for name in (".git/HEAD", "__pycache__/x.pyc", "venv/pyvenv.cfg", "venv/lib/big.py", ".hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert places.stage("tank").plugin.version == before


def test_requirements_are_checked_by_name_and_version(places: Places) -> None:
    places.write("needy", plugin_py=TASK.format(name="N", base="TaskBase"), config_yaml="{}")
    (places.tmp / "needy/requirements.txt").write_text(
        "# what it needs\nnumpy\niocmng>=2\npydantic>=99  # never\nabsent-package-of-tests==1\n"
        "other; python_version < '3'\n-r more.txt\n"
    )
    findings = {one.message: one for one in places.stage("needy").findings}
    told = {one.code: message for message, one in findings.items() if one.level is Level.WARNING}
    missing = [message for message, one in findings.items() if one.level is Level.ERROR]
    assert "-r more.txt" in told["requirement"]
    assert len(missing) == 2
    assert "pydantic>=99" in missing[0]
    assert "is installed" in missing[0]
    assert "absent-package-of-tests" in missing[1]


def test_requirements_of_the_repository_count_when_the_directory_has_none(places: Places) -> None:
    places.write("repo/tank", plugin_py=TASK.format(name="Tank", base="TaskBase"), config_yaml="{}")
    (places.tmp / "repo/requirements.txt").write_text("absent-package-of-tests\n")
    assert places.stage("repo/tank", places.tmp / "repo").broken
    (places.tmp / "repo/tank/requirements.txt").write_text("numpy\n")
    assert not places.stage("repo/tank", places.tmp / "repo").broken


def test_what_is_far_too_large_is_refused(places: Places) -> None:
    folder = places.write("huge", plugin_py="", config_yaml="{}")
    with (folder / "data.bin").open("wb") as file:
        file.truncate(1 << 30)
    assert [one.code for one in places.stage("huge").findings] == ["directory-too-large"]


def test_a_missing_config_is_a_warning_here(places: Places) -> None:
    places.write("bare", plugin_py=TASK.format(name="Bare", base="TaskBase"))
    found = places.stage("bare")
    assert [(one.code, one.level) for one in found.findings] == [("config-missing", Level.WARNING)]
    assert Path(found.plugin.config).is_file()


@pytest.mark.parametrize("pair", [("a-b", "a_b"), ("Tank", "tank"), ("a--b", "a-b")])
def test_different_plugins_never_share_a_distribution(pair: tuple[str, str]) -> None:
    assert len({distribution_name(name) for name in pair}) == 2
    assert len({package_name(name) for name in pair}) == 2
    assert all(package_name(name).isidentifier() for name in pair)
