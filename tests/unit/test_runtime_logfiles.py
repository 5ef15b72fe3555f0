"""Log files: what is written is read back, rotation, few descriptors, a failing disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng.errors import NotFound
from iocmng.runtime.logfiles import LogFiles, LogFormat, decode, encode, read_offline
from iocmng.wire import LogLine

T0 = 1_764_000_000.0


def line(text: str, number: int = 0, level: str = "INFO") -> LogLine:
    return LogLine(T0 + number, level, "pump", text)


def files(directory: Path, **options: Any) -> LogFiles:
    settings: dict[str, Any] = {"form": LogFormat.TEXT, "max_bytes": 1_000_000, "keep": 5, **options}
    return LogFiles(directory, **settings)


@pytest.mark.parametrize("form", LogFormat)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\n") | st.just("\t")))
)
def test_every_text_comes_back(form: LogFormat, texts: list[str]) -> None:
    written = [line(text, number) for number, text in enumerate(texts)]
    content = b"".join(encode(one, form) for one in written)
    assert list(decode(content.splitlines(keepends=True))) == written


@pytest.mark.parametrize("form", LogFormat)
def test_lone_surrogates_are_written_visibly(form: LogFormat) -> None:
    (found,) = decode(encode(line("bad \udcff name"), form).splitlines(keepends=True))
    assert found.text in ("bad \\udcff name", "bad \udcff name")


def test_a_traceback_stays_one_line_of_the_log(tmp_path: Path) -> None:
    text = 'cycle failed\nTraceback (most recent call last):\n  File "x.py", line 1\n\nZeroDivisionError'
    written = files(tmp_path)
    written.write([("pump", line(text)), ("pump", line("next", 1))])
    assert [one.text for one in read_offline(tmp_path, "pump")] == [text, "next"]


def test_torn_and_foreign_lines_do_not_stop_the_listing(tmp_path: Path) -> None:
    good = encode(line("good", 5), LogFormat.TEXT)
    json_line = encode(line("json", 6), LogFormat.JSON)
    foreign = b'\tcontinuation of nothing\n\x00\xff\xfe\n{"time": 5}\n{\n' + b"[" * 50_000 + b"\n"
    (tmp_path / "pump.log").write_bytes(foreign + good + json_line + good[:20])
    found = read_offline(tmp_path, "pump")
    assert [one.text for one in found[-3:]] == ["good", "json", good[:20].decode()]
    assert len(found) == 8


def test_reading_respects_since_level_and_limit(tmp_path: Path) -> None:
    levels = ["DEBUG", "INFO", "WARNING", "ERROR"]
    files(tmp_path).write([("pump", line(str(n), n, levels[n % 4])) for n in range(40)])
    assert [one.text for one in read_offline(tmp_path, "pump", since=T0 + 37)] == ["37", "38", "39"]
    assert [one.text for one in read_offline(tmp_path, "pump", level="error", limit=2)] == ["35", "39"]


def test_rotation_bounds_the_files_and_reads_as_one_log(tmp_path: Path) -> None:
    written = files(tmp_path, max_bytes=2000, keep=2)
    for number in range(200):
        written.write([("pump", line("x" * 50, number))])
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == ["pump.log", "pump.log.1", "pump.log.2"]
    assert all(path.stat().st_size <= 2000 for path in paths)
    times = [one.time for one in read_offline(tmp_path, "pump")]
    assert times == sorted(times)
    assert times[-1] == T0 + 199
    assert len(times) > 40


def test_without_rotated_files_the_log_begins_anew(tmp_path: Path) -> None:
    written = files(tmp_path, max_bytes=500, keep=0)
    for number in range(50):
        written.write([("pump", line("x" * 50, number))])
    assert [path.name for path in tmp_path.iterdir()] == ["pump.log"]
    assert read_offline(tmp_path, "pump")[-1].time == T0 + 49


def test_a_thousand_logs_need_few_descriptors(tmp_path: Path) -> None:
    written = files(tmp_path, open_files=16)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(3):
        written.write([(f"task{task}", line(str(number), number)) for task in range(1000)])
        assert written.open_count <= 16
        assert len(os.listdir("/proc/self/fd")) <= before + 16
    for task in (0, 500, 999):
        assert [one.text for one in read_offline(tmp_path, f"task{task}")] == ["0", "1", "2"]
    written.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_files_are_private_and_the_directory_is_made_when_needed(tmp_path: Path) -> None:
    directory = tmp_path / "state" / "log"
    files(directory).write([("pump", line("hello"))])
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "pump.log").stat().st_mode & 0o777 == 0o600


def test_a_file_that_somebody_removes_or_moves_is_begun_anew(tmp_path: Path) -> None:
    written = files(tmp_path)
    written.write([("pump", line("first"))])
    (tmp_path / "pump.log").unlink()
    written.write([("pump", line("second"))])
    assert [one.text for one in read_offline(tmp_path, "pump")] == ["second"]


def test_one_unwritable_log_costs_the_others_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.log").mkdir()
    written = files(tmp_path)
    lost, problem = written.write([("bad", line("a")), ("good", line("b")), ("bad", line("c"))])
    assert lost == 2
    assert "bad.log: Is a directory" in problem
    assert [one.text for one in read_offline(tmp_path, "good")] == ["b"]


def test_a_line_torn_by_a_full_disk_does_not_swallow_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = files(tmp_path)
    genuine = os.write
    calls = iter(range(1))

    def full(descriptor: int, content: bytes) -> int:
        if next(calls, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return genuine(descriptor, content[:10])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        lost, problem = written.write([("pump", line("torn"))])
    assert lost == 1
    assert "No space left" in problem
    assert written.write([("pump", line("whole"))]) == (0, "")
    found = read_offline(tmp_path, "pump")
    assert found[-1] == line("whole")


def test_an_unknown_log_names_the_nearest(tmp_path: Path) -> None:
    files(tmp_path).write([("vacuum-pump", line("x"))])
    with pytest.raises(NotFound, match="'vacuum-pump'"):
        read_offline(tmp_path, "vacum-pump")
    with pytest.raises(NotFound, match="no log of 'x'"):
        read_offline(tmp_path / "nowhere", "x")


def test_a_log_is_not_taken_for_another_with_a_longer_name(tmp_path: Path) -> None:
    written = files(tmp_path)
    written.write([("pump", line("a")), ("pump-2", line("b")), ("xpump", line("c"))])
    assert [one.text for one in read_offline(tmp_path, "pump")] == ["a"]
