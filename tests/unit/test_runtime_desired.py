"""Desired state and boot counter: on disk before the answer, whole after every accident."""

from __future__ import annotations

import errno
import json
import math
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from iocmng.runtime import desired as module
from iocmng.runtime.desired import Boots, Desired, DesiredState, Intent
from iocmng.runtime.ports import Wakeup


class StillClock:
    def time(self) -> float:
        return 1_764_000_000.0

    def monotonic(self) -> float:
        return 0.0

    def wakeup(self) -> Wakeup:
        raise NotImplementedError


CLOCK = StillClock()


def store(directory: Path) -> DesiredState:
    made = DesiredState(directory / "desired.json", CLOCK)
    assert made.load() == ()
    return made


def test_nothing_known_leaves_it_to_the_configuration(tmp_path: Path) -> None:
    assert store(tmp_path).of("pump") == Desired(None, None, {})


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    before = store(tmp_path)
    before.set_intent("pump", Intent.STOPPED)
    before.set_enabled("valve", False)
    parameters = {
        "gain": 2.5,
        "channels": [0, 1],
        "big": 2**63,
        "odd": math.inf,
        "label": "größer ",
        "none": None,
    }
    before.set_parameters("pump", parameters)
    before.commit()
    after = store(tmp_path)
    assert after.of("pump") == Desired(Intent.STOPPED, None, parameters)
    assert after.of("valve") == Desired(None, False, {})
    assert set(after.names()) == {"pump", "valve"}


def test_unknown_keys_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "desired.json"
    content = {"format": 9, "later": [1], "instances": {"pump": {"intent": "run", "notes": "by hand"}}}
    path.write_text(json.dumps(content))
    known = store(tmp_path)
    known.set_intent("pump", Intent.PAUSED)
    known.commit()
    found = json.loads(path.read_bytes())
    assert found["later"] == [1]
    assert found["format"] == 9
    assert found["instances"]["pump"]["notes"] == "by hand"
    assert found["instances"]["pump"]["intent"] == "paused"


@pytest.mark.parametrize(
    "entry", [{"intent": "fly"}, {"enabled": 1}, {"parameters": [1]}, 5, None, [], {"intent": 3}]
)
def test_one_broken_entry_costs_the_others_nothing(tmp_path: Path, entry: Any) -> None:
    path = tmp_path / "desired.json"
    path.write_text(json.dumps({"instances": {"bad": entry, "pump": {"intent": "stopped"}}}))
    known = DesiredState(path, CLOCK)
    (problem,) = known.load()
    assert "'bad' is dropped" in problem
    assert known.of("pump").intent is Intent.STOPPED
    assert known.of("bad") == Desired()


def test_a_corrupt_file_falls_back_and_says_so(tmp_path: Path) -> None:
    known = store(tmp_path)
    known.set_intent("pump", Intent.STOPPED)
    known.commit()
    known.set_intent("valve", Intent.PAUSED)
    known.commit()
    (tmp_path / "desired.json").write_bytes(b"\x00" * 100)
    again = DesiredState(tmp_path / "desired.json", CLOCK)
    (problem,) = again.load()
    assert "corrupt" in problem
    assert again.of("pump").intent is Intent.STOPPED
    assert again.of("valve").intent is None


@pytest.mark.parametrize("content", ["[]", '{"instances": []}', "nonsense"])
def test_without_any_good_copy_it_begins_empty_and_works(tmp_path: Path, content: str) -> None:
    (tmp_path / "desired.json").write_text(content)
    known = DesiredState(tmp_path / "desired.json", CLOCK)
    (problem,) = known.load()
    assert "beginning empty" in problem
    known.set_intent("pump", Intent.RUN)
    known.commit()
    assert store(tmp_path).of("pump").intent is Intent.RUN


def test_a_commit_without_changes_does_not_write(tmp_path: Path) -> None:
    known = store(tmp_path)
    known.commit()
    assert not (tmp_path / "desired.json").exists()
    known.set_intent("pump", Intent.RUN)
    known.commit()
    first = (tmp_path / "desired.json").stat()
    known.set_intent("pump", Intent.RUN)
    known.commit()
    assert (tmp_path / "desired.json").stat().st_ino == first.st_ino


def test_a_failed_commit_is_made_good_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = store(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    known.set_intent("pump", Intent.STOPPED)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            known.commit()
    assert known.of("pump").intent is Intent.STOPPED
    known.commit()
    assert store(tmp_path).of("pump").intent is Intent.STOPPED


def test_many_threads_share_writes_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = store(tmp_path)
    writes: list[int] = []
    begun = threading.Event()
    go = threading.Event()

    def slow(path: Path, content: bytes) -> None:
        begun.set()
        assert go.wait(10)
        writes.append(len(content))
        genuine(path, content)

    genuine = module.write_atomic
    monkeypatch.setattr(module, "write_atomic", slow)

    def work(number: int) -> None:
        known.set_intent(f"task{number}", Intent.STOPPED)
        known.set_parameters(f"task{number}", {"number": number})
        changed.release()
        known.commit()

    changed = threading.Semaphore(0)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    for _ in threads:
        assert changed.acquire(timeout=10)
    go.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(writes) <= 2
    again = store(tmp_path)
    for number in range(20):
        assert again.of(f"task{number}") == Desired(Intent.STOPPED, None, {"number": number})


def test_a_value_without_json_form_is_refused_by_name(tmp_path: Path) -> None:
    known = store(tmp_path)
    with pytest.raises(TypeError, match=r"'shape' of 'pump'.*object"):
        known.set_parameters("pump", {"gain": 1.0, "shape": object()})
    assert known.of("pump").parameters == {}


def test_forgetting_drops_an_instance_and_ignores_unknown_ones(tmp_path: Path) -> None:
    known = store(tmp_path)
    known.set_intent("pump", Intent.STOPPED)
    known.commit()
    known.forget(["pump", "never-was"])
    known.commit()
    assert store(tmp_path).names() == ()


def test_boots_count_until_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "boots.json"
    assert [Boots(path, CLOCK).begin() for _ in range(3)] == [1, 2, 3]
    succeeding = Boots(path, CLOCK)
    assert succeeding.begin() == 4
    succeeding.succeeded()
    assert Boots(path, CLOCK).begin() == 1


def test_only_boots_that_nobody_can_explain_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "boots.json"
    Boots(path, CLOCK).begin()
    refused = Boots(path, CLOCK)
    assert refused.begin() == 2
    refused.refused()
    assert Boots(path, CLOCK).begin() == 2
    assert Boots(path, CLOCK).begin(known=True) == 1
    assert Boots(path, CLOCK).begin() == 2


@pytest.mark.parametrize("content", ["", "{}", '{"attempts": -1}', '{"attempts": "many"}', "[]"])
def test_a_broken_boot_count_never_stops_the_boot(tmp_path: Path, content: str) -> None:
    path = tmp_path / "boots.json"
    path.write_text(content)
    boots = Boots(path, CLOCK)
    assert boots.begin() == 1
    assert "corrupt" in boots.problem


def test_a_full_disk_never_stops_the_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    boots = Boots(tmp_path / "boots.json", CLOCK)
    assert boots.begin() == 1
    assert "No space left" in boots.problem
