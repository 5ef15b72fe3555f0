"""Which generation a host starts with: chosen, and its attempt counted on disk, before any plugin is imported."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from iocmng.errors import InstallFailed, NotFound
from iocmng.plugins.discovery import Discovered, advertised
from iocmng.plugins.environment import Environment, canonical
from iocmng.plugins.hooks import hookimpl
from iocmng.plugins.installing.generations import Generations, usable
from iocmng.plugins.installing.lock import read_lock, write_lock
from iocmng.plugins.installing.model import NOTHING, Generation, Pointer
from iocmng.settings.settings import Settings
from iocmng.wire import Finding, Level, Where

ATTEMPTS = 2
"""Starts in which a pending generation may fail before it is left for the one before."""

FROM_LOCK = "iocmng install --from-lock"
_log = logging.getLogger("iocmng.host")


@dataclass(frozen=True, slots=True, kw_only=True)
class BootGeneration:
    """What a host starts with.

    Attributes:
        generation: Whose folder goes on the import path, None for none.
        pending: The number of the generation that waits for its confirmation, None when none does.
        rejected: Why a pending one was left at this start, or "".
        lost: Plugins of a generation that cannot be used, each with the finding that says why.
        problems: What is worth knowing, a line each.
    """

    generation: Generation | None = None
    pending: int | None = None
    rejected: str = ""
    lost: tuple[Discovered, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether starts that failed before this one had other plugins, and so say nothing about it."""
        return self.pending is not None or bool(self.rejected)


class LostPlugins:
    """The source of plugins whose generation cannot be used: they are listed as INVALID, not forgotten."""

    def __init__(self, lost: Iterable[Discovered]) -> None:
        self._lost = tuple(lost)

    @hookimpl
    def iocmng_discover(self, settings: Settings) -> Iterable[Discovered]:
        """Give those that the base does not have instead."""
        base = Environment.read().installed
        return [one for one in self._lost if canonical(one.plugin.distribution) not in base]


def boot_generation(state_dir: Path, why: str = "") -> BootGeneration:
    """Choose the generation of this start. Never raises; imports nothing.

    A pending one is tried `ATTEMPTS` times, each counted before it begins; one that cannot be used or counted is not.

    Args:
        state_dir: The state directory, locked.
        why: What ended the process the last time, for the reason why a generation is left.
    """
    store = Generations(state_dir)
    found = store.read_pointer()
    problems = [found.problem] if found.problem else []
    pointer = found.value or Pointer()
    rejected = ""
    if pointer.pending is not None:
        generation, rejected = _pending(store, pointer, why)
        if not rejected:
            try:
                store.point(replace(pointer, attempts=pointer.attempts + 1))
                return BootGeneration(
                    generation=generation, pending=pointer.pending, problems=tuple(problems)
                )
            except InstallFailed as error:
                problems.append(f"generation {pointer.pending} waits, its start cannot be counted: {error}")
        else:
            pointer = without_pending(pointer, rejected)
            problems += _pointed(store, pointer)
    generation, lost, more = _current(store, pointer)
    problems += [*_left(pointer), *more]
    return BootGeneration(generation=generation, rejected=rejected, lost=lost, problems=tuple(problems))


def without_pending(pointer: Pointer, reason: str) -> Pointer:
    """The pointer with its pending generation left, and why."""
    assert pointer.pending is not None
    rejected = {**pointer.rejected, pointer.pending: reason}
    return replace(pointer, pending=None, attempts=0, rejected=rejected)


def settle_lock(state_dir: Path) -> bool:
    """Let plugins.lock say what the confirmed generation holds: a kill may have come between the two writes.

    A generation that waits, or that this host cannot use, says nothing about what should be installed.

    Returns:
        Whether it was behind.

    Raises:
        InstallFailed: It cannot be written.
    """
    store = Generations(state_dir)
    pointer = store.pointer()
    if pointer.pending is not None or pointer.current == NOTHING:
        return False
    try:
        generation = store.get(pointer.current)
    except (NotFound, InstallFailed):
        return False
    if usable(generation) or read_lock(state_dir).value == generation.lock:
        return False
    write_lock(state_dir, generation.lock)
    return True


