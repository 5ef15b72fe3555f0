"""One generation: an environment of its own layered on the base, filled from locked wheels, checked, marked."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iocmng.errors import InstallFailed
from iocmng.plugins.installing.base import Base
from iocmng.plugins.installing.drift_files import altered
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.layout import Layout, real_files, site_of
from iocmng.plugins.installing.model import Generation, Lock, Tell
from iocmng.plugins.installing.resolving import Resolver

ENVIRONMENT = "env"
BELOW = "zz_iocmng_base.pth"


def stage_generation(
    generations: Generations,
    lock: Lock,
    wheels: dict[Path, Layout],
    base: Base,
    resolver: Resolver,
    scratch: Path,
    tell: Tell,
) -> Generation:
    """Make a generation, or leave nothing of it.

    Args:
        generations: Where it goes.
        lock: What it holds.
        wheels: The wheel files, checked, with what each brings.
        base: What it is layered on.
        resolver: Unpacks.
        scratch: A folder for files of this run.
        tell: Called with lines of progress.

    Raises:
        InstallFailed: A step did not work; no file is left.
        Aborted: `tell` said so; no file is left.
    """
    number = generations.next_number()
    folder = Path(os.path.realpath(generations.folder)) / str(number)
    with _all_or_nothing(folder, number):
        tell(f"making generation {number}")
        environment = folder / ENVIRONMENT
        site = make_environment(environment, base)
        if wheels:
            tell(f"unpacking {len(wheels)} wheel{'s' * (len(wheels) != 1)}")
            hashes = {one.name: one.sha256 for one in lock.distributions}
            python = environment / "bin" / "python"
            resolver.fill({path: hashes[one.name] for path, one in wheels.items()}, python, scratch, tell)
        tell("checking every file")
        _check(environment, lock, wheels)
        generation = Generation(number=number, folder=folder, site=site, created=time.time(), lock=lock)
        tell("writing to disk")
        _sync_file_system(folder)
        generations.write_marker(generation)
        _sync_file_system(folder)
    tell(f"generation {number} is staged")
    return generation


def make_environment(environment: Path, base: Base) -> Path:
    """Make an empty environment that finds everything of the base; gives its folder for packages.

    Raises:
        OSError: It cannot be written.
    """
    venv.EnvBuilder(with_pip=False, symlinks=True).create(environment)
    site = site_of(environment)
    below = f"import site, sys; list(map(site.addsitedir, {list(base.folders)!r}))"
    # The base comes first, as in the host: where both have a module, that of the base counts.
    (site / BELOW).write_text(f"{below}; sys.path.sort(key={str(site)!r}.__eq__)\n", encoding="utf-8")
    return site


@contextmanager
def _all_or_nothing(folder: Path, number: int) -> Iterator[None]:
    try:
        folder.mkdir(mode=0o700)
        yield
    except BaseException as problem:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(problem, OSError):
            raise InstallFailed(
                f"generation {number} could not be written: {problem.strerror or problem}",
                hint=f"make room in {folder.parent}, or give it back its permissions",
            ) from problem
        raise


def _check(environment: Path, lock: Lock, wheels: dict[Path, Layout]) -> None:
    missing = [
        f"{layout.title} lacks {file.relative_to(environment)}"
        for layout in wheels.values()
        for file in real_files(layout, environment)
        if not file.is_file() or file.is_symlink()
    ]
    if problems := [*missing, *altered(site_of(environment), lock)]:
        raise InstallFailed(
            f"what was unpacked is not what was locked: {'; '.join(problems[:5])}",
            hint="look at the disk, and try again",
        )


def _sync_file_system(folder: Path) -> None:
    """One call for thousands of files, which single ones would take seconds for."""
    library = ctypes.CDLL(None, use_errno=True)
    library.syncfs.argtypes = [ctypes.c_int]
    library.syncfs.restype = ctypes.c_int
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if library.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)
