"""Kills a host while it installs: the next one knows what is in force, and everything runs that ran before."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from churn.world import guest
from hosts import own_world
from support.installing import based, indexed, installing_host
from support.started import Started, until
from support.wheels import wheel

from iocmng.wire import OperationState, OperationView, Step

PREFIX = "KILLS"
NAME = "guest"
LONGEST = 0.4
"""Seconds that a step goes on, at most, before the host is killed."""


TRIES = 5
"""Operations in which a child is looked for: it may be quicker than who looks."""


class World:
    """One state directory over the lives of several hosts, with a task of the base and a plugin that stays.

    Args:
        home: An empty folder.
        seed: Of chance.
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.chance = random.Random(seed)
        self.index, site = indexed(home, {}, confirm_for=0.5)
        base = based(home, wheel(home / "wheels", "witness", plugin="witness"))
        self.env = {**own_world(home), **site, **base}
        self.version = 0
        self.family: list[psutil.Process] = []
        self.lives = 0

    def live(self, act: Callable[[Started], None]) -> None:
        """Start a host, see that it is sound, and do something to it; it may be dead afterwards."""
        with installing_host(self.home, PREFIX, self.env) as host:
            if not self.lives:
                asked = guest(self.index, "resident", 1)
                assert host.client.install(asked, wait=60.0).state is OperationState.DONE
            self.lives += 1
            self.check(host)
            act(host)
            if host.host.process.poll() is None:
                assert host.host.stop() == 0

    def begin(self, host: Started) -> OperationView:
        """Begin any operation on the guest that can be."""
        there = NAME in {view.name for view in host.client.list()}
        if there and self.chance.random() < 0.4:
            return host.client.uninstall(NAME, wait=0.0)
        self.version += 1
        asked = guest(self.index, NAME, self.version)
        return host.client.upgrade(asked, wait=0.0) if there else host.client.install(asked, wait=0.0)

    def kill(self, host: Started, step: Step) -> None:
        """Kill the host somewhere in a step of an operation, or after its end when that was sooner."""
        begun = self.begin(host)
        until(lambda: reached(host, begun.id, step), f"{step} begins")
        time.sleep(self.chance.random() * LONGEST)
        self.family = psutil.Process(host.host.process.pid).children(recursive=True)
        host.host.process.kill()
        host.host.process.wait(20.0)

    def kill_child(self, host: Started, word: str) -> OperationView:
        """Kill the first child whose command line has this word while something is installed."""
        for _ in range(TRIES):
            begun = self.begin(host)
            while not (over := host.client.operation(begun.id, wait=0.0)).over:
                if killed(host.host.process.pid, word):
                    return host.client.operation(begun.id, wait=60.0)
                time.sleep(0.002)
            assert over.state is OperationState.DONE, over
        raise AssertionError(f"no child with {word!r} was seen")

    def check(self, host: Started) -> None:
        """All of the last life has ended, and what is in force is whole, recorded, and runs."""
        until(lambda: not any(one.is_running() for one in self.family), f"{self.family} have ended")
        folder = host.state_dir / "generations"
        until(lambda: pointer(folder)["pending"] is None, "what was pending is confirmed or left")
        now = pointer(folder)["current"]
        until(lambda: not half_made(folder), f"what is half made is gone: {half_made(folder)}")
        assert not any((host.state_dir / "scratch").glob("*")), "nothing of a dead installer is left"
        staged = names_of(json.loads((folder / str(now) / "generation.json").read_text())["lock"])
        lock = host.state_dir / "plugins.lock"
        until(lambda: names_of(json.loads(lock.read_text())) == staged, f"{lock.read_text()} says {staged}")
        views = {view.number: view for view in host.client.generations()}
        assert (views[now].current, views[now].problem) == (True, "")
        shown = {view.name: view for view in host.client.list()}
        assert shown.keys() == {"witness", *views[now].distributions}, host.host.output
        for name, version in views[now].distributions.items():
            host.reaches(name, "RUN")
            assert shown[name].version == version
            assert (shown[name].generation or now + 1) <= now, shown[name]
        for name in shown:
            cycles = host.view(name).cycles
            until(lambda name=name, cycles=cycles: host.view(name).cycles > cycles, f"{name} cycles")


def reached(host: Started, operation: str, step: Step) -> bool:
    """Whether an operation has come to a step, or is over."""
    view = host.client.operation(operation, wait=0.0)
    return view.over or any(one.step is step and one.state != "waiting" for one in view.steps)


def killed(pid: int, word: str) -> bool:
    """Kill the first such child of a process."""
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if any(word in part for part in child.cmdline()):
                child.kill()
                return True
        except psutil.NoSuchProcess:
            continue
    return False


def pointer(folder: Path) -> dict[str, object]:
    """What is in force."""
    found: dict[str, object] = json.loads((folder / "current.json").read_text())
    return found


def half_made(folder: Path) -> list[str]:
    """Generations without a marker."""
    return [one.name for one in folder.iterdir() if one.is_dir() and not (one / "generation.json").exists()]


def names_of(lock: dict[str, list[dict[str, str]]]) -> set[tuple[str, str]]:
    """Name and version of each distribution."""
    return {(one["name"], one["version"]) for one in lock["distributions"]}


def kills(home: Path, seed: int, steps: Sequence[Step]) -> Counter[str]:
    """Kill a host in each of these steps in turn; returns how often which version was in force afterwards.

    Raises:
        AssertionError: A host was not sound after one of them.
    """
    world = World(home, seed)
    found: Counter[str] = Counter()

    def look(host: Started) -> None:
        found[next((view.version for view in host.client.list() if view.name == NAME), "none")] += 1

    for step in steps:
        world.live(lambda host, step=step: world.kill(host, step))
        # Three that die young in a row would be one safe mode.
        world.live(look)
    return found
