"""Timers by name: arming one again replaces it."""

from __future__ import annotations

from collections.abc import Callable

from iocmng.runtime.ports import Undo


class Timers:
    """The timers of one instance."""

    def __init__(self, after: Callable[[float, Callable[[], None]], Undo]) -> None:
        self._after = after
        self._armed: dict[str, Undo] = {}

    def arm(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Call something in so many seconds, instead of what `name` would have called."""
        self.cancel(name)
        self._armed[name] = self._after(seconds, call)

    def cancel(self, name: str) -> None:
        """Forget a timer, if it is armed."""
        if undo := self._armed.pop(name, None):
            undo()
