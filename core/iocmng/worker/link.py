"""A worker's end of the socket: sends from any thread, asks and waits for the answer."""

from __future__ import annotations

import builtins
import itertools
import socket
import threading
from typing import Any

from iocmng import errors
from iocmng.runtime.clock import LockWakeup
from iocmng.runtime.isolation.channel import encode

PATIENCE = 10.0
"""Seconds that the host has for an answer, beyond those that the question itself may take."""


class _Question:
    """One that waits for its answer."""

    __slots__ = ("error", "found", "told")

    def __init__(self) -> None:
        self.told = LockWakeup()
        self.found: Any = None
        self.error: Exception | None = None


class HostLink:
    """Speaks to the host.

    Args:
        connection: The socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._questions: dict[int, _Question] = {}

    def send(self, *message: object) -> None:
        """Send a message; waits while the host has not taken earlier ones.

        Raises:
            TypeError: It holds something that cannot cross.
        """
        frame = encode(message)
        with self._lock:
            self._connection.sendall(frame)

    def ask(self, what: str, *given: Any) -> Any:
        """Ask the host something that it knows at once.

        Raises:
            TimeoutError: It has not answered.
            Exception: What the host says of it.
        """
        return self.call(0.0, "ask", what, *given)

    def call(self, takes: float, kind: str, *given: Any) -> Any:
        """Have the host do something that may take `takes` seconds, and wait for it.

        Raises:
            TimeoutError: It has not answered.
            Exception: What the host says of it.
        """
        number, question = next(self._numbers), _Question()
        self._questions[number] = question
        try:
            self.send(kind, number, *given)
            if not question.told.wait(takes + PATIENCE):
                raise TimeoutError(f"the host has not answered {kind} {given} within {takes + PATIENCE:g} s")
        finally:
            del self._questions[number]
        if question.error is not None:
            raise question.error
        return question.found

    def answered(self, number: int, found: Any) -> None:
        """The host has answered."""
        if (question := self._questions.get(number)) is not None:
            question.found = found
            question.told.set()

    def refused(self, number: int, kind: str, text: str, hint: str) -> None:
        """The host has answered that something is wrong."""
        if (question := self._questions.get(number)) is not None:
            question.error = _error(kind, text, hint)
            question.told.set()


def _error(kind: str, text: str, hint: str) -> Exception:
    """The exception that the host has met, of the same class where that is one of ours or of Python's."""
    cls = getattr(errors, kind, None)
    if isinstance(cls, type) and issubclass(cls, errors.IocmngError):
        return cls(text, hint=hint)
    cls = getattr(builtins, kind, None)
    if isinstance(cls, type) and issubclass(cls, Exception):
        return cls(text)
    return RuntimeError(f"{kind}: {text}")
