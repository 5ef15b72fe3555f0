"""The flag that says it is time to leave, with those who want to be told at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from iocmng.runtime.ports import Undo


class Leaving:
    """Set once; true afterwards."""

    __slots__ = ("_callbacks", "_lock", "_set")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._callbacks: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return self._set

    def set(self) -> None:
        """It is time to leave; tells every subscriber, on this thread."""
        with self._lock:
            if self._set:
                return
            self._set = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def subscribe(self, callback: Callable[[], None]) -> Undo:
        """Call `callback` when it is time to leave, at once when it already is; the returned call ends it."""
        with self._lock:
            if not self._set:
                self._callbacks.append(callback)
                return lambda: self._drop(callback)
        callback()
        return lambda: None

    def _drop(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
