"""Datagrams to systemd, received by a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocmng.host.notify import Notifier, Turns


class Systemd:
    """The other end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Datagrams since the last look."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    end = Systemd(str(tmp_path / "notify"))
    yield end
    end.socket.close()


@pytest.fixture
def notifier(systemd: Systemd, tmp_path: Path) -> Notifier:
    return Notifier(str(tmp_path / "notify"), watchdog=True)


def test_ready_and_stopping_say_how_it_is(systemd: Systemd, notifier: Notifier) -> None:
    notifier.ready("RUN: 3 instances")
    notifier.stopping("asked\nby SIGTERM")
    assert systemd.heard() == ["READY=1\nSTATUS=RUN: 3 instances", "STOPPING=1\nSTATUS=asked by SIGTERM"]


def test_the_watchdog_hears_every_beat_and_the_status_only_when_it_changes(
    systemd: Systemd, notifier: Notifier
) -> None:
    notifier.ready("2 running")
    for now, status in ((1.0, "2 running"), (2.0, "1 running"), (3.0, "1 running")):
        notifier.beat(now, status)
    assert systemd.heard()[1:] == ["WATCHDOG=1", "STATUS=1 running\nWATCHDOG=1", "WATCHDOG=1"]


def test_one_part_that_stands_is_enough_to_withhold_it(
    systemd: Systemd, notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = {"event loop": 0, "EPICS scan": 0}
    for name in ticks:
        notifier.watch(name, lambda name=name: ticks[name])  # type: ignore[misc]
    heard: list[str] = []
    for now in range(20):
        ticks["event loop"] += 1
        if now < 5 or now >= 15:
            ticks["EPICS scan"] += 1
        notifier.beat(float(now), "RUN")
        heard += systemd.heard() or [""]
    assert ["WATCHDOG=1" in datagram for datagram in heard] == [True] * 11 + [False] * 4 + [True] * 5
    assert heard[11] == "STATUS=EPICS scan has not advanced for 7 s: WATCHDOG is withheld"
    assert heard[15] == "STATUS=RUN\nWATCHDOG=1"
    assert [record.levelname for record in caplog.records if "WATCHDOG" in record.message] == ["ERROR"]


def test_a_systemd_that_reads_late_costs_no_status(
    systemd: Systemd, notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    for now in range(40):
        notifier.beat(float(now), "RUN" if now < 30 else "1 failed")
    assert caplog.text.count("systemd cannot be told") == 1
    assert "STATUS=1 failed" not in "".join(systemd.heard())
    notifier.beat(40.0, "1 failed")
    assert systemd.heard() == ["STATUS=1 failed\nWATCHDOG=1"]


def test_a_beat_that_was_held_up_itself_blames_nobody(systemd: Systemd, notifier: Notifier) -> None:
    count = iter(range(100))
    notifier.watch("event loop", lambda: next(count) // 3)
    for now in (0.0, 1.0, 61.0, 62.0, 63.0):
        notifier.beat(now, "RUN")
    assert sum("WATCHDOG=1" in datagram for datagram in systemd.heard()) == 5


def test_turns_ask_once_and_count_what_was_answered() -> None:
    queue: list[object] = []
    turns = Turns(queue.append)
    assert [turns(), turns(), turns()] == [0, 0, 0]
    assert len(queue) == 1
    queue.pop()()  # type: ignore[operator]
    assert [turns(), turns()] == [1, 1]
    assert len(queue) == 1


@pytest.mark.parametrize(
    ("environ", "watchdog"),
    [
        ({}, False),
        ({"WATCHDOG_USEC": "30000000"}, True),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, True),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, False),
    ],
)
def test_the_environment_says_who_listens(
    systemd: Systemd, tmp_path: Path, environ: dict[str, str], watchdog: bool
) -> None:
    notifier = Notifier.of({"NOTIFY_SOCKET": str(tmp_path / "notify"), **environ})
    notifier.beat(1.0, "")
    assert systemd.heard() == (["WATCHDOG=1"] if watchdog else [])


def test_an_abstract_socket() -> None:
    name = f"iocmng-test-{os.getpid()}"
    end = Systemd(f"\0{name}")
    try:
        Notifier(f"@{name}").ready("up")
        assert end.heard() == ["READY=1\nSTATUS=up"]
    finally:
        end.socket.close()


def test_without_systemd_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.of({"WATCHDOG_USEC": "1"})
    notifier.watch("event loop", lambda: 0)
    notifier.ready("up")
    for now in range(20):
        notifier.beat(float(now), "up")
    notifier.stopping("down")
    assert caplog.text == ""


def test_a_socket_that_is_gone_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(str(tmp_path / "gone"), watchdog=True)
    for now in range(5):
        notifier.beat(float(now), "up")
    assert caplog.text.count("systemd cannot be told") == 1
