"""What of an installation is not as it should be: lock, generations, environment, wheels and base compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.installing.base import Base
from iocmng.plugins.installing.closure import needed_by
from iocmng.plugins.installing.drift_files import altered
from iocmng.plugins.installing.generations import WHEELS, Generations, usable
from iocmng.plugins.installing.layout import Layout
from iocmng.plugins.installing.lock import FILE, read_lock
from iocmng.plugins.installing.model import Generation, Lock, Pointer
from iocmng.plugins.installing.shadows import shadowed
from iocmng.plugins.installing.store import WheelStore
from iocmng.wire import Finding, Level, Where

FROM_LOCK = "iocmng install --from-lock"


def inspect(state_dir: Path, base: Base | None = None) -> tuple[Finding, ...]:
    """Look for drift in a state directory; never raises, changes nothing that is in force.

    Args:
        state_dir: The host's state directory.
        base: What the host stands on, None for this interpreter.
    """
    try:
        return tuple(_inspected(state_dir, base))
    except OSError as problem:
        text = f"{problem.filename or state_dir} cannot be read: {problem.strerror or problem}"
        return (_finding("install-broken", text, state_dir, level=Level.ERROR),)


def _inspected(state_dir: Path, base: Base | None) -> Iterator[Finding]:
    generations, store = Generations(state_dir), WheelStore(state_dir)
    pointed, recorded = generations.read_pointer(), read_lock(state_dir)
    for problem in filter(None, (pointed.problem, recorded.problem)):
        yield _finding("install-broken", problem, state_dir)
    pointer = pointed.value or Pointer()
    locks = [recorded.value] if recorded.value else []
    for view in generations.listed():
        try:
            locks.append(generations.get(view.number).lock)
        except (NotFound, InstallFailed) as problem:
            mine = view.current or view.pending
            yield _finding(
                "install-broken",
                problem.detail,
                generations.folder / str(view.number),
                FROM_LOCK if mine else "nothing: it goes at the next start of the host",
                Level.ERROR if mine else Level.NOTE,
            )
    number = pointer.current if pointer.pending is None else pointer.pending
    try:
        present = generations.get(number) if number else None
    except NotFound as problem:
        present = None
        yield _finding("install-broken", problem.detail, generations.folder, FROM_LOCK, Level.ERROR)
    except InstallFailed:
        present = None
    if present:
        yield from _of_generation(present, base or Base.read(state_dir), store)
    if recorded.value:
        yield from _of_lock(recorded.value, present, pointer, state_dir / FILE)
    yield from _of_wheels(locks, store, state_dir / WHEELS)


def _of_generation(generation: Generation, base: Base, store: WheelStore) -> Iterator[Finding]:
    lock = generation.lock
    if why := usable(generation):
        yield _finding(
            "install-stale",
            f"generation {generation.number}: {why}",
            generation.folder,
            FROM_LOCK,
            Level.ERROR,
        )
    for line in altered(generation.site, lock):
        text = f"generation {generation.number}: {line}"
        yield _finding("install-drift", text, generation.site, FROM_LOCK)
    for one in lock.distributions:
        if one.name in base.versions:
            text = f"{one.name} {one.version} was installed through the host, and {base.versions[one.name]} by pip"
            yield _finding(
                "install-twice",
                f"{text}; that of the base counts",
                generation.site,
                f"pip uninstall {one.name}, or iocmng uninstall {one.name}",
            )
    layouts = dict(_layouts(lock, store))
    for layout in layouts.values():
        if layout.name in base.versions:
            continue
        for owner, what in shadowed(layout, base):
            text = f"{what} of {layout.title} is never imported: {owner} has it too"
            yield _finding("install-shadowed", text, generation.site, "uninstall one of them")
    yield from _of_base(lock, layouts, base, generation.folder)


def _of_base(lock: Lock, layouts: dict[str, Layout], base: Base, folder: Path) -> Iterator[Finding]:
    requires = {**base.requires, **{name: layout.requires for name, layout in layouts.items()}}
    for name in sorted(needed_by(lock.roots, requires)):
        before, now = lock.base.get(name), base.versions.get(name)
        if before and before != now and lock.locked(name) is None:
            text = f"{name} of the base was {before} when this was locked, and {now or 'nothing'} now"
            yield _finding("install-stale", text, folder, FROM_LOCK)


def _of_lock(lock: Lock, present: Generation | None, pointer: Pointer, file: Path) -> Iterator[Finding]:
    if pointer.pending is not None:
        return
    held = present.lock if present else None
    mine = {one.name: (one.version, one.sha256) for one in held.distributions} if held else {}
    should = {one.name: (one.version, one.sha256) for one in lock.distributions}
    for name in sorted(mine.keys() | should.keys()):
        if mine.get(name) != should.get(name):
            there = mine[name][0] if name in mine else "nothing"
            wanted = should[name][0] if name in should else "nothing"
            content = ", of another content" if there == wanted else ""
            text = f"{name}: {FILE} says {wanted}, installed is {there}{content}"
            yield _finding("install-drift", text, file, FROM_LOCK)


def _of_wheels(locks: list[Lock], store: WheelStore, folder: Path) -> Iterator[Finding]:
    locked = {one.wheel: one for lock in locks for one in lock.distributions}
    for wheel, one in sorted(locked.items()):
        if not store.holds(one):
            state = "has changed" if store.path(one).exists() else "is gone"
            text = (
                f"the wheel {Path(wheel).name} {state}: {one.name} cannot be installed again without an index"
            )
            yield _finding("install-wheel", text, folder, f"remove it and run {FROM_LOCK}")
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.relative_to(folder).as_posix() not in locked:
                yield _finding(
                    "install-wheel",
                    f"{path.name} is a wheel of no generation",
                    folder,
                    "nothing: it goes at the next start of the host",
                    Level.NOTE,
                )


def _layouts(lock: Lock, store: WheelStore) -> Iterator[tuple[str, Layout]]:
    for one in lock.distributions:
        try:
            if store.holds(one):
                yield one.name, store.layout(one)
        except InstallRefused:
            # It is said of its files already.
            continue


def _finding(code: str, text: str, place: Path, hint: str = "", level: Level = Level.WARNING) -> Finding:
    return Finding(level, code, text, Where(file=str(place)), hint)
