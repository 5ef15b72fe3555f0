"""Generations made of wheels: layered on the base, copies, checked; path tricks, clashes and no space refused."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from environments import Environment, layered
from support.installer_place import Place
from support.wheels import files_of, rewrite, wheel, write_wheel

from iocmng.errors import InstallFailed, InstallRefused
from iocmng.plugins.installing.base import Base
from iocmng.plugins.installing.layout import read_layout
from iocmng.plugins.installing.model import Aborted, Pointer
from iocmng.plugins.installing.shadows import refuse_clashes
from iocmng.plugins.installing.store import WheelStore

META = "acme_beam-1.0.dist-info"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Its path holds what lists of options and paths are split at."""
    home = tmp_path / "a, place"
    home.mkdir()
    return Place(home)


def numbers(place: Place) -> list[int]:
    return [view.number for view in place.generations.listed()]


def test_scripts_start_and_see_plugin_and_base(place: Place) -> None:
    code = "def main():\n    import iocmng.errors, acme_lib, sys\n    print(acme_lib.VERSION, sys.prefix)\n"
    wheel(
        place.index,
        "acme-beam",
        requires=["acme-lib"],
        files={"acme_beam/run.py": code},
        scripts={"beamer": "acme_beam.run:main"},
    )
    wheel(place.index, "acme-lib", "1.5")
    generation = place.put("acme-beam")
    program = generation.folder / "env" / "bin" / "beamer"
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip().split(maxsplit=1), done.returncode) == (
        ["1.5", str(generation.folder / "env")],
        0,
    ), done.stderr
    assert stat.S_IMODE(generation.folder.stat().st_mode) == 0o700
    assert generation.site.is_relative_to(generation.folder)
    assert generation.site == Path(os.path.realpath(generation.site))


def test_files_are_copies_of_their_own(place: Place) -> None:
    wheel(place.index, "acme-beam")
    first = place.put("acme-beam")
    wheel(place.index, "acme-other")
    second = place.put("acme-other")
    files = [generation.site / "acme_beam" / "__init__.py" for generation in (first, second)]
    assert [file.stat().st_nlink for file in files] == [1, 1]
    files[0].write_text("VERSION = 'edited'\n")
    assert files[1].read_text() == "VERSION = '1.0'\n"
    assert not any(path.is_symlink() for path in second.site.rglob("*"))


def test_a_module_of_the_base_comes_first(place: Place) -> None:
    wheel(place.index, "acme-beam")
    generation = place.put("acme-beam")
    code = "import sys, acme_beam, iocmng; print(sys.path.index(sys.argv[1]) == len(sys.path) - 1)"
    python = generation.folder / "env" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code, str(generation.site)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "True", done.stderr


def two(place: Place, *requirements: str) -> None:
    place.stage(place.resolve(*requirements))


def together(place: Place) -> None:
    """Look at all wheels of the index as if they were to lie in one generation."""
    layouts = [read_layout(path) for path in sorted(place.index.glob("*.whl"))]
    refuse_clashes({layout.name: layout for layout in layouts}, Base.read(place.state))


@pytest.mark.parametrize(
    ("mine", "theirs", "what"),
    [
        ("shared/__init__.py", "shared/__init__.py", "shared"),
        ("shared.py", "shared/__init__.py", "shared"),
        ("acme/space/one.py", "acme/__init__.py", "acme"),
        ("notes.txt", "notes.txt", "notes.txt"),
    ],
)
def test_two_that_bring_the_same_are_refused(place: Place, mine: str, theirs: str, what: str) -> None:
    wheel(place.index, "acme-north", files={mine: "x = 1\n"})
    wheel(place.index, "acme-south", files={theirs: "x = 2\n"})
    with pytest.raises(InstallRefused, match=f"both bring {what}") as refused:
        together(place)
    assert "acme-north 1.0" in refused.value.detail
    assert "acme-south 1.0" in refused.value.detail


