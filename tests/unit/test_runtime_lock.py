"""One host per state directory."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from children import Lines, ending

from iocmng.errors import BootFailed, ExitCode
from iocmng.runtime.lock import Holder, StateLock, private_directory, read_holder

ME = Holder(pid=4711, hostname="ioc-rack-3", prefix="TEST:RF", started=1_764_000_000.0)
HOLD = """
import sys
from pathlib import Path
from iocmng.runtime.lock import Holder, StateLock
lock = StateLock(Path(sys.argv[1]), Holder(1234, "other-host", "OTHER", "http://127.0.0.1:9", 0.0))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    with StateLock(tmp_path, ME) as lock:
        lock.announce("http://127.0.0.1:8080")
        with pytest.raises(BootFailed) as raised:
            StateLock(tmp_path, ME).acquire()
    text = str(raised.value)
    for part in (
        str(tmp_path),
        "4711",
        "ioc-rack-3",
        "TEST:RF",
        "http://127.0.0.1:8080",
        "2025-11-24",
        "--state-dir",
    ):
        assert part in text
    assert raised.value.exit_code is ExitCode.FAILED
    assert raised.value.error_code == "state-dir-locked"


def test_a_released_lock_can_be_taken_and_names_nobody(tmp_path: Path) -> None:
    lock = StateLock(tmp_path, ME)
    lock.acquire()
    assert read_holder(tmp_path) == ME
    lock.release()
    lock.release()
    assert read_holder(tmp_path) is None
    with StateLock(tmp_path, ME):
        pass


def test_the_directory_is_made_private(tmp_path: Path) -> None:
    fresh = tmp_path / "a" / "b"
    private_directory(fresh)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
    fresh.chmod(0o755)
    with StateLock(fresh, ME):
        assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
        assert stat.S_IMODE((fresh / "lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("stale", [b"", b"{", b"[]", b'{"pid": 1}', b'{"pid": "x"}', b"\xff" * 5000])
def test_what_a_dead_host_left_is_no_obstacle(tmp_path: Path, stale: bytes) -> None:
    (tmp_path / "lock").write_bytes(stale)
    assert read_holder(tmp_path) is None
    with StateLock(tmp_path, ME):
        assert read_holder(tmp_path) == ME


def test_a_holder_that_said_nothing_yet_is_still_named_as_one(tmp_path: Path) -> None:
    with StateLock(tmp_path, ME):
        os.truncate(tmp_path / "lock", 0)
        with pytest.raises(BootFailed, match="not said yet who it is"):
            StateLock(tmp_path, ME).acquire()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with ending(held):
        lines = Lines(held.stdout)
        assert lines.next() == "held\n"
        with pytest.raises(BootFailed, match="other-host"):
            StateLock(tmp_path, ME).acquire()
        held.send_signal(signal.SIGKILL)
        held.wait(10)
        lines.close()
    with StateLock(tmp_path, ME):
        assert read_holder(tmp_path) == ME


def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = StateLock(tmp_path, ME)
    lock.acquire()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with ending(child):
        lock.release()
        with StateLock(tmp_path, ME):
            pass
        child.communicate(b"\n", timeout=10)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(BootFailed, match=r"state cannot be used: File exists.*IOCMNG_STATE_DIR"):
        StateLock(tmp_path / "state", ME).acquire()
