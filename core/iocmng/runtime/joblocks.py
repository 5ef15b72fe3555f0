"""Locks that jobs share: who holds one, and who waits for it in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holder:
    """A run that holds a lock, and a word on why it still does, or ""."""

    job: str
    run: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.job}, run {self.run}{f' ({self.note})' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Waiter:
    """A run that waits: `begin` is called once, with the lock held by it; `told` when another one got the lock."""

    run: str
    begin: Callable[[], object]
    told: Callable[[], None]


class JobLocks:
    """All locks of a host by key; first come, first served. On the supervising thread only.

    A lock that nobody holds has no waiters: it is handed over where it is released.
    """

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._waiting: dict[str, list[Waiter]] = {}

    def holder(self, key: str) -> Holder | None:
        """Who holds a lock."""
        return self._holders.get(key)

    def take(self, key: str, holder: Holder) -> None:
        """Give a free lock to a run.

        Raises:
            RuntimeError: It is not free.
        """
        if held := self._holders.get(key):
            raise RuntimeError(f"lock {key} is held by {held}, and {holder} takes it")
        self._holders[key] = holder

    def wait(self, key: str, holder: Holder, begin: Callable[[], object], told: Callable[[], None]) -> None:
        """Line up for a lock that is held."""

        def begin_with_it() -> None:
            self.take(key, holder)
            begin()

        self._waiting.setdefault(key, []).append(Waiter(holder.run, begin_with_it, told))

    def ahead(self, key: str, run: str) -> int:
        """How many wait before a run."""
        runs = [waiter.run for waiter in self._waiting.get(key, ())]
        return runs.index(run) if run in runs else 0

    def leave(self, key: str, run: str) -> None:
        """A run waits no longer."""
        self._waiting[key] = [waiter for waiter in self._waiting.get(key, ()) if waiter.run != run]
        self._tell(key)

    def release(self, key: str, run: str) -> None:
        """Take a lock from the run that holds it, if it does, and hand it to the first who waits."""
        held = self._holders.get(key)
        if held is None or held.run != run:
            return
        del self._holders[key]
        while waiting := self._waiting.get(key):
            waiting.pop(0).begin()
            if key in self._holders:
                break
        self._tell(key)

    def _tell(self, key: str) -> None:
        if not self._waiting.get(key):
            self._waiting.pop(key, None)
            return
        for waiter in tuple(self._waiting[key]):
            waiter.told()
