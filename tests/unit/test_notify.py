"""Datagrams to systemd, received by a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from iocmng.host.notify import Notifier, ToldToSystemd, Turns
from iocmng.lifecycle import HostState
from iocmng.runtime.clock import RealClock
from iocmng.spec.defaults import host_records
from iocmng.testing.records import FakeRecords


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


def test_a_host_that_is_replaced_asks_for_patience_and_gives_it_back(
    systemd: Systemd, tmp_path: Path
) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
    Notifier.of(environ).restarting("restarting")
    Notifier.of(environ).ready("RUN: 3 instances")
    asked, back = systemd.heard()
    first, second, third, last = asked.splitlines()
    assert (first, second, last) == ("RELOADING=1", "STATUS=restarting", "WATCHDOG_USEC=600000000")
    assert int(third.removeprefix("MONOTONIC_USEC=")) > 0
    assert back == "READY=1\nSTATUS=RUN: 3 instances\nWATCHDOG_USEC=30000000"


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


@pytest.fixture
def records() -> FakeRecords:
    made = FakeRecords(RealClock())
    made.load(host_records("LAB").values(), source="HOST")
    made.start()
    for name, value in (("STATE", int(HostState.RUN)), ("INSTANCES", 3), ("RUNNING", 2), ("FAILED", 1)):
        made.record(f"LAB:HOST:{name}").publish(value)
    return made


def test_a_host_is_followed_from_ready_to_stopping(
    systemd: Systemd, records: FakeRecords, tmp_path: Path
) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
    heard: list[str] = []

    async def until(text: str) -> None:
        async with asyncio.timeout(20):
            while not any(text in datagram for datagram in heard):
                await asyncio.sleep(0.005)
                heard.extend(systemd.heard())

    async def main() -> None:
        with ToldToSystemd(environ, records, "LAB", period=0.01) as telling:
            await until("WATCHDOG=1")
            records.record("LAB:HOST:FAILED").publish(0)
            await until("STATUS=RUN: 3 instances, 2 running\n")
            telling.reason = "pump hangs"
        heard.extend(systemd.heard())

    asyncio.run(main())
    assert heard[0] == "READY=1\nSTATUS=RUN: 3 instances, 2 running, 1 failed\nWATCHDOG_USEC=30000000"
    assert heard[-1] == "STOPPING=1\nSTATUS=pump hangs"
    assert not [thread for thread in threading.enumerate() if thread.name == "iocmng-systemd"]


def test_a_host_without_systemd_gets_no_thread(records: FakeRecords) -> None:
    async def main() -> list[str]:
        with ToldToSystemd({}, records, "LAB"):
            return [thread.name for thread in threading.enumerate()]

    assert "iocmng-systemd" not in asyncio.run(main())