def uncount(state_dir: Path) -> None:
    """Take the attempt of this start back: it ended for a reason that its generation has nothing to do with."""
    store = Generations(state_dir)
    pointer = store.pointer()
    if pointer.pending is not None and pointer.attempts > 0:
        for problem in _pointed(store, replace(pointer, attempts=pointer.attempts - 1)):
            _log.error("%s", problem)


def _pending(store: Generations, pointer: Pointer, why: str) -> tuple[Generation | None, str]:
    """The pending generation, and why it is left, or ""."""
    if pointer.attempts >= ATTEMPTS:
        text = f"{pointer.attempts} starts of the host with it did not come to its confirmation"
        return None, f"{text}; {why}" if why else text
    if pointer.pending == NOTHING:
        return None, ""
    try:
        generation = store.get(pointer.pending or NOTHING)
    except (NotFound, InstallFailed) as error:
        return None, error.detail
    return generation, usable(generation)


def _current(
    store: Generations, pointer: Pointer
) -> tuple[Generation | None, tuple[Discovered, ...], list[str]]:
    """The confirmed generation, or the one before a damaged one; plugins that are lost; problems."""
    if pointer.current == NOTHING:
        return None, (), []
    try:
        generation = store.get(pointer.current)
    except (NotFound, InstallFailed) as error:
        return _before(store, pointer, error.detail)
    if reason := usable(generation):
        return None, _lost(generation.site, pointer.current, reason), [_cannot(pointer.current, reason)]
    return generation, (), []


def _before(
    store: Generations, pointer: Pointer, damage: str
) -> tuple[Generation | None, tuple[Discovered, ...], list[str]]:
    problem = _cannot(pointer.current, damage)
    try:
        generation = store.get(pointer.previous)
        reason = usable(generation)
    except (NotFound, InstallFailed) as error:
        generation, reason = None, error.detail
    if generation is None or reason:
        sites = (store.folder / str(pointer.current)).glob("lib/python*/site-packages")
        lost = [one for site in sorted(sites) for one in _lost(site, pointer.current, damage)]
        return None, tuple(lost), [problem]
    rejected = {**pointer.rejected, pointer.current: damage}
    further = Pointer(current=generation.number, previous=NOTHING, rejected=rejected)
    if pointer.pending is not None:
        further = replace(further, pending=pointer.pending, attempts=pointer.attempts)
    told = f"{problem}; generation {generation.number} is used instead"
    return generation, (), [told, *_pointed(store, further)]


def _cannot(number: int, reason: str) -> str:
    reason = reason.removesuffix(f": {FROM_LOCK}")
    return f"the plugins of generation {number} cannot be used: {reason} ({FROM_LOCK} brings them back)"


def _lost(site: Path, number: int, reason: str) -> tuple[Discovered, ...]:
    reason = reason.removesuffix(f": {FROM_LOCK}")

    def marked(one: Discovered) -> Discovered:
        place = f"{one.plugin.distribution}:{one.plugin.name}"
        # MESSAGE shows CA clients 39 characters: the cause comes first.
        text = f"{reason} ({one.plugin.name}, generation {number})"
        finding = Finding(Level.ERROR, "generation", text, Where(key=place), FROM_LOCK)
        return replace(one, findings=(finding, *one.findings))

    return tuple(marked(one) for one in advertised(Environment.read([str(site)]), importable=False))


def _left(pointer: Pointer) -> Iterator[str]:
    """What became of the last generation, when it was not kept."""
    number = max(pointer.rejected, default=NOTHING)
    if number > pointer.current:
        used = f"generation {pointer.current}" if pointer.current != NOTHING else "none"
        yield f"generation {number} was not kept, {used} is used: {pointer.rejected[number]}"


def _pointed(store: Generations, pointer: Pointer) -> list[str]:
    try:
        store.point(pointer)
    except InstallFailed as error:
        return [str(error)]
    return []
