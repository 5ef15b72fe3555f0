"""What `iocmng doctor` says of what was installed through the host."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from support.staged import lock_of, staged
from support.wheels import wheel

from iocmng.plugins.installing.generations import MARKER, Generations
from iocmng.plugins.installing.lock import write_lock
from iocmng.plugins.installing.model import Generation, Pointer
from iocmng.wire import Finding, Level
from iocmng_cli.checks import check_entry_points, check_installed, site_folders

Stage = Callable[..., Generation]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Stages a generation of a distribution `acme-beam` with the plugin `beam`, and keeps its wheel."""

    def staging(number: int, version: str = "1.0") -> Generation:
        made = wheel(tmp_path / "wheels", "acme-beam", version, plugin="beam")
        return staged(tmp_path, number, made)

    return staging


def said(findings: Iterable[Finding], *levels: Level) -> str:
    found = [one for one in findings if one.level in (levels or (Level.ERROR, Level.WARNING))]
    assert all(one.hint for one in found if one.level is not Level.NOTE), found
    return "\n".join(f"{one.code}: {one.message} -> {one.hint}" for one in found)


def test_where_nothing_was_installed_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert list(check_installed(tmp_path)) == []
    assert site_folders(tmp_path) == ()


def test_a_generation_as_locked_is_good(tmp_path: Path, stage: Stage) -> None:
    write_lock(tmp_path, stage(1).lock)
    Generations(tmp_path).point(Pointer(current=1))
    findings = list(check_installed(tmp_path))
    assert said(findings) == ""
    assert "generation 1 is as locked: acme-beam 1.0" in said(findings, Level.NOTE)


def test_lock_and_generation_that_differ_are_named_with_both_versions(tmp_path: Path, stage: Stage) -> None:
    stage(1)
    write_lock(tmp_path, lock_of(wheel(tmp_path / "wheels", "acme-beam", "2.0", plugin="beam")))
    Generations(tmp_path).point(Pointer(current=1))
    drift = said(check_installed(tmp_path))
    assert "acme-beam" in drift
    assert "2.0" in drift
    assert "1.0" in drift
    assert "install --from-lock" in drift


def test_a_file_that_was_changed_by_hand_is_drift(tmp_path: Path, stage: Stage) -> None:
    generation = stage(1)
    write_lock(tmp_path, generation.lock)
    Generations(tmp_path).point(Pointer(current=1))
    (generation.site / "acme_beam" / "plugin.py").write_text("print('edited')\n")
    assert "plugin.py" in said(check_installed(tmp_path))


def test_what_waits_and_what_was_not_kept_is_told(tmp_path: Path, stage: Stage) -> None:
    write_lock(tmp_path, stage(1).lock)
    store = Generations(tmp_path)
    store.point(Pointer(current=1, pending=2, attempts=1))
    stage(2, "2.0")
    waits = said(check_installed(tmp_path))
    assert "generation 2 waits for a restart of the host, and was tried 1 times" in waits
    assert "iocmng rollback drops it" in waits
    store.point(Pointer(current=1, rejected={2: "beam is in ERROR: no gas"}))
    assert "generation 2 was not kept: beam is in ERROR: no gas" in said(check_installed(tmp_path))
    store.point(Pointer(current=3, rejected={2: "beam is in ERROR: no gas"}))
    assert "not kept" not in said(check_installed(tmp_path))


def test_a_damaged_generation_names_the_way_back(tmp_path: Path, stage: Stage) -> None:
    generation = stage(1)
    write_lock(tmp_path, generation.lock)
    Generations(tmp_path).point(Pointer(current=1))
    (generation.folder / MARKER).write_text("{")
    broken = said(check_installed(tmp_path), Level.ERROR)
    assert "marker of generation 1 is damaged" in broken
    assert "iocmng install --from-lock" in broken
    assert site_folders(tmp_path) == ()


def test_entry_points_of_a_generation_are_looked_at_beside_those_of_the_base(
    tmp_path: Path, stage: Stage
) -> None:
    generation = stage(1)
    Generations(tmp_path).point(Pointer(current=1))
    folders = site_folders(tmp_path)
    assert folders == (str(generation.site),)
    assert "beam" in said(check_entry_points(folders), Level.NOTE)
    (generation.site / "acme_beam" / "plugin.py").unlink()
    for file in (generation.site / "acme_beam").iterdir():
        file.unlink()
    (generation.site / "acme_beam").rmdir()
    broken = said(check_entry_points(folders), Level.ERROR)
    assert "beam = acme_beam.plugin:Plugin of acme-beam 1.0: there is no module 'acme_beam'" in broken
    assert folders[0] not in sys.path


def test_a_distribution_that_the_base_has_too_is_named(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = stage(1)
    write_lock(tmp_path, generation.lock)
    Generations(tmp_path).point(Pointer(current=1))
    base = staged(tmp_path / "base", 1, wheel(tmp_path / "made", "acme-beam", "0.9", plugin="beam"))
    monkeypatch.syspath_prepend(str(base.site))
    twice = said(check_installed(tmp_path))
    assert "acme-beam" in twice
    assert "0.9" in twice
