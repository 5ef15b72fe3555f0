"""Generations in the state directory: which there are, which one is in force, which ones may go."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from iocmng.errors import InstallFailed, NotFound
from iocmng.plugins.installing.lock import lock_object, lock_of, read_lock
from iocmng.plugins.installing.model import NOTHING, Generation, Lock, Pointer
from iocmng.plugins.installing.onlyone import only_one
from iocmng.statefiles import Found, parse_object, read_state, write_atomic
from iocmng.version import VERSION
from iocmng.wire import GenerationView, to_plain

FOLDER = "generations"
POINTER = "current.json"
MARKER = "generation.json"
WHEELS = "wheels"
SCRATCH = "scratch"
_COUNTER = "last.json"
_REASONS = 8
_FROM_LOCK = "iocmng install --from-lock"


def python_version() -> str:
    """The Python that extension modules and folders are made for, as `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def usable(generation: Generation) -> str:
    """Why the plugins of a generation cannot be imported by this host, "" when they can."""
    lock = generation.lock
    if lock.python != python_version():
        return f"made for Python {lock.python}, this is {python_version()}: {_FROM_LOCK}"
    host = lock.base.get("iocmng", VERSION)
    if host != VERSION:
        return f"made for iocmng {host}, this is {VERSION}: {_FROM_LOCK}"
    if not generation.site.is_dir():
        return f"{generation.site} is gone: {_FROM_LOCK}"
    return ""


class Generations:
    """The generations of one state directory; every change of the pointer is on disk on return."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.folder = state_dir / FOLDER

    def listed(self) -> tuple[GenerationView, ...]:
        """Every generation, oldest first, broken ones with their problem; never raises."""
        pointer = self.pointer()
        return tuple(self._view(number, pointer) for number in self._numbers())

    def get(self, number: int) -> Generation:
        """A staged generation as its marker describes it.

        Raises:
            NotFound: There is no such generation.
            InstallFailed: It was not staged to its end, or its marker or environment is damaged.
        """
        folder = self.folder / str(number)
        if number == NOTHING or not folder.is_dir():
            raise NotFound(f"there is no generation {number}", hint="iocmng generations lists them")
        try:
            marker = parse_object((folder / MARKER).read_bytes())
            return _generation(marker, number, folder)
        except FileNotFoundError as error:
            raise InstallFailed(
                f"generation {number} was not staged to its end", hint="it goes at the next start"
            ) from error
        except OSError as error:
            raise InstallFailed(
                f"generation {number} cannot be read: {error.strerror or error}", hint=_FROM_LOCK
            ) from error
        except ValueError as error:
            raise InstallFailed(
                f"the marker of generation {number} is damaged: {error}", hint=_FROM_LOCK
            ) from error

    def in_force(self) -> Generation | None:
        """The generation that a further operation builds upon: the pending one, else the current one.

        Raises:
            NotFound, InstallFailed: It is gone or damaged.
        """
        pointer = self.pointer()
        number = pointer.current if pointer.pending is None else pointer.pending
        return None if number == NOTHING else self.get(number)

    def pointer(self) -> Pointer:
        """Which generation is in force; of a damaged file the last good one. Never raises."""
        return self.read_pointer().value or Pointer()

    def read_pointer(self) -> Found[Pointer]:
        """The pointer, None when there is none, and what was wrong with the file."""
        try:
            return read_state(self.folder / POINTER, _pointer)
        except OSError as error:
            return Found(None, f"{self.folder / POINTER} cannot be read: {error.strerror or error}")

    def point(self, pointer: Pointer) -> None:
        """Change which generation is in force, in one step.

        Raises:
            InstallFailed: It could not be written; the pointer is as it was.
        """
        reasons = dict(sorted(pointer.rejected.items())[-_REASONS:])
        content: dict[str, Any] = {**to_plain(pointer), "rejected": to_plain(reasons)}
        self._write(POINTER, content, "the pointer to the generation in force")

    def next_number(self) -> int:
        """Take the next number; the same one is never given again, also when its generation has gone.

        Raises:
            InstallFailed: The counter could not be written.
        """
        pointer = self.pointer()
        taken = [*self._numbers(), pointer.current, pointer.previous, pointer.pending or 0, *pointer.rejected]
        number = max([*taken, self._last()]) + 1
        self._write(_COUNTER, {"last": number}, "the number of the next generation")
        return number

    def prune(self, keep: int = 3) -> tuple[str, ...]:
        """Remove what no boot will need: unfinished and old generations, wheels of nothing. Only at boot.

        Never the current, previous and pending generation; of the others the newest, until `keep` are there.
        Never raises.

        Returns:
            What was removed, and what could not be, a line each.
        """
        try:
            with only_one(self._state_dir, "the removal of old generations"):
                return tuple(self._pruned(keep))
        except (InstallFailed, OSError) as error:
            return (f"old generations stay for now: {error}",)

    def drop_wheels(self, *further: Lock) -> None:
        """Remove the wheels that no generation, neither what should be installed nor `further` locks need.

        For whoever holds the right to install.

        Raises:
            OSError: One cannot be removed.
        """
        locks = list(further)
        for number in self._numbers():
            with suppress(NotFound, InstallFailed):
                locks.append(self.get(number).lock)
        for _ in self._wheels_pruned(locks):
            continue

    def write_marker(self, generation: Generation) -> None:
        """Make a staged generation valid: its marker, written last.

        Raises:
            OSError: It could not be written.
        """
        content = {
            "number": generation.number,
            "created": generation.created,
            "site": generation.site.relative_to(generation.folder).as_posix(),
            "lock": lock_object(generation.lock),
        }
        write_atomic(generation.folder / MARKER, json.dumps(content, indent=1).encode(), keep=0)

    def _view(self, number: int, pointer: Pointer) -> GenerationView:
        current, pending = number == pointer.current, number == pointer.pending
        try:
            generation = self.get(number)
        except (NotFound, InstallFailed) as error:
            return GenerationView(number=number, current=current, pending=pending, problem=error.detail)
        locked = generation.lock.distributions
        return GenerationView(
            number=number,
            current=current,
            pending=pending,
            created=generation.created,
            requirements=tuple(root.requirement for root in generation.lock.roots),
            distributions={one.name: one.version for one in locked},
            origins={one.name: str(one.origin) for one in locked},
            problem=usable(generation) or pointer.rejected.get(number, ""),
        )

    def _numbers(self) -> list[int]:
        try:
            names = [entry.name for entry in self.folder.iterdir() if entry.is_dir()]
        except OSError:
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    def _last(self) -> int:
        try:
            last = parse_object((self.folder / _COUNTER).read_bytes()).get("last", 0)
        except (OSError, ValueError):
            return 0
        return last if isinstance(last, int) else 0

    def _write(self, name: str, content: dict[str, Any], what: str) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self.folder / name, json.dumps(content, indent=1).encode(), keep=2)
        except OSError as error:
            raise InstallFailed(
                f"{what} could not be written to {self.folder / name}: {error.strerror or error}",
                hint="make room or give the state directory back its permissions",
            ) from error

    def _pruned(self, keep: int) -> Iterator[str]:
        pointer = self.pointer()
        held = {pointer.current, pointer.previous, pointer.pending}
        kept: list[Generation] = []
        for number in reversed(self._numbers()):
            try:
                generation = self.get(number)
            except (NotFound, InstallFailed) as error:
                if number not in held:
                    yield self._removed(self.folder / str(number), error.detail)
                continue
            still_held = sum(1 for other in held if other not in (None, NOTHING) and other < number)
            if number in held or len(kept) + still_held < keep:
                kept.append(generation)
            else:
                yield self._removed(generation.folder, f"generation {number} is old")
        scratch = self._state_dir / SCRATCH
        if scratch.is_dir() and any(scratch.iterdir()):
            yield self._removed(scratch, "an operation did not end")
        yield from self._wheels_pruned([generation.lock for generation in kept])

    def _wheels_pruned(self, kept: list[Lock]) -> Iterator[str]:
        store = self._state_dir / WHEELS
        lock = read_lock(self._state_dir)
        if not store.is_dir() or lock.problem:
            return
        locks = kept + ([lock.value] if lock.value else [])
        needed = {one.wheel for each in locks for one in each.distributions}
        for wheel in sorted(store.glob("**/*")):
            if wheel.is_file() and wheel.relative_to(store).as_posix() not in needed:
                wheel.unlink()
                yield f"removed {wheel.name}: no generation needs it"
        for folder in store.iterdir():
            with suppress(OSError):
                folder.rmdir()

    def _removed(self, folder: Path, why: str) -> str:
        try:
            # Without its marker it counts no more, however far the rest of the removal comes.
            (folder / MARKER).unlink(missing_ok=True)
            shutil.rmtree(folder)
        except OSError as error:
            return f"{folder} cannot be removed: {error.strerror or error} ({why})"
        return f"removed {folder.name}: {why}"


def _generation(marker: dict[str, Any], number: int, folder: Path) -> Generation:
    created, site = marker.get("created"), marker.get("site")
    if marker.get("number") != number:
        raise ValueError(f"it is that of generation {marker.get('number')!r}")
    if not isinstance(created, (int, float)) or not isinstance(site, str):
        raise ValueError("time or place of the environment are missing")
    path = PurePosixPath(site)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{site!r} is no place inside of it")
    real = Path(os.path.realpath(folder))
    return Generation(
        number=number,
        folder=real,
        site=real / path,
        created=float(created),
        lock=lock_of(marker.get("lock")),
    )


def _pointer(content: bytes) -> Pointer:
    found = parse_object(content)
    numbers = {key: found.get(key, 0) for key in ("current", "previous", "attempts")}
    pending = found.get("pending")
    for value in (*numbers.values(), *([] if pending is None else [pending])):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"{value!r} is no number of a generation")
    rejected = found.get("rejected", {})
    if not isinstance(rejected, dict):
        raise ValueError("rejected is no mapping")
    reasons = {int(number): str(reason) for number, reason in rejected.items()}
    return Pointer(pending=pending, rejected=reasons, **numbers)
