"""A generation that came with a start of the host: confirmed when its instances run and stay, else left again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from iocmng.errors import BadInput, InstallFailed, NotFound
from iocmng.host.generations import BootGeneration, uncount, without_pending
from iocmng.plugins.environment import canonical
from iocmng.plugins.installing.generations import Generations
from iocmng.plugins.installing.lock import read_lock, write_lock
from iocmng.plugins.installing.model import Generation, Lock
from iocmng.runtime.instance import Instance
from iocmng.runtime.ports import Clock
from iocmng.runtime.rollout import confirm

_log = logging.getLogger("iocmng.host")


class Confirming:
    """Watches a pending generation after the start of the host; without one it does nothing.

    Args:
        state_dir: The state directory.
        chosen: What the host started with.
        told: Told how it ended, a line for event and log, and whether it was confirmed; on the loop's thread.
    """

    def __init__(
        self,
        state_dir: Path,
        chosen: BootGeneration,
        told: Callable[[str, bool], None] = lambda text, good: None,
    ) -> None:
        self._state_dir = state_dir
        self._store = Generations(state_dir)
        self._chosen = chosen
        self._told = told
        self._task: asyncio.Task[None] | None = None

    def begin(
        self, instances: Iterable[Instance], seconds: float, clock: Clock, restart: Callable[[], None]
    ) -> None:
        """Watch the instances that differ from the generation before; on the loop's thread.

        Args:
            instances: All of the host.
            seconds: How long they have to stay.
            clock: Time.
            restart: Replaces the process, which then starts with the generation before.
        """
        if self._chosen.pending is not None:
            changed = self._changed()
            watched = [one for one in instances if one.enabled and _of(one, changed)]
            self._task = asyncio.get_running_loop().create_task(
                self._watch(watched, seconds, clock, restart), name="confirm"
            )

    async def over(self, *, counted: bool = False) -> None:
        """The host stops: a confirmation that was under way begins anew at the next start.

        Args:
            counted: This start counts as one that did not come to the confirmation.
        """
        if self._task is None:
            return
        under_way = not self._task.done()
        self._task.cancel()
        await asyncio.wait([self._task])
        if under_way and not counted:
            await asyncio.to_thread(uncount, self._state_dir)

    def _changed(self) -> frozenset[str]:
        """Canonical names of the distributions that differ from those of the confirmed generation."""
        pointer = self._store.pointer()
        try:
            before = self._store.get(pointer.current).lock.distributions
        except (NotFound, InstallFailed):
            before = ()
        after = self._chosen.generation.lock.distributions if self._chosen.generation else ()
        known = {one.name: one.sha256 for one in before}
        return frozenset(one.name for one in after if known.get(one.name) != one.sha256)

    async def _watch(
        self, watched: list[Instance], seconds: float, clock: Clock, restart: Callable[[], None]
    ) -> None:
        reason = await confirm(watched, seconds, clock)
        try:
            text = await asyncio.to_thread(self._reject if reason else self._confirm, reason)
        except InstallFailed as error:
            # The start stays counted: another one tries again, or leaves it.
            self._told(f"generation {self._chosen.pending}: {error}", False)
            return
        self._told(text, not reason)
        if reason:
            try:
                restart()
            except BadInput as error:
                self._told(f"the host cannot restart with the settings as they are: {error}", False)

    def _confirm(self, reason: str) -> str:
        pointer = self._store.pointer()
        number = self._chosen.pending
        assert number is not None
        if pointer.pending != number:
            raise InstallFailed(
                "it was dropped meanwhile", hint=f"restart-host goes back to generation {pointer.current}"
            )
        self._store.point(
            replace(pointer, current=number, previous=pointer.current, pending=None, attempts=0)
        )
        if (lock := self._lock(self._chosen.generation)) is not None:
            write_lock(self._state_dir, lock)
        return f"generation {number} is confirmed"

    def _reject(self, reason: str) -> str:
        pointer = self._store.pointer()
        if pointer.pending == self._chosen.pending:
            self._store.point(without_pending(pointer, reason))
        return f"generation {self._chosen.pending} is not kept, the host restarts with {pointer.current}: {reason}"

    def _lock(self, generation: Generation | None) -> Lock | None:
        """What should be installed from now on; None when nothing was ever locked."""
        if generation is not None:
            return generation.lock
        present = read_lock(self._state_dir).value
        return None if present is None else replace(present, roots=(), distributions=())


def _of(instance: Instance, changed: frozenset[str]) -> bool:
    return canonical(instance.spec.plugin.distribution) in changed
