from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from iocmng.plugins.journal import Journal

HEAD = """
import ctypes, os, signal, sys, threading
from pathlib import Path
from iocmng.plugins.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.watch()
def under_way(name, then):
    entered = threading.Event()
    def run():
        with journal.doing("start", name, fingerprint=f"print of {name}"):
            entered.set()
            then()
    threading.Thread(target=run, daemon=True).start()
    entered.wait()
"""


def run(state: Path, *lines: str) -> int:
    """Run a program that keeps a journal; returns its end as subprocess tells it."""
    program = HEAD + "\n".join(lines)
    done = subprocess.run(
        [sys.executable, "-c", program, str(state)], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


WAITING = "under_way('waiting', threading.Event().wait)"


def test_of_several_the_one_whose_thread_crashed_is_blamed(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        WAITING,
        "go = threading.Event()",
        "under_way('culprit', lambda: (go.wait(), ctypes.string_at(0)))",
        "under_way('other', threading.Event().wait)",
        "go.set()",
        "threading.Event().wait()",
    )
    assert ended == -signal.SIGSEGV
    journal = Journal(tmp_path)
    assert set(journal.blamed) == {"culprit"}
    blame = journal.blamed["culprit"]
    assert blame.doing == "start"
    assert "Segmentation fault" in blame.reason
    assert "culprit" in blame.finding.message
    assert "iocmng reset culprit" in blame.finding.hint


def test_the_only_one_under_way_is_blamed_for_a_silent_end(tmp_path: Path) -> None:
    assert run(tmp_path, "with journal.doing('import', 'quitter'):", "    os._exit(4)") == 4
    assert set(Journal(tmp_path).blamed) == {"quitter"}


def test_nobody_is_blamed_when_it_could_be_anyone(tmp_path: Path) -> None:
    assert run(tmp_path, WAITING, "under_way('b', lambda: os._exit(5))", "threading.Event().wait()") == 5
    assert not Journal(tmp_path).blamed


@pytest.mark.parametrize(
    "lines",
    [
        ("with journal.doing('import', 'good'):", "    pass", "os._exit(0)"),
        (WAITING, "journal.close()"),
        ("with journal.doing('import', 'good'):", "    pass", "os.kill(os.getpid(), signal.SIGKILL)"),
        (
            "try:",
            "    with journal.doing('import', 'good'):",
            "        1/0",
            "except ZeroDivisionError:",
            "    pass",
        ),
    ],
)
def test_what_was_over_is_innocent(tmp_path: Path, lines: tuple[str, ...]) -> None:
    run(tmp_path, *lines)
    assert not Journal(tmp_path).blamed


def test_a_crash_elsewhere_blames_nobody_under_way(tmp_path: Path) -> None:
    assert run(tmp_path, WAITING, "ctypes.string_at(0)") == -signal.SIGSEGV
    assert not Journal(tmp_path).blamed


def test_blame_stays_until_it_is_forgiven(tmp_path: Path) -> None:
    run(tmp_path, "with journal.doing('import', 'quitter'):", "    os._exit(4)")
    Journal(tmp_path)
    journal = Journal(tmp_path)
    assert set(journal.findings(lambda name: "")) == {"quitter"}
    assert journal.forgive("quitter")
    assert not journal.forgive("quitter")
    assert not Journal(tmp_path).blamed


def test_a_changed_plugin_is_innocent(tmp_path: Path) -> None:
    run(tmp_path, "under_way('culprit', lambda: os._exit(4))", "threading.Event().wait()")
    journal = Journal(tmp_path)
    assert set(journal.findings(lambda name: f"print of {name}")) == {"culprit"}
    assert not journal.findings(lambda name: "another print")
    assert not Journal(tmp_path).blamed


def test_the_latest_thing_an_instance_was_at_counts(tmp_path: Path) -> None:
    lines = (
        "journal.begin('import', 'a')",
        "journal.begin('start', 'a')",
        "journal.over('b')",
        "os._exit(4)",
    )
    run(tmp_path, *lines)
    assert Journal(tmp_path).blamed["a"].doing == "start"
    run(tmp_path / "2", *lines[:3], "journal.over('a')", "os._exit(4)")
    assert not Journal(tmp_path / "2").blamed


def test_damaged_files_blame_nobody(tmp_path: Path) -> None:
    (tmp_path / "blamed.json").write_text("{")
    (tmp_path / "under-way.jsonl").write_text('{"instance": "x"\n[]\n')
    assert not Journal(tmp_path).blamed
