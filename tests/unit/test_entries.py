"""plugins.yaml at the start: one operation, a bad entry alone, nothing at all where everything is there."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from iocmng.errors import InstallRefused
from iocmng.host.entries import (
    TAKEN_OVER,
    EntriesOutcome,
    fetching_environ,
    install_entries,
    remember_invalid,
    site_installer,
)
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.installer import Installer
from iocmng.plugins.installing.lock import read_lock, write_lock
from iocmng.plugins.installing.model import Generation, Lock, Pointer, Resolution, Root, Tell
from iocmng.plugins.installing.sources import of_source
from iocmng.settings import load_settings
from iocmng.settings.settings import Settings
from iocmng.version import VERSION
from iocmng.wire import InstallRequest


@dataclass
class Fake:
    """An installer that makes generations without wheels; `refuses` go in neither alone nor with others."""

    state: Path
    refuses: set[str] = field(default_factory=set)
    together: bool = True
    staged: list[list[str]] = field(default_factory=list)
    asked: int = 0

    def resolve(self, request: InstallRequest, tell: Tell) -> Resolution:
        self.asked += 1
        tell("resolving")
        names = [source.name for source in request.sources]
        if bad := self.refuses.intersection(names):
            raise InstallRefused(f"{', '.join(sorted(bad))} does not go", hint="mend it")
        if not self.together and len(names) > 1:
            raise InstallRefused("these do not go together")
        before = Generations(self.state).in_force()
        roots = {root.name: root for root in before.lock.roots} if before else {}
        for wanted in map(of_source, request.sources):
            name = f"iocmng-dir-{wanted.plugin}"
            roots[name] = Root(
                name=name,
                requirement=f"{name}==0",
                origin=wanted.origin,
                plugin=wanted.plugin,
                instance=wanted.instance,
            )
        lock = Lock(
            python=f"3.{sys.version_info.minor}", base={"iocmng": VERSION}, roots=tuple(roots.values())
        )
        return Resolution(request=request, lock=lock, changes=(), before=before)

    def stage(self, resolution: Resolution, tell: Tell) -> Generation:
        store = Generations(self.state)
        number = store.next_number()
        folder = store.folder / str(number)
        (folder / "site").mkdir(parents=True)
        generation = Generation(
            number=number, folder=folder, site=folder / "site", created=time.time(), lock=resolution.lock
        )
        store.write_marker(generation)
        self.staged.append([source.name for source in resolution.request.sources])
        return generation

    def write_lock(self, lock: Lock) -> None:
        write_lock(self.state, lock)


@dataclass
class World:
    """Lists of plugins, and what a start makes of them."""

    home: Path
    fake: Fake
    made: int = 0

    def settings(self, listed: str = "", autostart: str = "", **environ: str) -> Settings:
        (self.home / "plugins.yaml").write_text(f"plugins: [{listed}]\n")
        (self.home / "old").mkdir(exist_ok=True)
        (self.home / "old" / "autostart_plugins.yaml").write_text(f"plugins: [{autostart}]\n")
        environ = {
            "IOCMNG_PLUGINS_CONFIG": "plugins.yaml",
            "IOCMNG_PLUGINS_DIR": "old",
            "IOCMNG_STATE_DIR": "state",
            **environ,
        }
        return load_settings({"prefix": "T"}, environ, self.home)

    def start(self, listed: str = "", autostart: str = "", **environ: str) -> EntriesOutcome:
        def installer(settings: Settings) -> Installer:
            self.made += 1
            return cast(Installer, self.fake)

        settings = self.settings(listed, autostart, **environ)
        settings.state_dir.mkdir(exist_ok=True)
        return install_entries(settings, Generations(settings.state_dir), installer)

    @property
    def installed(self) -> list[str]:
        generation = Generations(self.fake.state).in_force()
        return [root.plugin for root in generation.lock.roots] if generation else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, Fake(tmp_path / "state"))


def local(*names: str) -> str:
    return ", ".join(f"{{name: {name}, local_path: /srv/{name}}}" for name in names)


def codes(outcome: EntriesOutcome) -> dict[str, list[str]]:
    return {one.plugin.name: [finding.code for finding in one.findings] for one in outcome.broken}


def test_all_go_in_as_one_and_never_again(world: World) -> None:
    assert world.start(local("a", "b", "c")) == EntriesOutcome()
    assert world.fake.staged == [["a", "b", "c"]]
    pointer = Generations(world.fake.state).pointer()
    assert (pointer.current, pointer.previous, pointer.pending) == (1, 0, None)
    assert {root.plugin for root in cast(Lock, read_lock(world.fake.state).value).roots} == {"a", "b", "c"}
    # Another order of starting and other parameters are no other plugin.
    again = local("a", "b", "c").replace("/srv/a", "/srv/a, autostart_order: 2, parameters: {x: 1}")
    assert world.start(again) == EntriesOutcome()
    assert (world.made, world.fake.asked) == (1, 1)


def test_a_folder_that_was_invalid_is_looked_at_again(world: World) -> None:
    world.start(local("a", "b"))
    remember_invalid(world.fake.state, ["b"])
    world.start(local("a", "b"))
    assert (world.fake.asked, world.fake.staged) == (2, [["a", "b"]])
    remember_invalid(world.fake.state, [])
    world.start(local("a", "b"))
    assert world.fake.asked == 2


def test_a_bad_one_costs_the_others_nothing(world: World) -> None:
    world.fake.refuses = {"b"}
    outcome = world.start(local("a", "b", "c"))
    assert codes(outcome) == {"b": ["not-installed"]}
    (finding,) = outcome.broken[0].findings
    assert str(finding.where) == f"{world.home / 'plugins.yaml'}:1:{20 + len(local('a'))}"
    assert (finding.message, finding.hint) == ("b: b does not go", "mend it")
    assert outcome.broken[0].site is not None
    assert (world.fake.staged, world.installed) == ([["a", "c"]], ["a", "c"])
    world.fake.refuses = set()
    assert world.start(local("a", "b", "c")) == EntriesOutcome()
    assert world.installed == ["a", "c", "b"]


def test_those_that_do_not_go_together_go_alone(world: World) -> None:
    world.fake.together = False
    assert world.start(local("a", "b")) == EntriesOutcome()
    assert world.fake.staged == [["a"], ["b"]]


def test_entries_with_errors_are_listed(world: World) -> None:
    listed = "{name: a b, local_path: x}, {name: c, git_url: 'https://me:s3cret@h/x'}, {name: d, local_path: /srv/d}"
    outcome = world.start(f"{listed}, {{name: d, local_path: /srv/e}}, just-text, {{name: f, brnch: x}}")
    assert codes(outcome)["a b"] == ["name"]
    assert codes(outcome)["c"] == ["not-installed"]
    assert "d" not in codes(outcome)
    assert "d stands twice" in outcome.problems[0]
    assert "s3cret" not in str(outcome)
    assert world.installed == ["d"]


def test_another_source_is_another_plugin(world: World) -> None:
    git = "{{name: a, git_url: 'https://h.org/x.git', path: p, branch: {}}}"
    world.start(git.format("v1"))
    world.start(git.format("v1"))
    assert len(world.fake.staged) == 1
    world.start(git.format("v2"))
    assert len(world.fake.staged) == 2
    world.fake.refuses = {"a"}
    outcome = world.start(git.format("v3"))
    assert outcome.broken == ()
    assert "stays as it was installed" in outcome.problems[0]


def test_one_that_left_the_list_is_told(world: World) -> None:
    world.start(local("a", "b"))
    outcome = world.start(local("b"))
    assert len(world.fake.staged) == 1
    assert outcome.problems == (
        "a left the list of plugins: it has no instance (iocmng uninstall a removes it)",
    )


def test_a_generation_that_waits_is_left_in_peace(world: World) -> None:
    world.start(local("a"))
    store = Generations(world.fake.state)
    store.point(replace(store.pointer(), pending=1, attempts=1))
    outcome = world.start(local("a", "b"))
    assert "waits for its confirmation; b" in outcome.problems[0]
    assert world.installed == ["a"]


def test_a_generation_that_cannot_be_used_is_left_to_others(world: World) -> None:
    world.start(local("a"))
    marker = Generations(world.fake.state).folder / "1" / "generation.json"
    marker.write_text(marker.read_text().replace('"python": "3.', '"python": "2.'))
    assert world.start(local("a", "b")) == EntriesOutcome()
    marker.write_text("{")
    assert world.start(local("a", "b")) == EntriesOutcome()
    assert len(world.fake.staged) == 1


def test_a_start_does_not_wait_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iocmng.host.entries.PATIENCE", -1.0)
    outcome = world.start(local("a", "b"))
    assert codes(outcome) == {"a": ["not-installed"], "b": ["not-installed"]}
    assert "took more than" in outcome.broken[0].findings[0].message


def test_the_list_of_the_previous_system_is_taken_over_once(world: World) -> None:
    old = (
        "{name: old, git_url: 'https://h.org/x.git', local_path: null, path: '', branch: main, pat: s3cret,"
        " auto_start: true, auto_start_on_boot: true, autostart_order: null, parameters: {n: 1}}"
    )
    outcome = world.start(local("a"), f"{old}, {local('a')}")
    assert world.fake.staged == [["a", "old"]]
    assert "old taken over" in outcome.problems[0]
    assert "s3cret" not in str(outcome)
    lock = cast(Lock, read_lock(world.fake.state).value)
    kept = {root.plugin: root for root in lock.roots}
    assert kept["old"].instance["parameters"] == {"n": 1}
    assert "listed" not in kept["old"].instance
    assert "s3cret" not in (world.fake.state / "plugins.lock").read_text()
    # Who uninstalls it means it.
    without = replace(lock, roots=(kept["a"],))
    store = Generations(world.fake.state)
    write_lock(world.fake.state, without)
    generation = world.fake.stage(
        Resolution(request=InstallRequest(), lock=without, changes=(), before=None), lambda line: None
    )
    store.point(Pointer(current=generation.number))
    assert world.start(local("a"), old) == EntriesOutcome()
    assert world.installed == ["a"]


def test_what_could_not_be_taken_over_is_tried_again(world: World) -> None:
    world.fake.refuses = {"old"}
    outcome = world.start("", local("old", "other"))
    assert codes(outcome) == {"old": ["not-installed"]}
    assert "old" not in (world.fake.state / TAKEN_OVER).read_text()
    world.fake.refuses = set()
    world.start("", local("old", "other"))
    assert world.installed == ["other", "old"]


def test_rules_of_the_site_do_not_forbid_its_own_list(world: World, tmp_path: Path) -> None:
    (tmp_path / "iocmng.yaml").write_text("install: {enabled: false, allow: ['acme-*']}\n")
    settings = world.settings(local("a"))
    installer: Any = site_installer(settings)
    assert installer._settings.enabled is True
    assert installer._settings.allow == ("acme-*", "iocmng-dir-a")


def test_tokens_of_the_list_are_found_again(world: World) -> None:
    settings = world.settings("{name: a, git_url: 'https://h.org/x.git', pat: '${PAT}'}", PAT="t0ken")
    environ = fetching_environ(settings)
    assert environ["IOCMNG_GIT_TOKEN_H_ORG_X"] == "t0ken"
    assert "t0ken" not in repr(settings)
