"""Bundles for hosts without an index, bringing everything back from the lock, and drift that doctor finds."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from support.installer_place import Place, changed
from support.wheels import wheel

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.codes import CODES
from iocmng.plugins.installing.base import Base
from iocmng.plugins.installing.bundle import create_bundle, read_bundle
from iocmng.plugins.installing.bundling import bundle_requirements
from iocmng.plugins.installing.drift import inspect
from iocmng.plugins.installing.generations import MARKER
from iocmng.plugins.installing.lock import write_lock
from iocmng.plugins.installing.model import Generation, OriginKind, Pointer
from iocmng.plugins.installing.store import WheelStore
from iocmng.wire import Finding


def filled(home: Path) -> Place:
    place = Place(home)
    home.mkdir()
    wheel(place.index, "acme-beam", "1.0", requires=["acme-lib>=1"], plugin="beam")
    wheel(place.index, "acme-lib", "1.0")
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return filled(tmp_path / "one")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = filled(tmp_path_factory.mktemp("template") / "one")
    place.put("acme-beam")
    return place.home


@pytest.fixture
def installed(tmp_path: Path, template: Path) -> Place:
    """Where acme-beam is installed already: a copy takes no time."""
    shutil.copytree(template, tmp_path / "one", symlinks=True)
    return Place(tmp_path / "one")


def present(place: Place) -> Generation:
    found = place.generations.in_force()
    assert found is not None
    return found


@pytest.fixture
def other(tmp_path: Path) -> Place:
    """A host that reaches no index: its folder holds nothing."""
    place = Place(tmp_path / "other")
    place.home.mkdir()
    return place


def found(place: Place, code: str, base: Base | None = None) -> list[str]:
    findings = inspect(place.state, base)
    assert {finding.code for finding in findings} <= CODES.keys()
    return [finding.message for finding in findings if finding.code == code]


def bad(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.level != "note"]


def bundled(place: Place, file: Path) -> Path:
    bundle_requirements(
        ["acme-beam"], file, index=str(place.index), environ=os.environ, tell=place.said.append
    )
    return file


def test_a_bundle_installs_without_an_index(place: Place, other: Place) -> None:
    file = bundled(place, place.home / "plugins.zip")
    assert not place.state.exists()
    shutil.rmtree(place.index)
    lock = read_bundle(file)
    assert [one.name for one in lock.distributions] == ["acme-beam", "acme-lib"]
    generation = other.put(str(file))
    assert generation.lock.distributions == lock.distributions
    assert [root.requirement for root in generation.lock.roots] == ["acme-beam"]
    assert (generation.site / "acme_beam" / "plugin.py").is_file()
    assert changed(other.resolve(str(file))) == []


def test_a_bundle_of_what_is_installed_brings_its_versions(place: Place, other: Place) -> None:
    mine = wheel(place.home, "acme-local", "0.5", requires=["acme-beam"])
    generation = place.put(str(mine))
    file = place.home / "all.zip"
    create_bundle(generation.lock, WheelStore(place.state), file)
    wheel(other.index, "acme-beam", "3.0")
    wheel(other.index, "acme-lib", "3.0")
    other.put("acme-beam")
    resolution = other.resolve(str(file))
    assert changed(resolution) == [
        ("acme-beam", "3.0", "1.0"),
        ("acme-lib", "", "1.0"),
        ("acme-local", "", "0.5"),
    ]
    root = resolution.lock.root("acme-local")
    locked = resolution.lock.locked("acme-local")
    assert root is not None
    assert locked is not None
    assert (root.origin.kind, locked.origin.kind) == (OriginKind.WHEEL, OriginKind.WHEEL)


def rebuilt(file: Path, drop: str = "", put: dict[str, bytes] | None = None) -> None:
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist() if not drop or drop not in name}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {**content, **(put or {})}.items():
            archive.writestr(name, data)


def test_a_bundle_that_was_changed_is_refused(place: Place, other: Place) -> None:
    file = bundled(place, place.home / "plugins.zip")
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        lock = json.loads(archive.read("bundle.json"))
        (lib,) = (name for name in archive.namelist() if "acme_lib" in name)
    up = json.loads(json.dumps(lock).replace("acme_lib-1.0-py3", "../../acme_lib-1.0-py3"))
    cases: list[tuple[str, dict[str, bytes], str]] = [
        ("", {lib: b"evil"}, "changed acme_lib"),
        ("acme_lib", {}, "acme_lib-1.0-py3-none-any.whl 0 times"),
        ("", {"wheels/more.whl": b""}, "its lock does not name"),
        ("", {"../up.txt": b""}, "its lock does not name"),
        ("bundle.json", {}, "holds no bundle.json"),
        ("", {"bundle.json": b"{"}, "damaged"),
        ("", {"bundle.json": json.dumps({**lock, "format": 9}).encode()}, "format 9"),
        ("", {"bundle.json": json.dumps(up).encode()}, "no place in the wheel store"),
    ]
    for drop, put, said in cases:
        file.write_bytes(whole)
        rebuilt(file, drop, put)
        with pytest.raises(InstallRefused, match=said):
            other.resolve(str(file))
    file.write_bytes(whole[:-100])
    with pytest.raises(InstallRefused, match=r"damaged|holds no"):
        read_bundle(file)
    with pytest.raises(NotFound, match="no bundle"):
        other.resolve(str(place.home / "none.zip"))
    assert other.generations.listed() == ()
    assert not (other.home / "up.txt").exists()


def test_a_bundle_that_cannot_be_written_leaves_nothing(installed: Place) -> None:
    generation = present(installed)
    file = installed.home / "none" / "all.zip"
    with pytest.raises(InstallFailed, match="could not be written"):
        create_bundle(generation.lock, WheelStore(installed.state), file)
    next((installed.state / "wheels").rglob("acme_lib*")).unlink()
    with pytest.raises(InstallFailed, match="acme_lib"):
        create_bundle(generation.lock, WheelStore(installed.state), installed.home / "all.zip")
    assert sorted(path.name for path in installed.home.iterdir()) == ["index", "state"]


def test_from_lock_brings_everything_back_without_an_index(installed: Place) -> None:
    first = present(installed)
    shutil.rmtree(installed.index)
    shutil.rmtree(installed.state / "generations")
    back = installed.put(verb="from-lock")
    assert back.lock == first.lock
    assert back.number == 1
    assert changed(installed.resolve(verb="from-lock")) == []


def test_from_lock_after_another_python(installed: Place) -> None:
    lock = present(installed).lock
    old = replace(lock, python="3.9", base={**lock.base, "iocmng": "2.9"})
    write_lock(installed.state, old)
    again = installed.resolve(verb="from-lock").lock
    assert again == lock


def test_from_lock_looks_for_what_fits_the_base_of_now(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    base = place.home / "base"
    for version in ("1.0", "2.0"):
        wheel(place.index, "acme-tool", version, requires=[f"acme-engine=={version}"])
    for version in ("1.0", "2.0"):
        shutil.rmtree(base, ignore_errors=True)
        with zipfile.ZipFile(wheel(place.home, "acme-engine", version)) as archive:
            archive.extractall(base)
        if version == "1.0":
            monkeypatch.syspath_prepend(str(base))
            place.put("acme-tool")
    assert changed(place.resolve(verb="from-lock")) == [("acme-tool", "1.0", "2.0")]
    assert any("do not go with this base" in line for line in place.said)


def test_a_lost_wheel_is_fetched_again_and_has_to_be_the_same(installed: Place) -> None:
    lock = present(installed).lock
    shutil.rmtree(installed.state / "wheels")
    assert installed.resolve(verb="from-lock").lock == lock
    shutil.rmtree(installed.state / "wheels")
    wheel(installed.index, "acme-lib", "1.0", files={"acme_lib/__init__.py": "VERSION = 'evil'\n"})
    with pytest.raises(InstallRefused, match="not what was locked"):
        installed.resolve(verb="from-lock")


def test_without_a_lock_there_is_nothing_to_bring_back(place: Place) -> None:
    with pytest.raises(NotFound, match="nothing was installed"):
        place.resolve(verb="from-lock")


def test_no_drift_no_findings(installed: Place, other: Place) -> None:
    assert inspect(other.state) == ()
    cache = present(installed).site / "acme_beam" / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_text("")
    assert inspect(installed.state) == ()


def test_files_of_the_environment(installed: Place) -> None:
    site = present(installed).site
    (site / "acme_beam" / "__init__.py").write_text("VERSION = 'edited'\n")
    (site / "acme_beam" / "config.yaml").unlink()
    (site / "acme_beam" / "more.py").write_text("")
    shutil.rmtree(site / "acme_lib-1.0.dist-info")
    said = found(installed, "install-drift")
    for text in (
        "acme_beam/__init__.py of acme-beam 1.0 has changed",
        "acme_beam/config.yaml of acme-beam 1.0: No such file",
        "acme_beam/more.py belongs to no distribution",
        "acme-lib 1.0 is not there",
    ):
        assert any(text in line for line in said), (text, said)
    assert {finding.hint for finding in bad(inspect(installed.state))} == {"iocmng install --from-lock"}


def test_lock_and_generation(installed: Place) -> None:
    lock = present(installed).lock
    write_lock(installed.state, replace(lock, distributions=lock.distributions[:1]))
    assert found(installed, "install-drift") == ["acme-lib: plugins.lock says nothing, installed is 1.0"]
    (installed.state / "plugins.lock").write_text("{")
    (said,) = found(installed, "install-broken")
    assert "plugins.lock is corrupt" in said


def marked(place: Place, generation: Generation) -> None:
    (generation.folder / MARKER).unlink()
    place.generations.write_marker(generation)


def test_another_python_and_another_base(place: Place) -> None:
    wheel(place.index, "acme-arrays", requires=["numpy"])
    generation = place.put("acme-arrays")
    old = {**generation.lock.base, "numpy": "1.0", "rich": "1.0"}
    marked(place, replace(generation, lock=replace(generation.lock, python="3.9", base=old)))
    first, second = found(place, "install-stale")
    assert "made for Python 3.9" in first
    assert second.startswith("numpy of the base was 1.0 when this was locked")


def test_the_same_in_base_and_generation(installed: Place) -> None:
    base = installed.home / "base"
    for path in installed.index.glob("acme_lib*"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(base)
    (base / "acme_beam.py").write_text("")
    now = Base.read(installed.state)
    both = Base.read(installed.state, [str(base), *now.folders])
    (said,) = found(installed, "install-twice", both)
    assert said == "acme-lib 1.0 was installed through the host, and 1.0 by pip; that of the base counts"
    (hidden,) = found(installed, "install-shadowed", both)
    assert hidden.startswith("acme_beam of acme-beam 1.0 is never imported")


def test_wheels_and_markers(installed: Place) -> None:
    generation = present(installed)
    store = installed.state / "wheels"
    (store / "old_thing-1.0-py3-none-any.whl").write_text("")
    next(store.rglob("acme_lib*")).write_text("other")
    next(store.rglob("acme_beam*")).unlink()
    said = found(installed, "install-wheel")
    assert any("acme_beam-1.0-py3-none-any.whl is gone" in line for line in said)
    assert any("acme_lib-1.0-py3-none-any.whl has changed" in line for line in said)
    assert any("old_thing-1.0-py3-none-any.whl is a wheel of no generation" in line for line in said)
    (generation.folder / MARKER).write_text("{")
    (installed.state / "generations" / "7").mkdir()
    broken = found(installed, "install-broken")
    assert any("marker of generation 1 is damaged" in line for line in broken)
    assert any("generation 7 was not staged to its end" in line for line in broken)
    installed.generations.point(Pointer(current=5))
    assert any("there is no generation 5" in line for line in found(installed, "install-broken"))
