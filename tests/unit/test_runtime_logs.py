"""The log book: who wrote what, bounded, followed, and never in anybody's way."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iocmng.runtime import logs as module
from iocmng.runtime.clock import RealClock
from iocmng.runtime.logfiles import LogFormat, read_offline
from iocmng.runtime.logs import HOST, KEPT_CHARACTERS, KEPT_LINES, MAX_TEXT, LogBook
from iocmng.runtime.streams import bind_thread, bound_instance
from iocmng.wire import LogLine

Make = Callable[..., LogBook]


@pytest.fixture
def make() -> Iterator[Make]:
    books: list[LogBook] = []

    def made(**options: Any) -> LogBook:
        book = LogBook(RealClock(), **options)
        books.append(book)
        root = logging.getLogger()
        for handler in tuple(root.handlers):
            # pytest's own raise on a message that cannot be formatted; it puts them back after the test.
            root.removeHandler(handler)
        book.install()
        return book

    threads = threading.active_count()
    yield made
    for book in books:
        book.close()
    assert threading.active_count() == threads


def texts(book: LogBook, name: str, **options: Any) -> list[str]:
    return [line.text for line in book.lines(name, **options)]


def task_logger(name: str) -> logging.Logger:
    return logging.getLogger(f"iocmng.task.{name}")


def in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_each_line_goes_to_the_log_of_who_wrote_it(make: Make) -> None:
    book = make()
    task_logger("pump").info("pressure %.1f", 2.5)
    task_logger("pump").getChild("valve").warning("slow")
    task_logger("valve").error("stuck")
    logging.getLogger("iocmng.supervisor").info("two tasks")
    logging.getLogger("somebody.else").warning("hm")
    assert [(line.level, line.source, line.text) for line in book.lines("pump")] == [
        ("INFO", "pump", "pressure 2.5"),
        ("WARNING", "valve", "slow"),
    ]
    assert texts(book, "valve") == ["stuck"]
    assert texts(book, HOST) == ["two tasks", "hm"]
    assert texts(book, "nobody") == []


def test_a_library_that_logs_on_a_tasks_thread_is_in_the_tasks_log(make: Make) -> None:
    book = make()

    def work() -> None:
        undo = bind_thread("pump")
        logging.getLogger("driver.serial").warning("no answer")
        undo()
        logging.getLogger("driver.serial").warning("host's own")

    in_thread(work)
    assert texts(book, "pump") == ["no answer"]
    assert texts(book, HOST) == ["host's own"]


def test_a_traceback_is_kept_whole(make: Make) -> None:
    book = make()
    try:
        raise ZeroDivisionError("by {} and %s")
    except ZeroDivisionError:
        task_logger("pump").exception("cycle failed")
    (line,) = book.lines("pump")
    assert line.text.startswith("cycle failed\nTraceback (most recent call last):\n")
    assert line.text.endswith("ZeroDivisionError: by {} and %s")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("100 %",), "100 %"),
        (("{} {x}",), "{} {x}"),
        (("%d items", "many"), "'%d items' with ('many',) (cannot be formatted: TypeError)"),
        (("one %s", 1, 2), "cannot be formatted"),
        ((Unprintable(),), "<Unprintable> with () (cannot be formatted: RuntimeError)"),
        (("%s", Unprintable()), "'%s' with <tuple>"),
        ((b"\xff\x00",), "b'\\xff\\x00'"),
        (("bell\x07 and \x1b[31mred",), "bell\\x07 and \\x1b[31mred"),
        (("",), ""),
    ],
)
def test_no_message_can_break_the_log(make: Make, arguments: tuple[Any, ...], part: str) -> None:
    book = make()
    task_logger("pump").info(*arguments)
    task_logger("pump").info("after")
    strange, after = texts(book, "pump")
    assert part in strange
    assert after == "after"


def test_a_huge_line_keeps_its_beginning_and_its_end(make: Make, tmp_path: Path) -> None:
    book = make(directory=tmp_path)
    task_logger("pump").info("BEGIN" + "x" * 5_000_000 + "END")
    assert book.flush()
    for (line,) in (book.lines("pump"), read_offline(tmp_path, "pump")):
        assert len(line.text) < MAX_TEXT + 100
        assert line.text.startswith("BEGINxxx")
        assert line.text.endswith("xxxEND")
        assert "characters left out" in line.text


def test_memory_is_bounded_in_lines_and_in_characters(make: Make) -> None:
    book = make()
    for number in range(KEPT_LINES + 100):
        task_logger("pump").info("%d", number)
    assert texts(book, "pump", limit=10_000)[0] == "100"
    assert len(texts(book, "pump", limit=10_000)) == KEPT_LINES
    for _ in range(100):
        task_logger("pump").info("x" * 10_000)
    assert sum(map(len, texts(book, "pump"))) <= KEPT_CHARACTERS


def test_lines_are_chosen_by_time_level_and_number(make: Make) -> None:
    book = make()
    for number in range(6):
        book.add("pump", LogLine(float(number), ["INFO", "ERROR"][number % 2], "pump", str(number)))
    assert texts(book, "pump", since=3.0) == ["3", "4", "5"]
    assert texts(book, "pump", level="warning") == ["1", "3", "5"]
    assert texts(book, "pump", limit=2) == ["4", "5"]
    assert texts(book, "pump", limit=0) == []
    book.forget("pump")
    assert texts(book, "pump") == []


def test_levels_are_the_hosts_or_the_instances_own(make: Make) -> None:
    book = make(level="WARNING")
    for name in ("pump", "valve"):
        book.set_level(name, None)
    book.set_level("pump", "DEBUG")
    try:
        for name in ("pump", "valve"):
            task_logger(name).debug("fine")
            task_logger(name).warning("bad")
    finally:
        book.set_level("pump", None)
    assert texts(book, "pump") == ["fine", "bad"]
    assert texts(book, "valve") == ["bad"]


def test_print_of_a_bound_thread_goes_to_its_log_and_nobody_elses(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    book = make()

    def work(name: str) -> None:
        undo = bind_thread(name)
        assert bound_instance() == name
        for number in range(50):
            print(name, number, sep="-")
        print("two\nlines")
        print("warned", file=sys.stderr)
        print("dots", end="", flush=True)
        print("...", end="")
        undo()
        print("after", name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("pump", "valve")]
    for thread in threads:
        thread.start()
    print("from the host")
    for thread in threads:
        thread.join(20)
    for name in ("pump", "valve"):
        found = texts(book, name)
        assert found[:50] == [f"{name}-{number}" for number in range(50)]
        assert found[50:] == ["two", "lines", "warned", "dots..."]
        assert [line.level for line in book.lines(name)][-2:] == ["WARNING", "INFO"]
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == ["after pump", "after valve", "from the host"]
    assert err == ""


def test_what_never_ends_its_line_is_still_bounded(make: Make) -> None:
    book = make()

    def work() -> None:
        undo = bind_thread("pump")
        for _ in range(100):
            sys.stdout.write("x" * 1000)
        undo()

    in_thread(work)
    assert sum(map(len, texts(book, "pump"))) == 100_000
    assert len(texts(book, "pump")) > 5


def test_streams_behave_as_before_and_are_put_back() -> None:
    stdout, stderr = sys.stdout, sys.stderr
    book = LogBook(RealClock())
    book.install()
    try:
        assert sys.stdout is not stdout
        assert sys.stdout.encoding == stdout.encoding
        assert sys.stdout.isatty() == stdout.isatty()
        with pytest.raises(TypeError):
            sys.stdout.write(b"bytes")  # type: ignore[arg-type]
        sys.stdout.writelines([])
    finally:
        book.close()
    assert sys.stdout is stdout
    assert sys.stderr is stderr
    assert logging.getLogger().level == logging.WARNING


def test_warnings_of_an_instances_code_are_in_its_log(make: Make) -> None:
    book = make()

    def work() -> None:
        undo = bind_thread("pump")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("old driver", stacklevel=1)
        undo()

    in_thread(work)
    assert "old driver" in texts(book, "pump")[0]


@pytest.mark.parametrize("form", LogFormat)
def test_files_hold_what_memory_holds(make: Make, tmp_path: Path, form: LogFormat) -> None:
    book = make(directory=tmp_path / "log", form=form)
    task_logger("pump").info("größer\nthan before")
    logging.getLogger("iocmng.host").info("hello")
    assert book.flush()
    for name in ("pump", HOST):
        (kept,), (read,) = book.lines(name), read_offline(tmp_path / "log", name)
        assert (read.level, read.source, read.text) == (kept.level, kept.source, kept.text)
        assert read.time == pytest.approx(kept.time, abs=1e-5)
    assert book.lost == 0


def test_the_console_gets_every_line_as_text() -> None:
    console = io.StringIO()
    book = LogBook(RealClock(), console=console)
    book.install()
    task_logger("pump").info("hello")
    task_logger("pump").getChild("driver").info("open")
    book.close()
    first, second = console.getvalue().splitlines()
    assert first.endswith("Z INFO [pump] hello")
    assert second.endswith("Z INFO [pump driver] open")


def test_a_console_that_blocks_holds_up_neither_tasks_nor_files(tmp_path: Path) -> None:
    release = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            release.wait(20)
            return len(text)

    book = LogBook(RealClock(), directory=tmp_path, console=Stuck())
    book.install()
    try:
        for number in range(100):
            task_logger("pump").info("%d", number)
        deadline = time.monotonic() + 10
        while not (tmp_path / "pump.log").exists() or len(read_offline(tmp_path, "pump")) < 100:
            assert time.monotonic() < deadline
    finally:
        release.set()
        book.close()


def test_a_disk_that_fails_is_reported_once_counted_and_survived(make: Make, tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.write_text("a file in the way")
    book = make(directory=directory)
    for number in range(10):
        task_logger("pump").info("%d", number)
        assert book.flush()
    assert texts(book, "pump") == [str(number) for number in range(10)]
    (report,) = texts(book, HOST)
    assert "log lines are lost" in report
    assert "log" in report
    assert book.lost >= 10
    directory.unlink()
    task_logger("pump").info("again")
    assert book.flush()
    assert book.flush()
    assert [line.text for line in read_offline(directory, "pump")] == ["again"]
    assert "written again" in texts(book, HOST)[-1]


def test_a_disk_that_hangs_never_makes_a_task_wait(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    entered = threading.Event()

    def hang(self: Any, batch: Any) -> tuple[int, str]:
        entered.set()
        release.wait(20)
        return 0, ""

    monkeypatch.setattr(module.LogFiles, "write", hang)
    monkeypatch.setattr(module, "LogWriter", _small_writer)
    book = make(directory=tmp_path)
    try:
        task_logger("pump").info("first")
        assert entered.wait(10)
        for _ in range(500):
            task_logger("pump").info("x" * 100)
        assert not book.flush(0.0)
        assert book.lost > 300
        assert len(texts(book, "pump")) == 501
    finally:
        release.set()


def _small_writer(*arguments: Any) -> Any:
    from iocmng.runtime.logwriter import LogWriter

    return LogWriter(*arguments, max_queued=10_000)


def test_a_follower_hears_its_log_until_it_leaves(make: Make) -> None:
    book = make()
    heard: list[str] = []
    undo = book.subscribe("pump", lambda line: heard.append(line.text), level="WARNING")
    task_logger("pump").info("quiet")
    task_logger("pump").warning("loud")
    task_logger("valve").warning("not mine")
    undo()
    undo()
    task_logger("pump").warning("too late")
    assert heard == ["loud"]


def test_a_follower_that_fails_is_dropped_and_the_task_does_not_notice(make: Make) -> None:
    book = make()
    heard: list[str] = []

    def bad(line: LogLine) -> None:
        raise RuntimeError("follower")

    book.subscribe("pump", bad)
    book.subscribe("pump", lambda line: heard.append(line.text))
    task_logger("pump").info("one")
    task_logger("pump").info("two")
    assert heard == ["one", "two"]
    (report,) = texts(book, HOST)
    assert "a follower of the log of pump failed" in report


def test_following_yields_lines_of_other_threads_in_order(make: Make) -> None:
    book = make()

    async def reader() -> list[str]:
        found = []
        async for line in book.follow("pump"):
            found.append(line.text)
            if line.text == "last":
                return found
        return []

    async def main() -> list[str]:
        task = asyncio.create_task(reader())
        await asyncio.sleep(0)

        def write() -> None:
            for number in range(200):
                task_logger("pump").info("%d", number)
            task_logger("pump").info("last")

        await asyncio.to_thread(write)
        return await asyncio.wait_for(task, 20)

    assert asyncio.run(main()) == [*map(str, range(200)), "last"]


def test_a_slow_reader_is_told_what_it_missed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FOLLOWED", 10)
    book = make()

    async def main() -> list[str]:
        following = book.follow("pump")
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        for number in range(25):
            task_logger("pump").info("%d", number)
        found = [(await asyncio.wait_for(first, 10)).text]
        found += [(await asyncio.wait_for(anext(following), 10)).text for _ in range(10)]
        return found

    found = asyncio.run(main())
    assert found[:10] == [str(number) for number in range(10)]
    assert found[10] == "15 lines were skipped, the reader is too slow"
