"""Child processes of tests: read line by line with a deadline, and surely ended."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

PATIENCE = 30.0
END = 20.0


class Lines:
    """What a process prints, read by a thread of its own.

    Attributes:
        seen: Every line so far, oldest first.
        listener: The thread, which ends with the stream.
    """

    def __init__(self, stream: IO[str] | None, heard: Callable[[str], object] = lambda line: None) -> None:
        assert stream is not None
        self.seen: list[str] = []
        self._stream = stream
        self._heard = heard
        self._coming: queue.Queue[str] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        for line in self._stream:
            self.seen.append(line)
            self._heard(line)
            self._coming.put(line)
        self._coming.put("")

    def next(self, seconds: float = PATIENCE, what: str = "another line") -> str:
        """The next line; "" at the end."""
        try:
            return self._coming.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise AssertionError(f"{what} did not come in time; so far:\n{self}") from None

    def until(self, text: str, seconds: float = PATIENCE) -> str:
        """The next line that holds `text`; the stream must not end before it."""
        end = time.monotonic() + seconds
        while text not in (line := self.next(end - time.monotonic(), repr(text))):
            assert line, f"it ended before {text!r}:\n{self}"
        return line

    def close(self) -> None:
        """Forget the stream, which its process has closed by now."""
        self.listener.join(END)
        # Closing waits for who reads: for ever, when a grandchild holds the other end.
        assert not self.listener.is_alive(), f"somebody else keeps the output open, which is:\n{self}"
        self._stream.close()

    def __str__(self) -> str:
        return "".join(self.seen)


@contextmanager
def ending(process: subprocess.Popen[Any], seconds: float = END) -> Iterator[subprocess.Popen[Any]]:
    """Kill a process that still runs when the block ends: `with Popen(…)` would wait for it without a deadline."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(seconds)
