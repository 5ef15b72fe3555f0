"""What becomes of a generation that came with a start of the host."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.staged import staged
from support.wheels import wheel

from iocmng.host import confirming as confirming_module
from iocmng.host.confirming import Confirming
from iocmng.host.generations import boot_generation
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.lock import read_lock, write_lock
from iocmng.plugins.installing.model import NOTHING, Pointer
from iocmng.runtime.clock import RealClock

DEADLINE = 20.0


class Host:
    """Two generations, of which the second waits, and what a host hears of it."""

    def __init__(self, state_dir: Path, pending: int = 2) -> None:
        self.state_dir = state_dir
        self.store = Generations(state_dir)
        for number in (1, 2):
            staged(state_dir, number, wheel(state_dir / "made", "acme-beam", f"{number}.0", plugin="beam"))
        self.store.point(Pointer(current=1, pending=pending))
        write_lock(state_dir, self.store.get(1).lock)
        self.heard: list[tuple[str, bool]] = []
        self.restarts = 0
        self.confirming = Confirming(state_dir, boot_generation(state_dir), self._told)

    def _told(self, text: str, good: bool) -> None:
        self.heard.append((text, good))

    def restart(self) -> None:
        self.restarts += 1

    async def confirm(self, seconds: float = 0.0) -> None:
        self.confirming.begin([], seconds, RealClock(), self.restart)
        async with asyncio.timeout(DEADLINE):
            while not self.heard:
                await asyncio.sleep(0.001)

    @property
    def locked(self) -> str:
        lock = read_lock(self.state_dir).value
        assert lock is not None
        return ", ".join(one.version for one in lock.distributions)


def test_one_whose_instances_stay_is_confirmed_and_locked(tmp_path: Path) -> None:
    host = Host(tmp_path)
    asyncio.run(host.confirm())
    assert host.store.pointer() == Pointer(current=2, previous=1)
    assert host.locked == "2.0"
    assert host.heard == [("generation 2 is confirmed", True)]
    assert host.restarts == 0


def test_the_empty_one_can_be_confirmed_too(tmp_path: Path) -> None:
    host = Host(tmp_path, pending=NOTHING)
    asyncio.run(host.confirm())
    assert host.store.pointer() == Pointer(current=NOTHING, previous=1)
    assert host.locked == ""


def test_one_that_does_not_run_well_is_left_and_the_host_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> str:
        return "beam is in ERROR: no gas"

    monkeypatch.setattr(confirming_module, "confirm", fails)
    host = Host(tmp_path)
    asyncio.run(host.confirm())
    assert host.store.pointer() == Pointer(current=1, rejected={2: "beam is in ERROR: no gas"})
    assert host.locked == "1.0"
    assert host.heard == [
        ("generation 2 is not kept, the host restarts with 1: beam is in ERROR: no gas", False)
    ]
    assert host.restarts == 1


@pytest.mark.parametrize("counted", [False, True])
def test_only_a_host_that_is_stopped_before_leaves_the_start_uncounted(tmp_path: Path, counted: bool) -> None:
    host = Host(tmp_path)

    async def main() -> None:
        host.confirming.begin([], DEADLINE, RealClock(), host.restart)
        await host.confirming.over(counted=counted)

    assert host.store.pointer().attempts == 1
    asyncio.run(main())
    assert host.store.pointer() == Pointer(current=1, pending=2, attempts=int(counted))
    assert (host.heard, host.restarts) == ([], 0)


def test_one_that_was_dropped_meanwhile_is_not_confirmed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.store.point(Pointer(current=1))
    asyncio.run(host.confirm())
    ((text, good),) = host.heard
    assert "generation 2: it was dropped meanwhile" in text
    assert (good, host.restarts, host.store.pointer()) == (False, 0, Pointer(current=1))


def test_without_one_that_waits_there_is_nothing_to_do(tmp_path: Path) -> None:
    idle = Confirming(tmp_path, boot_generation(tmp_path))

    async def main() -> None:
        idle.begin([], 0.0, RealClock(), lambda: None)
        await idle.over()

    asyncio.run(main())
    assert not list(tmp_path.iterdir())
