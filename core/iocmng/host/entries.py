"""plugins.yaml at the start: what stands there is installed once, and then started from its generation."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from iocmng.errors import BadInput, InstallFailed, IocmngError, NotFound
from iocmng.plugins.discovery import Discovered
from iocmng.plugins.installing.generations import Generations, usable
from iocmng.plugins.installing.lock import read_lock
from iocmng.plugins.installing.model import LISTED, Lock, Origin, Pointer, Root, Tell
from iocmng.plugins.isolation import distribution_name
from iocmng.settings.directories import PluginDirectory, read_plugins_file
from iocmng.settings.settings import Settings
from iocmng.spec import PluginRef
from iocmng.statefiles import parse_object, read_state, write_atomic
from iocmng.wire import Finding, InstallRequest, Level, SourceRequest, Where

if TYPE_CHECKING:
    from iocmng.plugins.installing.installer import Installer
    from iocmng.plugins.installing.sources import Wanted

PATIENCE = 300.0
"""Seconds that all entries together may hold up a start."""
TAKEN_OVER = "autostart-taken-over.json"
INVALID = "invalid-directories.json"
_log = logging.getLogger("iocmng.install")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesOutcome:
    """What became of the entries.

    Attributes:
        problems: What is worth knowing, a line each.
        broken: Entries that cannot be used or could not be installed, with findings that name their place.
    """

    problems: tuple[str, ...] = ()
    broken: tuple[Discovered, ...] = ()


def install_entries(
    settings: Settings, generations: Generations, installer: Callable[[Settings], Installer]
) -> EntriesOutcome:
    """Install what plugins.yaml (and, once, the list of iocmng 2) names and no generation has. Never raises.

    Nothing is fetched, built or looked at for an entry that is there: a start needs no network and costs nothing.
    All go in as one operation; when that fails each is tried alone, so that a bad one costs the others nothing.

    Args:
        settings: The settings in force.
        generations: Of the state directory, which is locked; the pointer is moved to what is installed.
        installer: Makes what resolves and stages, when there is something to install.
    """
    work = _Work(settings, generations, installer)
    listed = [entry for entry in settings.plugins if work.usable(entry)]
    taken = [entry for entry in work.takeover() if work.usable(entry)]
    if listed or taken:
        work.install([*listed, *taken])
    work.look_for_left()
    work.remember(taken)
    return EntriesOutcome(problems=tuple(work.problems), broken=tuple(work.broken))


def remember_invalid(state_dir: Path, names: Iterable[str]) -> None:
    """Note plugin directories that validation refuses: the next start looks at them again."""
    file, found = state_dir / INVALID, sorted(names)
    if not found and not file.exists():
        return
    try:
        write_atomic(file, json.dumps({"names": found}).encode(), keep=0)
    except OSError as error:
        _log.error("%s cannot be written: %s", file, error.strerror or error)


@dataclass(eq=False)
class _Work:
    settings: Settings
    generations: Generations
    make_installer: Callable[[Settings], Installer]
    problems: list[str] = field(default_factory=list)
    broken: list[Discovered] = field(default_factory=list)
    present: Lock | None = None
    _names: set[str] = field(default_factory=set)

    @cached_property
    def recorded(self) -> Lock | None:
        """What should be installed."""
        return read_lock(self.settings.state_dir).value

    @cached_property
    def installer(self) -> Installer:
        """Made when it is needed: most starts have nothing to install."""
        return self.make_installer(self.settings)

    def usable(self, entry: PluginDirectory) -> bool:
        """Whether it can be asked for; one that cannot is listed with its reason."""
        if entry.name and entry.name in self._names:
            self.problems.append(
                f"{entry.where}: {entry.name} stands twice in the list, the first one counts"
            )
            return False
        self._names.add(entry.name)
        if entry.broken:
            self._list(entry)
        return not entry.broken

    def _list(self, entry: PluginDirectory, *findings: Finding) -> None:
        plugin = PluginRef(name=entry.name or "(no name)", target="", origin="directory")
        everything = (*entry.findings, *findings)
        self.broken.append(Discovered(plugin=plugin, lenient=True, site=entry.settings, findings=everything))

    def install(self, entries: Sequence[PluginDirectory]) -> None:
        """Install those that are not there."""
        try:
            present = self.generations.in_force()
        except (NotFound, InstallFailed):
            # Whoever chooses the generation of this start says so, and how it is mended.
            return
        if present is not None and usable(present):
            return
        self.present = present.lock if present else None
        wanted = [(entry, one) for entry in entries if (one := self._wanted(entry)) is not None]
        roots = self.present.roots if self.present else ()
        missing = _lacking(wanted, roots)
        if missing and present is not None and self.recorded is not None:
            # What changed no distribution is recorded there alone.
            roots = (*roots, *self.recorded.roots)
            missing = _lacking(wanted, roots)
        missing += [entry for entry, _ in wanted if entry not in missing and self._was_invalid(entry)]
        if not missing:
            return
        pointer = self.generations.pointer()
        if pointer.pending is not None:
            names = ", ".join(entry.name for entry in missing)
            text = f"generation {pointer.pending} waits for its confirmation; {names} is installed at the next start"
            self.problems.append(text)
            return
        self._install(missing, roots)

    @cached_property
    def _invalid(self) -> frozenset[str]:
        found = read_state(self.settings.state_dir / INVALID, parse_object).value or {}
        return frozenset(map(str, found.get("names", ())))

    def _was_invalid(self, entry: PluginDirectory) -> bool:
        """Whether it is looked at again: its author may have mended it, and a folder needs no network."""
        return entry.source is not None and bool(entry.source.local_path) and entry.name in self._invalid

    def _wanted(self, entry: PluginDirectory) -> Wanted | None:
        # Not for starts without a list.
        from iocmng.plugins.installing.sources import of_source

        assert entry.source is not None
        try:
            return of_source(entry.source)
        except BadInput as error:
            self._list(entry, _finding(entry, error))
            return None

    def _install(self, missing: list[PluginDirectory], roots: Iterable[Root]) -> None:
        tell = _Telling(PATIENCE)
        try:
            self._stage(missing, tell)
            return
        except IocmngError as error:
            if len(missing) == 1:
                self._failed(missing[0], error, roots)
                return
        # Which of them is to blame: only those that go alone are tried together again.
        good = [entry for entry in missing if self._goes(entry, roots, tell)]
        if not good:
            return
        try:
            self._stage(good, tell)
        except IocmngError:
            for entry in good:
                try:
                    self._stage([entry], tell)
                except IocmngError as error:
                    self._failed(entry, error, roots)

    def _goes(self, entry: PluginDirectory, roots: Iterable[Root], tell: Tell) -> bool:
        try:
            self.installer.resolve(_request([entry]), tell)
        except IocmngError as error:
            self._failed(entry, error, roots)
            return False
        return True

    def _stage(self, entries: Sequence[PluginDirectory], tell: Tell) -> None:
        names = ", ".join(entry.name for entry in entries)
        _log.info("installing %s from the list of plugins", names)
        resolution = self.installer.resolve(_request(entries), tell)
        if resolution.before is not None and resolution.lock == resolution.before.lock:
            return
        generation = self.installer.stage(resolution, tell)
        pointer = self.generations.pointer()
        self.installer.write_lock(generation.lock)
        self.present = generation.lock
        self.generations.point(
            Pointer(current=generation.number, previous=pointer.current, rejected=pointer.rejected)
        )
        _log.info("generation %d holds %s", generation.number, names)

    def _failed(self, entry: PluginDirectory, error: IocmngError, roots: Iterable[Root]) -> None:
        if any(root.plugin == entry.name for root in roots):
            self.problems.append(f"{entry.where}: {entry.name} stays as it was installed: {error}")
        else:
            self._list(entry, _finding(entry, error))

    def look_for_left(self) -> None:
        """Say what is installed and stands in the list no more."""
        known = {
            *(one.name for one in self.settings.plugins),
            *(one.plugin for one in self.settings.instances),
        }
        lock = self.present or self.recorded
        for root in lock.roots if lock else ():
            if root.instance.get(LISTED) and root.plugin not in known:
                text = f"{root.plugin} left the list of plugins: it has no instance"
                self.problems.append(f"{text} (iocmng uninstall {root.plugin} removes it)")

    def takeover(self) -> Sequence[PluginDirectory]:
        """What the autostart list of iocmng 2 names and was not taken over yet."""
        file = self.settings.takeover
        if file is None:
            return ()
        done = self._taken()
        listed = {entry.name for entry in self.settings.plugins}
        try:
            entries = read_plugins_file(file, self.settings.environ)
        except BadInput as error:
            self.problems.append(f"{error} (it is taken over when it can be read)")
            return ()
        return [
            replace(entry, source=entry.source and replace(entry.source, listed=False))
            for entry in entries
            if entry.name not in done and entry.name not in listed
        ]

    def _taken(self) -> frozenset[str]:
        found = read_state(self.settings.state_dir / TAKEN_OVER, parse_object).value or {}
        names = found.get("names")
        return frozenset(map(str, names)) if isinstance(names, list) else frozenset()

    def remember(self, entries: Sequence[PluginDirectory]) -> None:
        """Never take an entry over again that came in: who uninstalls it means it."""
        if not entries:
            return
        lost = {one.plugin.name for one in self.broken}
        lock = self.present or self.recorded
        here = {root.plugin for root in lock.roots} if lock else set()
        new = {entry.name for entry in entries if entry.name in here} - lost
        if not new:
            return
        try:
            content = json.dumps({"names": sorted(new | self._taken())}).encode()
            write_atomic(self.settings.state_dir / TAKEN_OVER, content)
        except OSError as error:
            self.problems.append(f"{self.settings.takeover} is taken over again at the next start: {error}")
            return
        text = f"{self.settings.takeover}: {', '.join(sorted(new))} taken over; the file is needed no more"
        self.problems.append(f"{text}, and may hold tokens in clear text")


@dataclass(slots=True)
class _Telling:
    """Progress into the log; ends the work when the start has waited long enough."""

    patience: float
    _begun: float = field(default_factory=time.monotonic)

    def __call__(self, line: str) -> None:
        _log.info("%s", line)
        if time.monotonic() - self._begun > self.patience:
            raise InstallFailed(
                f"the entries together took more than {self.patience:.0f} s",
                hint="it is tried again at the next start",
            )


def site_installer(settings: Settings) -> Installer:
    """What installs entries of plugins.yaml: the site itself names them, whatever admins may install."""
    from iocmng.plugins.installing.installer import Installer

    names = [distribution_name(entry.name) for entry in settings.plugins if not entry.broken]
    allow = (*settings.install.allow, *names) if settings.install.allow else ()
    rules = settings.install.model_copy(update={"enabled": True, "allow": allow})
    return Installer(settings.state_dir, rules, environ=settings.environ)


def fetching_environ(settings: Settings) -> Mapping[str, str]:
    """The host's environment with the tokens of plugins.yaml, for entries that are fetched again."""
    sources = (entry.source for entry in settings.plugins if entry.source is not None)
    tokens = {source.git_url: source.token for source in sources if source.token}
    if not tokens:
        return settings.environ
    from iocmng.plugins.installing.git import with_tokens

    return with_tokens(settings.environ, tokens)


def _request(entries: Iterable[PluginDirectory]) -> InstallRequest:
    sources: tuple[SourceRequest, ...] = tuple(entry.source for entry in entries if entry.source is not None)
    return InstallRequest(sources=sources)


def _lacking(
    wanted: Iterable[tuple[PluginDirectory, Wanted]], roots: Iterable[Root]
) -> list[PluginDirectory]:
    """Entries that no root is; what a source holds by now is not looked at."""
    there = {(root.plugin, *_place(root.origin)) for root in roots}
    return [entry for entry, one in wanted if (one.plugin, *_place(one.origin)) not in there]


def _place(origin: Origin) -> tuple[str, str, str]:
    return origin.address, origin.path, origin.branch


def _finding(entry: PluginDirectory, error: IocmngError) -> Finding:
    where = entry.where if entry.where.file else Where(key=entry.name)
    return Finding(Level.ERROR, "not-installed", f"{entry.name}: {error.detail}", where, error.hint)
