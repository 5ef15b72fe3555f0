from __future__ import annotations

import gc
import linecache
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.swapping import Machine, as_before, beam, imported

from iocmng.errors import InstallFailed
from iocmng.logic.functions import get_registry
from iocmng.plugins import isolation
from iocmng.plugins.environment import Environment
from iocmng.plugins.modules import ModuleSwap, sites
from iocmng.plugins.ownership import Ownership

DEADLINE = 20.0


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with as_before():
        yield Machine(tmp_path)


def test_an_upgrade_brings_the_new_code_and_put_back_the_very_old_objects(machine: Machine) -> None:
    old = machine.generation(beam("1.0", "from acme_beam import VERSION\nclass Beam: pass\n"))
    new = machine.generation(beam("2.0", "from acme_beam import VERSION\nclass Ray: pass\n"))
    machine.begin(old)
    before = imported("acme_beam.plugin")
    package, names, path = imported("acme_beam"), dict(vars(before)), list(sys.path)
    swap = machine.swap(new)

    swap.take()

    assert "acme_beam" not in sys.modules
    assert (str(new) in sys.path, str(old) in sys.path, sites()) == (True, False, (new,))
    after = imported("acme_beam.plugin")
    assert (after.VERSION, after.Ray.__module__) == ("2.0", "acme_beam.plugin")
    before.Beam = after.Ray
    before.more = 1

    swap.put_back()

    assert imported("acme_beam.plugin") is before
    assert imported("acme_beam") is package
    assert package.plugin is before
    assert dict(vars(before)) == names
    assert (sys.path, sites()) == (path, (old,))


def test_modules_that_only_the_new_code_has_go_when_the_old_comes_back(machine: Machine) -> None:
    machine.begin(machine.generation(beam("1.0")))
    imported("acme_beam.plugin")
    new = machine.generation(beam("2.0", files={"acme_beam/extra.py": "", "acme_optics.py": ""}))
    swap = machine.swap(new)
    swap.take()
    imported("acme_beam.extra")
    imported("acme_optics")
    swap.put_back()
    assert [name for name in sys.modules if name.startswith(("acme_beam", "acme_optics"))] == [
        "acme_beam",
        "acme_beam.plugin",
    ]
    with pytest.raises(ModuleNotFoundError):
        imported("acme_optics")


def test_kept_means_that_there_is_no_way_back(machine: Machine) -> None:
    machine.begin(machine.generation(beam("1.0")))
    imported("acme_beam")
    swap = machine.swap(machine.generation(beam("2.0")))
    swap.take()
    swap.keep()
    swap.put_back()
    assert imported("acme_beam").VERSION == "2.0"


def test_from_nothing_and_to_nothing(machine: Machine) -> None:
    site = machine.generation(beam("1.0"))
    machine.upgrade(site)
    assert imported("acme_beam").VERSION == "1.0"
    machine.upgrade(None)
    assert sites() == ()
    with pytest.raises(ModuleNotFoundError):
        imported("acme_beam")


def test_an_unchanged_distribution_stays_loaded_from_the_old_folder(machine: Machine) -> None:
    vac = {"name": "acme-vac", "files": {"acme_vac/late.py": ""}}
    old, new = machine.generation(beam("1.0"), vac), machine.generation(beam("2.0"), vac)
    machine.begin(old)
    imported("acme_beam")
    stays = imported("acme_vac")
    machine.upgrade(new)
    assert imported("acme_vac") is stays
    assert Path(imported("acme_vac.late").__file__ or "").is_relative_to(old)
    assert Path(imported("acme_beam").__file__ or "").is_relative_to(new)


def test_what_is_loaded_from_an_earlier_generation_goes_when_it_changes_at_last(machine: Machine) -> None:
    beams = [machine.generation(beam("1.0"))]
    beams += [
        machine.generation(beam("1.0"), {"name": "acme-vac", "version": version}) for version in ("1", "2")
    ]
    new = machine.generation(beam("2.0"), {"name": "acme-vac", "version": "2"})
    machine.begin(beams[0])
    before = imported("acme_beam.plugin")
    for site in beams[1:]:
        machine.upgrade(site)
        imported("acme_vac")
    assert imported("acme_beam.plugin") is before
    swap = machine.swap(new)
    swap.take()
    assert imported("acme_beam").VERSION == "2.0"
    swap.put_back()
    assert imported("acme_beam.plugin") is before
    assert not [one for one in sys.path_importer_cache if one.startswith(str(new))]


def test_what_others_loaded_from_the_new_folder_meanwhile_lives_on_without_it(machine: Machine) -> None:
    vac = {"name": "acme-vac", "files": {"acme_vac/late.py": ""}}
    old, new = machine.generation(beam("1.0"), vac), machine.generation(beam("2.0"), vac)
    machine.begin(old)
    imported("acme_beam")
    swap = machine.swap(new)
    swap.take()
    loaded = imported("acme_vac")
    swap.put_back()
    assert imported("acme_vac") is loaded
    assert Path(imported("acme_vac.late").__file__ or "").is_relative_to(old)


