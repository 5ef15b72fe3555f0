"""The installer: what a request comes to, and a generation made of it; it runs subprocesses and no plugin code."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from iocmng.errors import InstallFailed, InstallRefused, NotFound
from iocmng.plugins.installing import lock as locks
from iocmng.plugins.installing.backend import resolver_of
from iocmng.plugins.installing.base import Base
from iocmng.plugins.installing.changes import changes_between
from iocmng.plugins.installing.generations import SCRATCH, Generations
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.model import Generation, Lock, Resolution, Tell
from iocmng.plugins.installing.onlyone import only_one
from iocmng.plugins.installing.shadows import refuse_clashes
from iocmng.plugins.installing.stage import stage_generation
from iocmng.plugins.installing.store import WheelStore
from iocmng.plugins.installing.working import Working, plugins_of
from iocmng.settings.site import InstallSettings
from iocmng.wire import InstallRequest, InstallVerb


class Installer:
    """Installs into one state directory; blocking, for a worker thread.

    Args:
        state_dir: The host's state directory.
        settings: The site's rules.
        environ: The host's environment.
    """

    def __init__(self, state_dir: Path, settings: InstallSettings, *, environ: Mapping[str, str]) -> None:
        self._state_dir = state_dir
        self._settings = settings
        self._environ = environ
        self._store = WheelStore(state_dir)
        self.generations = Generations(state_dir)

    def resolve(self, request: InstallRequest, tell: Tell) -> Resolution:
        """Find out what a request comes to; only the wheel store gains by it.

        Raises:
            BadInput, NotFound: The request names what cannot be, or is not there.
            InstallRefused: It does not go with the base, with what is installed, or with the site's rules.
            InstallFailed: The index, the network or the disk failed.
            Aborted: `tell` said so.
        """
        self._refuse_when_off()
        with self._at_work(f"the plan to {request.verb}") as scratch, self._last_wheels() as kept:
            tell("reading what is installed")
            before = self._before(request)
            working = Working(
                state_dir=self._state_dir,
                settings=self._settings,
                environ=self._environ,
                base=Base.read(self._state_dir),
                scratch=scratch,
                tell=tell,
                store=self._store,
            )
            resolved = working.resolved(request, None if before is None else before.lock)
            lock = resolved.lock
            changes = changes_between(before.lock if before else None, lock)
            self._refuse_not_allowed(changes, lock)
            remark = "" if changes else resolved.remark(tell)
            kept.append(lock)
            return Resolution(request=request, lock=lock, changes=changes, before=before, remark=remark)

    def resolution_of(self, generation: Generation) -> Resolution:
        """What changes when the pointer moves to a generation that is there.

        Raises:
            InstallFailed: The one in force is damaged.
        """
        try:
            before = self.generations.in_force()
        except NotFound:
            before = None
        return Resolution(
            request=InstallRequest(verb=InstallVerb.ROLLBACK, generation=generation.number),
            lock=generation.lock,
            changes=changes_between(before.lock if before else None, generation.lock),
            before=before,
        )

    def stage(self, resolution: Resolution, tell: Tell) -> Generation:
        """Make the generation of a resolution; the pointer stays where it is.

        Raises:
            InstallRefused: A wheel is damaged, was exchanged, leads outside, or brings what is there already;
                or something else was installed since.
            InstallFailed: A step failed; nothing is left of it.
            Aborted: `tell` said so; nothing is left.
        """
        self._refuse_when_off()
        with self._at_work(f"the staging to {resolution.request.verb}") as scratch:
            self._refuse_stale(resolution)
            lock = resolution.lock
            base = Base.read(self._state_dir)
            layouts = {}
            for one in lock.distributions:
                tell(f"checking {one.name} {one.version}")
                path = self._store.checked(one)
                layouts[path] = self._store.layout(one)
            refuse_clashes({layout.name: layout for layout in layouts.values()}, base)
            resolver = resolver_of(
                self._settings.backend, Index.of(self._settings.index, self._environ), tell
            )
            return stage_generation(self.generations, lock, layouts, base, resolver, scratch, tell)

    def write_lock(self, lock: Lock) -> None:
        """Say what should be installed from now on; on disk on return.

        Raises:
            InstallFailed: It could not be written.
        """
        locks.write_lock(self._state_dir, lock)

    def plugins_of(self, lock: Lock) -> dict[str, tuple[str, ...]]:
        """Names of the plugins of each locked distribution."""
        return plugins_of(self._store, lock)

    def _before(self, request: InstallRequest) -> Generation | None:
        try:
            return self.generations.in_force()
        except (NotFound, InstallFailed) as error:
            if request.verb is InstallVerb.FROM_LOCK:
                return None
            raise InstallFailed(
                f"what is installed cannot be built upon: {error.detail}",
                hint="iocmng install --from-lock makes it again",
            ) from error

    def _refuse_when_off(self) -> None:
        if not self._settings.enabled:
            raise InstallRefused(
                "installing is switched off here", hint="set install.enabled in the site file", code="off"
            )

    def _refuse_not_allowed(self, changes: tuple[object, ...], lock: Lock) -> None:
        patterns = self._settings.allow
        arriving = {getattr(change, "name", "") for change in changes}
        refused = [
            one.name
            for one in lock.distributions
            if one.name in arriving and not any(fnmatchcase(one.name, pattern) for pattern in patterns)
        ]
        if patterns and refused:
            raise InstallRefused(
                f"install.allow of the site does not name {', '.join(refused)}",
                hint=f"it allows {', '.join(patterns)}",
                code="not-on-list",
            )

    def _refuse_stale(self, resolution: Resolution) -> None:
        pointer = self.generations.pointer()
        now = pointer.current if pointer.pending is None else pointer.pending
        planned = 0 if resolution.before is None else resolution.before.number
        if now != planned and resolution.request.verb is not InstallVerb.FROM_LOCK:
            raise InstallRefused(
                f"the plan was made for generation {planned}, generation {now} is in force now",
                hint="plan again",
                code="stale-plan",
            )

    @contextmanager
    def _last_wheels(self) -> Iterator[list[Lock]]:
        """Keep of the wheels that no generation needs those of one plan only: what came before, or failed, goes."""
        kept: list[Lock] = []
        try:
            yield kept
        finally:
            # It must not hide why a plan failed; what stays goes with the next one, or at boot.
            with suppress(OSError):
                self.generations.drop_wheels(*kept)

    @contextmanager
    def _at_work(self, what: str) -> Iterator[Path]:
        with only_one(self._state_dir, what):
            try:
                (self._state_dir / SCRATCH).mkdir(mode=0o700, exist_ok=True)
                scratch = Path(tempfile.mkdtemp(dir=self._state_dir / SCRATCH))
                try:
                    yield scratch
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
            except OSError as problem:
                place = f" ({problem.filename})" if problem.filename else ""
                raise InstallFailed(
                    f"{what} failed: {problem.strerror or problem}{place}",
                    hint="make room in the state directory, or give it back its permissions",
                ) from problem
