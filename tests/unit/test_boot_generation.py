"""Which generation a host starts with, and what becomes of one that waits for its confirmation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.staged import lock_of, staged
from support.wheels import wheel

from iocmng.host.generations import (
    ATTEMPTS,
    BootGeneration,
    LostPlugins,
    boot_generation,
    settle_lock,
    uncount,
)
from iocmng.plugins.installing.generations import MARKER, Generations
from iocmng.plugins.installing.lock import read_lock, write_lock
from iocmng.plugins.installing.model import NOTHING, Pointer
from iocmng.settings import Settings
from iocmng.wire import Level

Stage = Callable[[int, str], None]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Stages a generation of one plugin, `beam`, of a version."""

    def staging(number: int, version: str) -> None:
        staged(tmp_path, number, wheel(tmp_path / "made", "acme-beam", version, plugin="beam"))

    return staging


def number(chosen: BootGeneration) -> int:
    return chosen.generation.number if chosen.generation else NOTHING


def test_without_anything_installed_there_is_nothing_to_say(tmp_path: Path):
    assert boot_generation(tmp_path) == BootGeneration()
    assert list(tmp_path.iterdir()) == []


def test_the_confirmed_generation_is_used_and_nothing_is_written(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=1))
    before = (store.folder / "current.json").stat().st_mtime_ns
    chosen = boot_generation(tmp_path)
    assert (number(chosen), chosen.pending, chosen.problems, chosen.changed) == (1, None, (), False)
    assert (store.folder / "current.json").stat().st_mtime_ns == before


def test_a_lock_that_a_kill_left_behind_is_written_anew(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    stage(2, "2.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=2, previous=1))
    write_lock(tmp_path, store.get(1).lock)
    assert settle_lock(tmp_path)
    assert read_lock(tmp_path).value == store.get(2).lock
    assert not settle_lock(tmp_path)
    store.point(Pointer(current=1, pending=2))
    assert not settle_lock(tmp_path)
    assert read_lock(tmp_path).value == store.get(2).lock


def test_a_pending_one_is_tried_twice_each_time_counted_first_and_then_left(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    stage(2, "2.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=1, pending=2))
    for attempt in range(1, ATTEMPTS + 1):
        chosen = boot_generation(tmp_path)
        assert (number(chosen), chosen.pending, chosen.changed) == (2, 2, True)
        assert store.pointer().attempts == attempt
    chosen = boot_generation(tmp_path, "the host died the last time, in the initialize of beam: SIGSEGV")
    assert (number(chosen), chosen.pending, chosen.changed) == (1, None, True)
    assert "2 starts" in chosen.rejected
    assert "initialize of beam: SIGSEGV" in chosen.rejected
    pointer = store.pointer()
    assert (pointer.current, pointer.pending, pointer.attempts) == (1, None, 0)
    assert pointer.rejected == {2: chosen.rejected}
    assert chosen.problems == (f"generation 2 was not kept, generation 1 is used: {chosen.rejected}",)
    again = boot_generation(tmp_path)
    assert (number(again), again.changed, again.problems) == (1, False, chosen.problems)


def test_the_empty_generation_can_wait_too(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=1, pending=NOTHING))
    chosen = boot_generation(tmp_path)
    assert (chosen.generation, chosen.pending, store.pointer().attempts) == (None, NOTHING, 1)


def test_a_start_that_ended_for_another_reason_is_taken_back(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    store = Generations(tmp_path)
    store.point(Pointer(pending=1))
    boot_generation(tmp_path)
    uncount(tmp_path)
    assert store.pointer() == Pointer(pending=1, attempts=0)
    uncount(tmp_path)
    assert store.pointer().attempts == 0


@pytest.mark.parametrize("damage", ["gone", "unfinished", "broken"])
def test_a_pending_one_that_cannot_be_used_is_left_at_once(tmp_path: Path, stage: Stage, damage: str):
    stage(1, "1.0")
    store = Generations(tmp_path)
    if damage != "gone":
        stage(2, "2.0")
        marker = store.folder / "2" / MARKER
        marker.unlink() if damage == "unfinished" else marker.write_text("{")
    store.point(Pointer(current=1, pending=2))
    chosen = boot_generation(tmp_path)
    assert (number(chosen), chosen.pending) == (1, None)
    assert store.pointer().rejected == {2: chosen.rejected}
    assert "generation 2" in chosen.rejected


def test_a_pending_one_that_cannot_be_counted_waits(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    stage(2, "2.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=1, pending=2))
    # Nobody can write a file where a folder is, not even root.
    (store.folder / ".current.json.tmp" / "in the way").mkdir(parents=True)
    chosen = boot_generation(tmp_path)
    assert (number(chosen), chosen.pending) == (1, None)
    assert "cannot be counted" in chosen.problems[0]
    assert store.pointer().pending == 2


def test_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    stage(2, "2.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=2, previous=1))
    (store.folder / "2" / MARKER).write_text("no JSON")
    chosen = boot_generation(tmp_path)
    assert number(chosen) == 1
    assert "generation 1 is used instead" in chosen.problems[0]
    pointer = store.pointer()
    assert (pointer.current, pointer.previous) == (1, NOTHING)
    assert "damaged" in pointer.rejected[2]


def test_plugins_of_a_damaged_one_without_another_are_listed_as_lost(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=1))
    (store.folder / "1" / MARKER).write_text("no JSON")
    chosen = boot_generation(tmp_path)
    assert chosen.generation is None
    assert [one.plugin.name for one in chosen.lost] == ["beam"]
    assert store.pointer().current == 1


def test_plugins_for_another_python_are_lost_with_the_way_back(tmp_path: Path):
    made = wheel(tmp_path / "made", "acme-beam", "1.0", plugin="beam")
    staged(tmp_path, 1, made, lock=lock_of(made, python="3.9"))
    Generations(tmp_path).point(Pointer(current=1))
    chosen = boot_generation(tmp_path)
    assert chosen.generation is None
    (lost,) = chosen.lost
    assert (lost.plugin.name, lost.plugin.distribution, lost.plugin.version) == ("beam", "acme-beam", "1.0")
    assert lost.plugin.config.endswith("acme_beam/config.yaml")
    finding = lost.findings[0]
    assert (finding.level, finding.code, finding.hint) == (
        Level.ERROR,
        "generation",
        "iocmng install --from-lock",
    )
    assert "Python 3.9" in finding.message
    assert "install --from-lock" in chosen.problems[0]
    assert Generations(tmp_path).pointer() == Pointer(current=1)


def test_what_the_base_has_by_now_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = wheel(tmp_path / "made", "acme-beam", "1.0", plugin="beam")
    generation = staged(tmp_path, 1, made, lock=lock_of(made, python="3.9"))
    Generations(tmp_path).point(Pointer(current=1))
    source = LostPlugins(boot_generation(tmp_path).lost)
    settings = Settings(prefix="LOST", state_dir=tmp_path)
    assert [one.plugin.name for one in source.iocmng_discover(settings)] == ["beam"]
    monkeypatch.syspath_prepend(str(generation.site))
    assert list(source.iocmng_discover(settings)) == []


def test_a_damaged_pointer_is_set_aside_for_the_last_good_one(tmp_path: Path, stage: Stage):
    stage(1, "1.0")
    store = Generations(tmp_path)
    store.point(Pointer(current=1))
    store.point(Pointer(current=1, rejected={3: "why"}))
    (store.folder / "current.json").write_text("{")
    chosen = boot_generation(tmp_path)
    assert number(chosen) == 1
    assert "set aside" in chosen.problems[0]
