"""Threads that were given up: they may end some day, and too many of them mean that the code has to change."""

from __future__ import annotations

from typing import Protocol

LIMIT = 2


class Stuck(Protocol):
    """A run whose thread does not leave."""

    @property
    def alive(self) -> bool:
        """Whether it is still there."""

    def where(self) -> str:
        """The line in which it stands."""


class Abandoned:
    """The given-up threads of one instance."""

    def __init__(self) -> None:
        self._runs: list[Stuck] = []

    def add(self, run: Stuck) -> None:
        """One more."""
        self._runs.append(run)

    def where(self) -> tuple[str, ...]:
        """Where those stand that have not ended since."""
        self._runs = [run for run in self._runs if run.alive]
        return tuple(run.where() for run in self._runs)

    def refusal(self) -> str | None:
        """Why the instance must not be started again, or None."""
        places = self.where()
        if len(places) < LIMIT:
            return None
        return f"{len(places)} threads of it hang already ({'; '.join(places)})"
