"""The watchdog's part of heartbeat_link: nothing without a link, never a wait, one word on what is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from iocmng.host.heartbeats import PATIENCE, Heartbeats
from iocmng.links import Links, Provider, PvClient
from iocmng.testing import run_task
from iocmng.testing.kit import TaskUnderTest
from iocmng.testing.links import FakeLinks

THREAD = "iocmng-heartbeats"


def until(seen: Callable[[], Any], deadline: float = 20.0) -> None:
    end = time.monotonic() + deadline
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.005)


def threads() -> int:
    return sum(thread.name == THREAD for thread in threading.enumerate())


class Driven:
    """Heartbeats of one task, driven beat by beat."""

    def __init__(self, client: PvClient, task: TaskUnderTest, default: Provider = Provider.PVA) -> None:
        self.task = task.task
        self.rounds = 0
        self.told: list[Callable[[], None]] = []
        self.heartbeats = Heartbeats(client, default, self.told.append)
        self._round = self.heartbeats._round
        self.heartbeats._round = self._counted  # type: ignore[method-assign]

    def _counted(self, due: Any) -> None:
        self._round(due)
        self.rounds += 1

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            before = self.rounds
            self.heartbeats.tick([self.task], self.task.env.clock.monotonic())
            until(lambda before=before: self.rounds > before)  # type: ignore[misc]
        while self.told:
            self.told.pop(0)()


@contextmanager
def driven(
    client: PvClient, link: str, default: Provider = Provider.PVA, **parameters: Any
) -> Iterator[Driven]:
    config = {"supervision": {"heartbeat_link": link}, "parameters": parameters}
    with run_task(None, config) as task:
        made = Driven(client, task, default)
        try:
            yield made
        finally:
            made.heartbeats.close()
            until(lambda: not threads())


@pytest.fixture
def links() -> FakeLinks:
    fake = FakeLinks()
    fake.serve("pva://OTHER:BEAT", 0)
    return fake


def test_without_a_link_there_is_neither_thread_nor_client() -> None:
    def never(provider: Provider) -> PvClient:
        raise AssertionError(f"a client of {provider} was made")

    with run_task(None, {}) as task:
        heartbeats = Heartbeats(Links(make=never), Provider.PVA, lambda call: None)
        for _ in range(3):
            heartbeats.tick([task.task], 0.0)
        assert threads() == 0
        heartbeats.close()


def test_it_toggles_once_a_tick_while_the_task_runs(links: FakeLinks) -> None:
    with driven(links, "OTHER:BEAT") as beats:
        beats.tick(4)
        assert links.puts == [("pva://OTHER:BEAT", value) for value in (1, 0, 1, 0)]
        assert beats.task.degraded == ""


@pytest.mark.parametrize(
    ("default", "parameters", "pv"),
    [
        (Provider.PVA, {}, "pva://OTHER:BEAT"),
        (Provider.CA, {}, "ca://OTHER:BEAT"),
        (Provider.CA, {"pva": True}, "pva://OTHER:BEAT"),
        (Provider.PVA, {"pva": False}, "ca://OTHER:BEAT"),
    ],
)
def test_the_provider_is_the_tasks_else_the_hosts(
    links: FakeLinks, default: Provider, parameters: dict[str, Any], pv: str
) -> None:
    links.serve("ca://OTHER:BEAT", 0)
    with driven(links, "OTHER:BEAT", default, **parameters) as beats:
        beats.tick()
        assert [name for name, _ in links.puts] == [pv]


def test_a_target_that_does_not_answer_is_not_written_and_told_after_some_beats(links: FakeLinks) -> None:
    links.disconnect("pva://OTHER:BEAT")
    with driven(links, "OTHER:BEAT") as beats:
        beats.tick(PATIENCE - 1)
        assert beats.task.degraded == ""
        beats.tick()
        assert beats.task.degraded == "pva://OTHER:BEAT does not answer (heartbeat_link)"
        assert links.puts == []
        links.reconnect("pva://OTHER:BEAT")
        beats.tick()
        assert beats.task.degraded == ""
        assert len(links.puts) == 1


def test_a_target_that_keeps_its_value_is_told(links: FakeLinks) -> None:
    links.refuse("pva://OTHER:BEAT")
    with driven(links, "OTHER:BEAT") as beats:
        beats.tick(PATIENCE + 1)
        assert beats.task.degraded.startswith("pva://OTHER:BEAT stays at 0 (heartbeat_link)")
        links.refuse("pva://OTHER:BEAT", False)
        beats.tick(2)
        assert beats.task.degraded == ""


def test_the_tasks_own_word_and_the_links_stand_side_by_side(links: FakeLinks) -> None:
    links.disconnect("pva://OTHER:BEAT")
    with driven(links, "OTHER:BEAT") as beats:
        beats.task.degrade("coolant is warm")
        beats.tick(PATIENCE)
        assert beats.task.degraded == "coolant is warm; pva://OTHER:BEAT does not answer (heartbeat_link)"
        beats.task.degrade("")
        assert beats.task.degraded == "pva://OTHER:BEAT does not answer (heartbeat_link)"


def test_a_client_that_hangs_holds_nobody_up(links: FakeLinks) -> None:
    release = threading.Event()

    class Hanging(FakeLinks):
        def monitor(self, pv: str, callback: Callable[..., None]) -> Callable[[], None]:
            release.wait(30)
            return super().monitor(pv, callback)

    with driven(Hanging(), "OTHER:BEAT") as beats:
        started = time.monotonic()
        for _ in range(100):
            beats.heartbeats.tick([beats.task], 0.0)
        assert time.monotonic() - started < 10
        assert beats.rounds == 0
        release.set()
        until(lambda: beats.rounds > 0)