def in_namespace(part: str, version: str) -> dict[str, object]:
    files = {
        f"acme/{part}/__init__.py": f"VERSION = {version!r}\n",
        f"acme/{part}/device.py": "",
        f"acme_{part}/__init__.py": None,
    }
    return {
        "name": f"acme-{part}",
        "version": version,
        "files": {k: v for k, v in files.items() if v is not None},
    }


def test_two_distributions_in_one_namespace(machine: Machine) -> None:
    old = machine.generation(in_namespace("beam", "1.0"), in_namespace("vac", "1.0"))
    new = machine.generation(in_namespace("beam", "2.0"), in_namespace("vac", "1.0"))
    machine.begin(old)
    beam_before, vac = imported("acme.beam"), imported("acme.vac")
    space = imported("acme")
    swap = machine.swap(new)
    swap.take()
    assert imported("acme") is space
    assert not hasattr(space, "beam")
    assert imported("acme.beam").VERSION == "2.0"
    assert imported("acme.vac") is vac
    assert imported("acme.vac.device").__file__.startswith(str(old))  # type: ignore[union-attr]
    swap.put_back()
    assert imported("acme").beam is beam_before
    assert imported("acme").vac is vac


def test_a_namespace_that_holds_nothing_else_goes_too_and_may_become_a_package(machine: Machine) -> None:
    old = machine.generation(in_namespace("beam", "1.0"))
    late = in_namespace("beam", "2.0")
    late["files"]["acme/__init__.py"] = "ROOT = True\n"  # type: ignore[index]
    new = machine.generation(late)
    machine.begin(old)
    before = imported("acme.beam")
    space = sys.modules["acme"]
    swap = machine.swap(new)
    swap.take()
    assert imported("acme").ROOT
    imported("acme.beam")
    swap.put_back()
    assert sys.modules["acme"] is space
    assert space.beam is before


def test_modules_are_known_by_their_files_not_by_their_names(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "acme_beam_tools.py").write_text("")
    sys.path.append(str(tmp_path / "elsewhere"))
    code = "import sys, types\nsys.modules['acme_beam.made'] = types.ModuleType('acme_beam.made')\n"
    site = machine.generation(beam("1.0", code, files={"oddly_named.py": ""}))
    machine.begin(site)
    for name in ("acme_beam.plugin", "oddly_named", "acme_beam_tools"):
        imported(name)
    (installed,) = Environment.read([str(site)]).installed.values()
    loaded = {one.key: one.distribution for one in Ownership([installed]).loaded()}
    assert loaded == dict.fromkeys(
        ("acme_beam", "acme_beam.plugin", "acme_beam.made", "oddly_named"), "acme-beam"
    )


def test_a_folder_reached_through_a_link_is_the_same_folder(machine: Machine, tmp_path: Path) -> None:
    site = machine.generation(beam("1.0"))
    (tmp_path / "link").symlink_to(site)
    sys.path.append(str(tmp_path / "link"))
    imported("acme_beam.plugin")
    (installed,) = Environment.read([str(site)]).installed.values()
    assert [one.key for one in Ownership([installed]).loaded()] == ["acme_beam", "acme_beam.plugin"]


def test_pth_files_of_distributions_are_honoured_and_withdrawn(machine: Machine) -> None:
    code = "import sys; sys.acme_started = getattr(sys, 'acme_started', 0) + 1\n"
    one = {"deep/acme_deep.py": "V = 1\n", "acme.pth": f"deep\n{code}"}
    two = {"deeper/acme_deep.py": "V = 2\n", "acme.pth": f"deeper\n{code}"}
    old, new = machine.generation(beam("1.0", files=one)), machine.generation(beam("2.0", files=two))
    (new / "of_nobody.pth").write_text("import sys; sys.acme_of_nobody = 1\n")
    try:
        machine.begin(old)
        assert imported("acme_deep").V == 1
        swap = machine.swap(new)
        swap.take()
        assert imported("acme_deep").V == 2
        assert str(old / "deep") not in sys.path
        assert sys.acme_started == 2  # type: ignore[attr-defined]
        assert not hasattr(sys, "acme_of_nobody")
        swap.put_back()
        assert imported("acme_deep").V == 1
        assert str(new / "deeper") not in sys.path
    finally:
        del sys.acme_started  # type: ignore[attr-defined]


def test_plugin_directories_are_found_in_the_new_generation(machine: Machine) -> None:
    def tank(version: str) -> dict[str, object]:
        files = {
            "iocmng_dir_tank/plugin.py": "from beside import LEVEL\n",
            "iocmng_dir_tank/beside.py": f"LEVEL = {version}\n",
        }
        return {"name": "iocmng-dir-tank", "version": version, "files": files}

    old, new = machine.generation(tank("1")), machine.generation(tank("2"))
    machine.begin(old)
    isolation.finder.serve("iocmng_dir_tank", str(old))
    before = imported("iocmng_dir_tank.plugin")
    swap = machine.swap(new)
    swap.take()
    assert imported("iocmng_dir_tank.plugin").LEVEL == 2
    swap.put_back()
    assert imported("iocmng_dir_tank.plugin") is before
    assert isolation.finder.roots["iocmng_dir_tank"] == str(old)


