"""From a request to a lock: sources built, the resolver asked, files fetched, what nothing needs left out."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from iocmng.errors import InstallRefused, NotFound
from iocmng.plugins.installing import sources
from iocmng.plugins.installing.backend import resolver_of
from iocmng.plugins.installing.base import Base, write_stand_in
from iocmng.plugins.installing.bundle import is_bundle, unpack_bundle
from iocmng.plugins.installing.closure import needed_by, refuse_addresses, refuse_other_versions
from iocmng.plugins.installing.draft import Draft, distribution_of, met_by_base, refuse_base
from iocmng.plugins.installing.generations import python_version
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.layout import site_of
from iocmng.plugins.installing.lock import read_lock
from iocmng.plugins.installing.model import Lock, Locked, Origin, OriginKind, Root, Tell
from iocmng.plugins.installing.resolved import Resolved
from iocmng.plugins.installing.resolving import Question, Resolver
from iocmng.plugins.installing.sources_index import build_environ
from iocmng.plugins.installing.sources_wheel import entry_point_names
from iocmng.plugins.installing.stage import make_environment
from iocmng.plugins.installing.store import WheelStore, sha256_of
from iocmng.settings.site import InstallSettings
from iocmng.wire import InstallRequest, InstallVerb


@dataclass(slots=True, kw_only=True)
class Working:
    """One run of the first step, inside of a scratch folder."""

    state_dir: Path
    settings: InstallSettings
    environ: Mapping[str, str]
    base: Base
    scratch: Path
    tell: Tell
    store: WheelStore
    index: Index = field(init=False)
    bundled: dict[str, Locked] = field(default_factory=dict)
    resolver: Resolver | None = None
    question: Question | None = None

    def __post_init__(self) -> None:
        self.index = Index.of(self.settings.index, self.environ)

    def resolved(self, request: InstallRequest, present: Lock | None) -> Resolved:
        """What a request comes to, as if nothing changed by it; `present` is the lock of the generation in force.

        Raises:
            BadInput, NotFound, InstallRefused, InstallFailed, Aborted: As `Installer.resolve`.
        """
        if request.verb is InstallVerb.FROM_LOCK:
            present = self._recorded()
        draft = self._draft(present)
        match request.verb:
            case InstallVerb.INSTALL:
                self._install(draft, request)
            case InstallVerb.UPGRADE:
                self._upgrade(draft, request)
            case InstallVerb.UNINSTALL:
                self._uninstall(draft, request)
            case InstallVerb.FETCH:
                self._fetch(draft, request)
            case InstallVerb.ROLLBACK:
                raise ValueError("a rollback resolves nothing: see resolution_of")
        lock = self._best_locked(draft, request.verb)
        return Resolved(
            verb=request.verb,
            draft=draft,
            lock=lock,
            base=self.base.versions,
            resolver=self.resolver,
            question=self.question,
        )

    def _best_locked(self, draft: Draft, verb: InstallVerb) -> Lock:
        try:
            return self._locked(draft, ask=verb is not InstallVerb.UNINSTALL)
        except InstallRefused as problem:
            if verb is not InstallVerb.FROM_LOCK or problem.error_code != "conflict":
                raise
        self.tell("the locked versions do not go with this base, looking for others")
        draft.free |= draft.keep.keys()
        return self._locked(draft)

    def _recorded(self) -> Lock:
        found = read_lock(self.state_dir)
        if found.problem:
            self.tell(found.problem)
        if found.value is None:
            raise NotFound(
                f"there is no {self.state_dir / 'plugins.lock'}: nothing was installed through this host",
                hint="iocmng install REQUIREMENT",
            )
        return found.value

    def _draft(self, present: Lock | None) -> Draft:
        roots = {root.name: root for root in present.roots} if present else {}
        keep = {one.name: one for one in present.distributions} if present else {}
        for name in [name for name in keep if name in self.base.versions]:
            self.tell(f"{name} is left to the base now: pip installed {self.base.versions[name]} there")
            keep.pop(name)
            roots.pop(name, None)
        return Draft(roots=roots, keep=keep)

    def _install(self, draft: Draft, request: InstallRequest) -> None:
        bundles = tuple(text for text in request.requirements if is_bundle(text))
        others = tuple(text for text in request.requirements if not is_bundle(text))
        if bundles:
            self._unbundle(draft, bundles)
        for wanted in sources.wanted_of(replace(request, requirements=others)):
            if not wanted.from_index:
                self._build(draft, wanted)
            elif met_by_base(wanted.name, wanted.requirement, self.base.versions):
                self.tell(f"{wanted.name} {self.base.versions[wanted.name]} is in the base already")
                draft.in_base.append(wanted.name)
            else:
                root = Root(name=wanted.name, requirement=wanted.requirement, instance=wanted.instance)
                draft.add(wanted.name, wanted.requirement, root)

    def _unbundle(self, draft: Draft, files: tuple[str, ...]) -> None:
        """Ask for what bundles hold, and look for wheels in them only."""
        folder = self._new_folder("bundled")
        for file in files:
            lock = unpack_bundle(Path(file), folder)
            self.tell(f"{Path(file).name} holds {len(lock.distributions)} wheels for Python {lock.python}")
            for root in lock.roots:
                if not met_by_base(root.name, root.requirement, self.base.versions):
                    draft.add(root.name, root.requirement, root)
            for one in lock.distributions:
                if one.name not in self.base.versions:
                    self.bundled[one.sha256] = one
                    draft.further.append(f"{one.name}=={one.version}")
                    draft.free.add(one.name)
        self.index = self.index.with_only(folder)

    def _upgrade(self, draft: Draft, request: InstallRequest) -> None:
        plugins = self._plugins(draft)
        for wanted in sources.wanted_of(request):
            if not wanted.from_index:
                self._build(draft, wanted)
                continue
            asked = Requirement(wanted.requirement)
            # A plugin is called as it is written, a distribution in any spelling.
            name = distribution_of(asked.name, plugins) or wanted.name
            if name not in draft.keep:
                refuse_base(self._in_base(asked.name), self.base.versions)
            requirement = wanted.requirement
            if name != wanted.name:
                asked.name = name
                requirement = str(asked)
            root = draft.roots.get(name)
            if root and root.origin.fetched and requirement == name:
                self._build(draft, sources.of_root(root))
            else:
                draft.upgrade_one(name, requirement)

    def _uninstall(self, draft: Draft, request: InstallRequest) -> None:
        plugins = self._plugins(draft)
        leaving: set[str] = set()
        for text in request.requirements:
            name = distribution_of(text, plugins)
            if name is None:
                refuse_base(self._in_base(text), self.base.versions)
                raise NotFound(
                    f"{text} is neither an installed plugin nor a distribution of one",
                    hint="iocmng generations lists what is installed",
                )
            leaving.add(name)
            draft.roots.pop(name, None)
        needed = needed_by(draft.roots.values(), self._requires(draft.keep.values()))
        for name in sorted(leaving & needed.keys()):
            raise InstallRefused(
                f"{name} is needed by {needed[name]}", hint=f"uninstall {needed[name]} too", code="needed"
            )
        for name in sorted(draft.keep.keys() - needed.keys()):
            names = plugins.get(name, ())
            others = [one for one in names if one != name]
            self.tell(f"{name} goes" + (f", and with it {', '.join(others)}" if others else ""))

    def _fetch(self, draft: Draft, request: InstallRequest) -> None:
        for wanted in map(sources.of_source, filter(None, (request.source, *request.sources))):
            self._build(draft, wanted)
        plugins = self._plugins(draft)
        names = request.requirements
        if not names and not draft.given:
            names = tuple(root.name for root in draft.roots.values() if root.origin.fetched)
        for text in names:
            name = distribution_of(text, plugins)
            if name is None:
                refuse_base(self._in_base(text), self.base.versions)
                raise NotFound(f"{text} is neither an installed plugin nor a distribution of one")
            root = draft.roots.get(name)
            if root is None or not root.origin.fetched:
                raise InstallRefused(
                    f"{name} has no source to look at again: it comes from {draft.keep[name].origin}",
                    hint=f"iocmng upgrade {name}",
                )
            self._build(draft, sources.of_root(root))

    def _in_base(self, text: str) -> str:
        """The distribution of the base that has a plugin of that name, else the name itself."""
        for name, one in self.base.environment.installed.items():
            if any(point == text for point, _ in one.points("iocmng.plugins")):
                return name
        return sources.parse(text).name

    def _build(self, draft: Draft, wanted: sources.Wanted) -> None:
        if wanted.name:
            refuse_base(wanted.name, self.base.versions)
        self.tell(f"building {wanted.text}" if wanted.origin.fetched else f"taking {wanted.text}")
        environ = build_environ(self.index)
        built = sources.build(wanted, self._new_folder("built"), self.tell, environ=environ)
        refuse_base(built.name, self.base.versions)
        old = draft.keep.get(built.name)
        requirement = f"{built.name}=={built.version}"
        root = Root(
            name=built.name,
            requirement=requirement,
            origin=built.origin,
            plugin=built.plugin,
            instance=wanted.instance,
        )
        draft.add(built.name, requirement, root)
        same = old is not None and old.version == built.version and old.origin == built.origin
        if old is not None and same and self.store.holds(old):
            return
        wheel = self.store.put(built.wheel, built.sha256)
        locked = Locked(
            name=built.name, version=built.version, wheel=wheel, sha256=built.sha256, origin=built.origin
        )
        layout = self.store.layout(locked)
        refuse_addresses(layout.title, layout.requires)
        # uv says of one that it cannot use for this that it is on no index.
        refuse_other_versions(requirement, layout, self.base.versions)
        draft.keep[built.name] = locked

    def _locked(self, draft: Draft, *, ask: bool = True) -> Lock:
        """Ask the resolver what is lacking, fetch it, and leave out what nothing needs."""
        held, lost = self._held(draft)
        if ask or lost:
            held |= self._asked(draft, held, lost)
        needed = needed_by(draft.roots.values(), self._requires(held.values()))
        chosen = tuple(held[name] for name in sorted(needed.keys() & held.keys()))
        names = {one.name for one in chosen}
        if without := [root.requirement for root in draft.roots.values() if root.name not in names]:
            raise InstallRefused(
                f"{', '.join(without)}: nothing to install for this Python and machine",
                hint="look at the conditions after the semicolon",
            )
        return Lock(
            python=python_version(),
            base=dict(sorted(self.base.versions.items())),
            roots=tuple(draft.roots[name] for name in sorted(draft.roots)),
            distributions=chosen,
        )

    def _asked(
        self, draft: Draft, held: Mapping[str, Locked], lost: Mapping[str, Locked]
    ) -> dict[str, Locked]:
        resolver = resolver_of(self.settings.backend, self.index, self.tell)
        question = Question(
            requirements=draft.requirements,
            constraints={**draft.pins, **self.base.versions},
            upgrade=frozenset(draft.upgrade),
            python=self._stand_in(held.values()),
            scratch=self.scratch,
            index=self.index,
            wheels_only=self.settings.wheels_only,
        )
        if not question.requirements:
            return {}
        self.resolver, self.question = resolver, question
        self.tell(f"{resolver.name} looks for versions that go together")
        return self._added(resolver, question, lost)

    def _held(self, draft: Draft) -> tuple[dict[str, Locked], dict[str, Locked]]:
        """What is there in files that this Python can use, and what has to be had again."""
        held: dict[str, Locked] = {}
        lost: dict[str, Locked] = {}
        tags = frozenset(sys_tags())
        for name, one in list(draft.keep.items()):
            usable = parse_wheel_filename(Path(one.wheel).name)[3] & tags and self.store.holds(one)
            root = draft.roots.get(name)
            if usable:
                held[name] = one
            elif root and root.origin.fetched:
                self.tell(f"{name} is built again")
                again = replace(draft, given={})
                self._build(again, sources.of_root(root))
                draft.roots[name], held[name] = again.roots[name], again.keep[name]
                draft.keep[name] = held[name]
            else:
                self.tell(f"{name} {one.version} is fetched again: its wheel is gone or for another Python")
                lost[name] = one
        return held, lost

    def _added(self, resolver: Resolver, question: Question, lost: Mapping[str, Locked]) -> dict[str, Locked]:
        added: dict[str, Locked] = {}
        for pick in resolver.resolve(question, self.tell):
            refuse_base(pick.name, self.base.versions)
            file = resolver.fetch(pick, question, self._new_folder("fetched"), self.tell)
            sha256 = sha256_of(file)
            before = lost.get(pick.name)
            if before and before.version == pick.version and Path(before.wheel).name == file.name:
                _refuse_other(before, sha256)
            bundled = self.bundled.get(sha256)
            added[pick.name] = Locked(
                name=pick.name,
                version=pick.version,
                wheel=self.store.put(file, sha256),
                sha256=sha256,
                origin=bundled.origin if bundled else Origin(kind=OriginKind.INDEX),
            )
            layout = self.store.layout(added[pick.name])
            refuse_addresses(layout.title, layout.requires)
        return added

    def _stand_in(self, held: Iterable[Locked]) -> Path:
        """An environment that holds the metadata of base and generation, and nothing else of them."""
        folder = self._new_folder("standing-in")
        make_environment(folder, Base((), self.base.environment))
        site = site_of(folder)
        self.base.stand_in(site)
        for one in held:
            write_stand_in(site, one.name, one.version, self.store.layout(one).head)
        return folder / "bin" / "python"

    def _requires(self, held: Iterable[Locked]) -> dict[str, tuple[str, ...]]:
        return {**self.base.requires, **{one.name: self.store.layout(one).requires for one in held}}

    def _plugins(self, draft: Draft) -> dict[str, tuple[str, ...]]:
        return {one.name: _plugins_in(self.store, one) for one in draft.keep.values()}

    def _new_folder(self, what: str) -> Path:
        number = sum(1 for _ in self.scratch.iterdir())
        folder = self.scratch / f"{what}-{number}"
        folder.mkdir()
        return folder


def plugins_of(store: WheelStore, lock: Lock) -> dict[str, tuple[str, ...]]:
    """Names of the plugins of each locked distribution, () for one whose wheel cannot be read."""
    return {one.name: _plugins_in(store, one) for one in lock.distributions}


def _plugins_in(store: WheelStore, one: Locked) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(store.path(one)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
            return entry_point_names(archive.read(names[0]).decode("utf-8", "replace")) if names else ()
    except (OSError, zipfile.BadZipFile):
        return ()


def _refuse_other(before: Locked, sha256: str) -> None:
    if sha256 != before.sha256:
        raise InstallRefused(
            f"{Path(before.wheel).name} of the index is not what was locked: its sha256 is {sha256},"
            f" locked is {before.sha256}",
            hint=f"ask who runs the index; iocmng upgrade {before.name} takes it as it is now",
            code="wheel-hash",
        )