def test_parts_of_a_namespace_go_together(place: Place) -> None:
    wheel(place.index, "acme-north", files={"acme/space/north.py": "x = 1\n", "acme/one/__init__.py": ""})
    wheel(place.index, "acme-south", files={"acme/space/south.py": "x = 2\n", "acme/two/__init__.py": ""})
    together(place)


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        ("yaml/__init__.py", r"pyyaml \S+ of the base"),
        ("yaml/more.py", r"pyyaml \S+ of the base"),
        ("iocmng/extra.py", r"of the base"),
        ("json.py", r"Python 3\.\d+"),
        ("six_of_base.py", r"base of the base"),
    ],
)
def test_what_the_base_has_is_refused(
    place: Place, file: str, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = place.home / "base"
    base.mkdir()
    (base / "six_of_base.py").write_text("")
    monkeypatch.syspath_prepend(str(base))
    wheel(place.index, "acme-north", files={file: "x = 1\n"})
    with pytest.raises(InstallRefused, match=rf"{owner} and acme-north 1\.0 both bring"):
        together(place)


def test_only_what_a_distribution_put_there_loses_by_a_package(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = place.home / "base"
    (base / "ramp").mkdir(parents=True)
    (base / "ramp" / "ramp.py").write_text("")
    monkeypatch.syspath_prepend(str(base))
    wheel(place.index, "ramp")
    together(place)
    owned = wheel(place.home, "acme-part", files={"acme_part/__init__.py": "", "ramp/part.py": ""})
    with zipfile.ZipFile(owned) as archive:
        archive.extractall(base)
    with pytest.raises(InstallRefused, match=r"acme-part 1\.0 of the base and ramp 1\.0 both bring ramp"):
        together(place)


def test_programs_of_two_that_are_called_alike_are_refused(place: Place) -> None:
    wheel(place.index, "acme-north", scripts={"beamer": "acme_north:main"})
    wheel(place.index, "acme-south", scripts={"beamer": "acme_south:main"})
    with pytest.raises(InstallRefused, match="both bring bin/beamer"):
        two(place, "acme-north", "acme-south")
    assert numbers(place) == []


TRICKS = {
    "up": ("../evil.py", "lie elsewhere"),
    "inner up": ("acme_beam/../../evil.py", "lie elsewhere"),
    "absolute": ("/tmp/evil.py", "lie elsewhere"),
    "backslash": ("..\\evil.py", "lie elsewhere"),
    "control": ("acme\x07.py", "lie elsewhere"),
    "python": ("acme_beam-1.0.data/scripts/python3", "would replace bin/python3"),
    "settings": ("acme_beam-1.0.data/data/pyvenv.cfg", "would replace pyvenv.cfg"),
    "kind": ("acme_beam-1.0.data/stdlib/os.py", "no place in an environment"),
    "foreign": ("other-1.0.data/data/x", "another distribution"),
    "data up": ("acme_beam-1.0.data/data/../../x", "lie elsewhere"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_wheel_that_leads_elsewhere_is_refused(place: Place, trick: str) -> None:
    name, said = TRICKS[trick]
    path = wheel(place.index, "acme-beam")
    write_wheel(path, {**files_of(path), name: "evil\n"}, f"{META}/RECORD")
    with pytest.raises(InstallRefused, match=said):
        read_layout(path)


@pytest.mark.parametrize("name", ["../evil", "a/b", "python3", ".."])
def test_a_program_that_is_no_file_name_is_refused(place: Place, name: str) -> None:
    path = wheel(place.index, "acme-beam", scripts={name: "acme_beam:main"})
    with pytest.raises(InstallRefused, match=r"no file name|would replace"):
        read_layout(path)


def test_a_link_in_a_wheel_is_refused(place: Place) -> None:
    path = wheel(place.index, "acme-beam")
    files = files_of(path)
    linked = rewrite(path, {"acme_beam/link.py": "/etc/passwd"})
    with zipfile.ZipFile(linked) as archive:
        record = archive.read(f"{META}/RECORD")
    with zipfile.ZipFile(linked, "w") as archive:
        for name, content in {**files, "acme_beam/link.py": b"/etc/passwd", f"{META}/RECORD": record}.items():
            entry = zipfile.ZipInfo(name)
            kind = stat.S_IFLNK if name.endswith("link.py") else stat.S_IFREG
            entry.external_attr = (kind | 0o644) << 16
            archive.writestr(entry, content)
    with pytest.raises(InstallRefused, match="link or a device"):
        read_layout(linked)


def test_tricks_reach_no_disk(place: Place) -> None:
    path = wheel(place.index, "acme-beam")
    write_wheel(path, {**files_of(path), "../../../../evil.py": "evil\n"}, f"{META}/RECORD")
    with pytest.raises((InstallRefused, InstallFailed)):
        two(place, "acme-beam")
    assert list(place.home.rglob("evil.py")) == []
    assert numbers(place) == []


def test_a_wheel_of_the_store_that_changed_is_refused(place: Place) -> None:
    wheel(place.index, "acme-beam")
    resolution = place.resolve("acme-beam")
    (locked,) = resolution.lock.distributions
    stored = WheelStore(place.state).path(locked)
    stored.write_bytes(stored.read_bytes() + b"x")
    with pytest.raises(InstallRefused, match="has changed") as refused:
        place.stage(resolution)
    assert refused.value.error_code == "wheel-hash"
    stored.unlink()
    with pytest.raises(InstallFailed, match="is not in"):
        place.stage(resolution)
    outside = replace(locked, wheel="../../x.whl")
    with pytest.raises(InstallRefused, match="no place in the wheel store"):
        place.stage(replace(resolution, lock=replace(resolution.lock, distributions=(outside,))))
    assert numbers(place) == []


def test_a_plan_of_the_past_is_refused(place: Place) -> None:
    wheel(place.index, "acme-beam")
    wheel(place.index, "acme-other")
    old = place.resolve("acme-beam")
    place.put("acme-other")
    with pytest.raises(InstallRefused, match="generation 0, generation 1 is in force now"):
        place.stage(old)


def test_what_is_pending_is_built_upon(place: Place) -> None:
    wheel(place.index, "acme-beam")
    wheel(place.index, "acme-other")
    generation = place.stage(place.resolve("acme-beam"))
    place.generations.point(Pointer(pending=generation.number))
    assert sorted(one.name for one in place.resolve("acme-other").lock.distributions) == [
        "acme-beam",
        "acme-other",
    ]


def test_a_rollback_is_a_switch(place: Place) -> None:
    wheel(place.index, "acme-beam", "1.0")
    first = place.put("acme-beam")
    wheel(place.index, "acme-beam", "2.0")
    place.put("acme-beam", verb="upgrade")
    back = place.installer().resolution_of(first)
    assert [(change.before, change.after) for change in back.changes] == [("2.0", "1.0")]
    assert back.lock == first.lock
    assert back.before is not None
    assert back.before.number == 2


def test_an_end_on_request_leaves_nothing(place: Place) -> None:
    wheel(place.index, "acme-beam")
    place.put("acme-beam")
    before = place.picture()
    wheel(place.index, "acme-beam", "2.0")
    resolution = place.resolve("acme-beam", verb="upgrade")
    for word in ("checking acme", "making", "unpacking", "checking every", "writing"):

        def tell(line: str, word: str = word) -> None:
            if line.startswith(word):
                raise Aborted

        with pytest.raises(Aborted):
            place.installer().stage(resolution, tell)
        assert place.picture() == before
        assert numbers(place) == [1]
        assert list((place.state / "scratch").iterdir()) == []


NO_SPACE = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from support.installer_place import Place
from iocmng.errors import InstallFailed
place = Place(Path(sys.argv[2]))
for step in ("plan", "stage"):
    resolution = place.resolve("acme-beam") if step == "stage" else None
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        place.stage(resolution) if resolution else place.resolve("acme-beam")
    except InstallFailed as failed:
        print(step, "|", failed.detail, "|", failed.hint)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(sorted(path.name for path in place.state.glob("generations/[0-9]*")), list(place.state.glob("scratch/*")))
place.put("acme-beam")
print(place.versions())
"""


def test_no_space_left(place: Place) -> None:
    wheel(place.index, "acme-beam", files={"acme_beam/large.bin": os.urandom(200_000)})
    tests = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", NO_SPACE, tests, str(place.home)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    plan, after_plan, stage, after_stage, versions = done.stdout.splitlines()
    assert plan.startswith("plan | ")
    assert "room" in plan
    assert stage.startswith("stage | ")
    assert "space" in stage or "room" in stage
    assert (after_plan, after_stage) == ("[] []", "[] []")
    assert versions == "{'acme-beam': '1.0'}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_disk_that_cannot_be_written_as_a_user(place: Place) -> None:
    wheel(place.index, "acme-beam")
    place.state.mkdir()
    place.state.chmod(0o500)
    with pytest.raises(InstallFailed, match="permissions"):
        place.resolve("acme-beam")


def test_a_state_directory_that_is_none(place: Place) -> None:
    wheel(place.index, "acme-beam")
    place.state.write_text("a file")
    with pytest.raises(InstallFailed, match="cannot be used for installing"):
        place.resolve("acme-beam")


@pytest.fixture(scope="module")
def own_base(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A base of its own, made by uv, into which pip has put an engine."""
    home = tmp_path_factory.mktemp("base")
    environment = layered(home / "env")
    environment.install("--no-deps", wheel(home, "acme-engine", "3.1"))
    return environment


IN_BASE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from support.installer_place import Place
from iocmng.errors import InstallRefused
place = Place(Path(sys.argv[2]))
try:
    place.resolve("acme-old")
except InstallRefused as refused:
    print(refused.detail)
print(place.put("acme-beam").folder)
print(sorted(place.versions()))
"""


def test_a_base_of_its_own_is_never_changed(place: Place, own_base: Environment) -> None:
    wheel(place.index, "acme-engine", "2.0")
    wheel(place.index, "acme-old", requires=["acme-engine<3"])
    code = "def main():\n    import acme_engine\n    print(acme_engine.VERSION)\n"
    wheel(
        place.index,
        "acme-beam",
        requires=["acme-engine>=3"],
        files={"acme_beam/run.py": code},
        scripts={"beamer": "acme_beam.run:main"},
    )
    tests = str(Path(__file__).resolve().parents[1])
    done = own_base.run("python", "-c", IN_BASE, tests, place.home)
    assert done.returncode == 0, done.stderr
    refused, folder, versions = done.stdout.splitlines()
    assert "acme-engine" in refused
    assert versions == "['acme-beam']"
    program = Path(folder) / "env" / "bin" / "beamer"
    ran = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "3.1", ran.stderr


def test_the_base_leaves_out_generations_and_python(place: Place) -> None:
    wheel(place.index, "acme-beam")
    generation = place.put("acme-beam")
    base = Base.read(place.state, [*sys.path, str(generation.site), ""])
    assert "acme-beam" not in base.versions
    assert base.versions["softioc"]
    assert base.versions["iocmng"]
    assert str(generation.site) not in base.folders
    assert not any((Path(folder) / "json" / "__init__.py").exists() for folder in base.folders)