def test_functions_and_finders_of_the_new_code_go_with_it(machine: Machine) -> None:
    code = """
import sys
from iocmng.core.functions import register

class Finder:
    def find_spec(self, name, path=None, target=None):
        return None

register("acme_twice", lambda value: 2 * value)
sys.meta_path.append(Finder())
"""
    machine.begin(machine.generation(beam("1.0")))
    imported("acme_beam.plugin")
    finders = list(sys.meta_path)
    swap = machine.swap(machine.generation(beam("2.0", code)))
    swap.take()
    imported("acme_beam.plugin")
    assert "acme_twice" in get_registry()
    swap.put_back()
    assert "acme_twice" not in get_registry()
    assert sys.meta_path == finders


def test_lines_of_old_files_are_forgotten(machine: Machine) -> None:
    machine.begin(machine.generation(beam("1.0")))
    file = imported("acme_beam.plugin").__file__ or ""
    assert linecache.getline(file, 1)
    machine.upgrade(machine.generation(beam("2.0")))
    assert file not in linecache.cache


BLOCKING = "import sys\nsys.acme_entered.set()\nsys.acme_leave.wait(20)\nDONE = True\n"


@pytest.fixture
def gate() -> Iterator[tuple[threading.Event, threading.Event]]:
    entered, leave = threading.Event(), threading.Event()
    sys.acme_entered, sys.acme_leave = entered, leave  # type: ignore[attr-defined]
    yield entered, leave
    leave.set()
    del sys.acme_entered, sys.acme_leave  # type: ignore[attr-defined]


Gate = tuple[threading.Event, threading.Event]


def importing(name: str, errors: list[BaseException]) -> threading.Thread:
    def work() -> None:
        try:
            imported(name)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_an_import_of_old_code_that_does_not_end_refuses_the_exchange(machine: Machine, gate: Gate) -> None:
    machine.begin(machine.generation(beam("1.0", BLOCKING)))
    errors: list[BaseException] = []
    thread = importing("acme_beam.plugin", errors)
    assert gate[0].wait(DEADLINE)
    swap = machine.swap(machine.generation(beam("2.0")))
    path = list(sys.path)
    with pytest.raises(InstallFailed, match=r"acme_beam\.plugin is being imported"):
        swap.take(timeout=0.05)
    assert sys.path == path
    gate[1].set()
    thread.join(DEADLINE)
    assert (errors, sys.modules["acme_beam.plugin"].DONE) == ([], True)
    swap.take()
    assert "acme_beam.plugin" not in sys.modules


def test_an_import_of_others_goes_on_through_the_exchange(machine: Machine, gate: Gate) -> None:
    vac = {
        "name": "acme-vac",
        "files": {"acme_vac/slow.py": f"{BLOCKING}from acme_vac import late\n", "acme_vac/late.py": ""},
    }
    machine.begin(machine.generation(beam("1.0"), vac))
    imported("acme_beam")
    errors: list[BaseException] = []
    thread = importing("acme_vac.slow", errors)
    assert gate[0].wait(DEADLINE)
    machine.upgrade(machine.generation(beam("2.0"), vac))
    gate[1].set()
    thread.join(DEADLINE)
    assert errors == []
    assert imported("acme_vac.slow").DONE


@pytest.mark.parametrize("end", ["", "raise ValueError('late')\n"])
def test_an_import_of_new_code_that_hangs_does_not_harm_the_old_that_is_back(
    machine: Machine, gate: Gate, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr("iocmng.plugins.modules._PATIENCE", 0.05)
    machine.begin(machine.generation(beam("1.0")))
    before = imported("acme_beam.plugin")
    swap = machine.swap(machine.generation(beam("2.0", BLOCKING + end)))
    swap.take()
    errors: list[BaseException] = []
    thread = importing("acme_beam.plugin", errors)
    assert gate[0].wait(DEADLINE)
    swap.put_back()
    assert imported("acme_beam.plugin") is before
    gate[1].set()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert len(errors) == 1
    assert sys.modules["acme_beam.plugin"] is before


def test_many_upgrades_leave_little_behind(machine: Machine) -> None:
    code = "import logging\nlog = logging.getLogger(__name__)\nclass Beam:\n    table = list(range(2000))\n"
    code += "".join(f"def f{number}(value):\n    return value + {number}\n" for number in range(50))
    generations = [machine.generation(beam(f"{number}.0", code)) for number in (1, 2)]
    machine.begin(generations[0])
    imported("acme_beam.plugin")

    def upgrade(times: int) -> None:
        for number in range(times):
            machine.upgrade(generations[(number + 1) % 2])
            imported("acme_beam.plugin")

    def size() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    upgrade(10)
    start = size()
    upgrade(40)
    assert (size() - start) / 40 < 50 * 1024
    assert not [one for one in sys.path_importer_cache if one.startswith(str(generations[1]))]


def test_a_swap_that_was_never_taken_has_nothing_to_put_back(machine: Machine) -> None:
    machine.begin(machine.generation(beam("1.0")))
    before = imported("acme_beam")
    ModuleSwap(machine.site, None, machine.changes(None)).put_back()
    assert imported("acme_beam") is before
