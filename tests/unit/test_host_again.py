"""A process that replaces itself: what the new one has of the old one, and what not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from iocmng.api.listening import bind, listens_at
from iocmng.host.again import HANDED_OVER, Start

DEADLINE = 30.0
PROGRAM = """
import json, os, socket, subprocess, sys, threading
from iocmng.host.again import Start, exec_again
from iocmng.host.early import Stopped, stop_on_signals

start = Start.here()
if start.listening is None:
    os.environ["ADDED"] = "by a library"
    os.environ.pop("TOKEN")
    os.chdir("/")
    os.dup2(os.open("/dev/null", os.O_RDONLY), 77, inheritable=True)
    child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    listening = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"pid": os.getpid(), "child": child.pid, "port": listening.getsockname()[1]}))
    exec_again(start, listening)
    sys.exit(3)
waiting = False
try:
    if "signal" in sys.argv:
        os.kill(os.getpid(), 15)
        waiting = True
    stop_on_signals()
    stopped = False
except Stopped:
    stopped = True
found = {
    "pid": os.getpid(),
    "argv": sys.argv[1:],
    "folder": os.getcwd(),
    "token": os.environ.get("TOKEN"),
    "added": os.environ.get("ADDED"),
    "told": os.environ.get("IOCMNG_HANDED_OVER"),
    "open": sorted(int(name) for name in os.listdir("/dev/fd")),
    "handed": start.listening.fileno(),
    "inheritable": os.get_inheritable(start.listening.fileno()),
    "blocking": start.listening.getblocking(),
    "port": start.listening.getsockname()[1],
    "waiting": waiting,
    "stopped": stopped,
}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Replaced:
    """What the program says of itself before and after it was replaced."""

    folder: Path
    given: int
    before: dict[str, Any]
    after: dict[str, Any]


def replaced(folder: Path, *words: str) -> Replaced:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    given, other = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, program, *words],
            cwd=folder,
            env={**os.environ, "TOKEN": "secret"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            pass_fds=(given,),
        )
    finally:
        os.close(given)
        os.close(other)
    assert done.returncode == 0, done.stderr
    before, after = map(json.loads, done.stdout.splitlines())
    return Replaced(folder, given, before, after)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Replaced:
    return replaced(tmp_path_factory.mktemp("again"), "run", "--prefix", "A B")


def test_pid_words_environment_and_folder_are_as_at_the_start(once: Replaced) -> None:
    assert once.after["pid"] == once.before["pid"]
    assert once.after["argv"] == ["run", "--prefix", "A B"]
    assert once.after["folder"] == str(once.folder)
    assert (once.after["token"], once.after["added"], once.after["told"]) == ("secret", None, None)
    assert once.after["stopped"] is False


def test_nothing_crosses_but_what_was_given_and_the_listening_socket(once: Replaced) -> None:
    crossed = {0, 1, 2, once.given, once.after["handed"]}
    # What lists the open files is one of them.
    assert (crossed <= set(once.after["open"]), len(once.after["open"])) == (True, len(crossed) + 1)
    assert 77 not in once.after["open"]
    assert (once.after["inheritable"], once.after["blocking"]) == (False, False)
    assert once.after["port"] == once.before["port"]


def test_children_are_ended(once: Replaced) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(once.before["child"], 0)


def test_a_signal_that_comes_before_the_new_process_can_take_it_waits(tmp_path: Path) -> None:
    after = replaced(tmp_path, "signal").after
    assert (after["waiting"], after["stopped"]) == (True, True)


def test_a_program_that_is_gone_leaves_the_process_as_it_is(tmp_path: Path) -> None:
    # Not in this process, whose children it would end.
    program = (
        "import signal, sys\n"
        "from iocmng.host.again import Start, exec_again\n"
        f"exec_again(Start({str(tmp_path / 'gone')!r}, (), {{}}, '', {{}}))\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE)
    assert f"{tmp_path / 'gone'} cannot be started again: No such file" in done.stderr
    assert (done.returncode, done.stdout) == (0, "set()\n")


@pytest.mark.parametrize("told", ["", "x", "-1", "100000", "file", "datagram", "idle"])
def test_only_a_listening_socket_is_taken_over(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        open(os.devnull) as file,
        closing(socket.socket(type=socket.SOCK_DGRAM)) as datagram,
        closing(socket.socket()) as idle,
    ):
        open_files = {"file": file.fileno(), "datagram": datagram.fileno(), "idle": idle.fileno()}
        monkeypatch.setenv(HANDED_OVER, str(open_files.get(told, told)))
        assert Start.here().listening is None
        assert HANDED_OVER not in os.environ
        # They are somebody else's, and stay open.
        assert all(os.fstat(number) for number in open_files.values())


def test_a_socket_is_known_by_its_address() -> None:
    with closing(bind("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert listens_at(listening, "127.0.0.1", port)
        assert listens_at(listening, "127.0.0.1", 0)
        assert not listens_at(listening, "127.0.0.1", port + 1)
        assert not listens_at(listening, "127.0.0.2", port)
        assert not listens_at(listening, "no such name.", port)


def test_epics_comes_without_build_tools_and_they_are_there_afterwards() -> None:
    program = (
        "import sys\n"
        "from iocmng.host.libraries import without_build_tools\n"
        "with without_build_tools():\n    import epicscorelibs.path, pvxslibs.path\n"
        "assert not {'setuptools', 'pkg_resources', 'setuptools_dso'} & set(sys.modules), 'imported'\n"
        "import setuptools_dso\n"
        "assert setuptools_dso.setup and setuptools_dso.runtime.find_dso\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
