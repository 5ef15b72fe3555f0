"""State files: atomic writes, backups, corrupt copies set aside, a full disk."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from iocmng.runtime import files
from iocmng.runtime.files import backups, parse_object, read_state, write_atomic

NOW = 1_764_000_000.0


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def store(path: Path, number: int, **options: Any) -> None:
    write_atomic(path, json.dumps({"n": number}).encode(), **options)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    store(path, 1)
    found = read_state(path, parse_object)
    assert found.value == {"n": 1}
    assert found.problem == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_mode_is_private_also_over_an_open_leftover(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    leftover = tmp_path / ".state.json.tmp"
    leftover.write_text("half a fi")
    leftover.chmod(0o666)
    store(path, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["state.json"]


def test_backups_are_the_writes_before_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for number in range(8):
        store(path, number, keep=3)
    assert [json.loads(copy.read_bytes())["n"] for copy in backups(path)] == [6, 5, 4]
    assert names(tmp_path) == ["state.json", "state.json.bak1", "state.json.bak2", "state.json.bak3"]


def test_without_backups_there_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    store(path, 1, keep=0)
    store(path, 2, keep=0)
    assert names(tmp_path) == ["state.json"]


def test_a_missing_file_is_empty_even_beside_backups(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    store(path, 1)
    store(path, 2)
    path.unlink()
    assert read_state(path, parse_object) == files.Found(None, "")


@pytest.mark.parametrize("content", [b"", b"{", b"\x00\xff\xfe", b"[1]", b"null", b"[" * 100_000])
def test_a_corrupt_file_is_set_aside_and_the_backup_takes_its_place(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    store(path, 1)
    store(path, 2)
    path.write_bytes(content)
    found = read_state(path, parse_object, now=NOW)
    assert found.value == {"n": 1}
    assert "state.json is corrupt" in found.problem
    assert "set aside as state.json.corrupt-20251124T160000Z" in found.problem
    assert "state.json.bak1" in found.problem
    assert (tmp_path / "state.json.corrupt-20251124T160000Z").read_bytes() == content
    assert read_state(path, parse_object, now=NOW) == files.Found({"n": 1}, "")


def test_two_corrupt_copies_within_a_second_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for number in range(3):
        store(path, number, keep=5)
    path.write_bytes(b"new")
    (tmp_path / "state.json.bak1").write_bytes(b"older")
    found = read_state(path, parse_object, now=NOW)
    assert found.value == {"n": 0}
    path.write_bytes(b"again")
    assert read_state(path, parse_object, now=NOW).value == {"n": 0}
    aside = [name for name in names(tmp_path) if ".corrupt-" in name]
    assert aside == [
        "state.json.bak1.corrupt-20251124T160000Z",
        "state.json.corrupt-20251124T160000Z",
        "state.json.corrupt-20251124T160000Z-2",
    ]


def test_no_good_copy_at_all_says_so(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(b"broken")
    found = read_state(path, parse_object, now=NOW)
    assert found.value is None
    assert "no good backup, beginning empty" in found.problem


def test_a_file_that_cannot_be_read_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    store(path, 1)
    store(path, 2)
    genuine = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return genuine(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    found = read_state(path, parse_object, now=NOW)
    monkeypatch.undo()
    assert found.value == {"n": 1}
    assert "cannot be read: Permission denied" in found.problem
    assert json.loads(path.read_bytes()) == {"n": 2}


@pytest.mark.parametrize("failing", ["write", "fsync", "link", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "state.json"
    store(path, 1, keep=0)
    before = path.read_bytes()

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, full)
        if failing == "link":
            patched.setattr(os, "write", _fail_after(1, os.write, full))
        with pytest.raises(OSError, match="No space left"):
            store(path, 2)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["state.json"]
    store(path, 3)
    assert read_state(path, parse_object).value == {"n": 3}


def _fail_after(count: int, genuine: Any, failing: Any) -> Any:
    calls = iter(range(count))
    return lambda *arguments: failing() if next(calls, None) is None else genuine(*arguments)


def test_a_really_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    import signal

    path = tmp_path / "state.json"
    store(path, 1, keep=0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomic(path, b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert json.loads(path.read_bytes()) == {"n": 1}
    assert names(tmp_path) == ["state.json"]


def test_a_file_system_without_hard_links_still_has_backups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    store(path, 1)

    def link(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    store(path, 2)
    assert [json.loads(copy.read_bytes())["n"] for copy in backups(path)] == [1]
    assert stat.S_IMODE(backups(path)[0].stat().st_mode) == 0o600


def test_a_crash_between_backup_and_rename_does_not_stop_later_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    store(path, 1)
    os.link(path, tmp_path / "state.json.bak1")
    os.link(path, tmp_path / ".state.json.bak.tmp")
    (tmp_path / ".state.json.tmp").write_bytes(b"half")
    store(path, 2)
    assert names(tmp_path) == ["state.json", "state.json.bak1"]
    assert json.loads((tmp_path / "state.json.bak1").read_bytes()) == {"n": 1}
