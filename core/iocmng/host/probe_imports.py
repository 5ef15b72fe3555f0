"""How much work the import of a plugin is, told by the packages that do it."""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

LEAST = 0.001
"""Seconds below which a package is not told."""


class ImportTimes:
    """Measures the imports of the present thread while it is entered.

    Work of the processor counts, not time: how long a loaded machine takes says nothing about the plugin.

    Args:
        target: The plugin's entry point; what its package does itself is told under its name.
    """

    def __init__(self, target: str) -> None:
        self._own = target.partition(":")[0].partition(".")[0].strip()
        self._spent: dict[str, float] = {}
        self._stack = [self._own]
        self._since = 0.0
        self._import = builtins.__import__

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of work by first part of module names, without what others did that were imported on the way."""
        return {name: round(spent, 4) for name, spent in self._spent.items() if spent >= LEAST}

    def __enter__(self) -> ImportTimes:
        self._since = time.thread_time()
        builtins.__import__ = self._timed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        builtins.__import__ = self._import
        self._book()

    def _book(self) -> None:
        now = time.thread_time()
        self._spent[self._stack[-1]] = self._spent.get(self._stack[-1], 0.0) + now - self._since
        self._since = now

    def _timed(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        first = name.partition(".")[0] if not level else self._stack[-1]
        if first == self._stack[-1]:
            return self._import(name, globals, locals, fromlist, level)
        self._book()
        self._stack.append(first)
        try:
            return self._import(name, globals, locals, fromlist, level)
        finally:
            self._book()
            self._stack.pop()
