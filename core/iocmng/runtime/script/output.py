"""What a script prints: bytes to a bounded file first, then lines of text, whatever the bytes are."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MAX_OUTPUT = 4 * 1024 * 1024
MAX_LINE = 8192


class RawFile:
    """A file of bytes as they came; beyond the bound the older half lies beside it as `NAME.1`, older bytes go.

    Attributes:
        problem: Why bytes are missing, or ""; a full disk never raises.
    """

    def __init__(self, path: Path, limit: int | None = MAX_OUTPUT) -> None:
        """Append to `path`, at most `limit` bytes a file, None for no bound."""
        self._path = path
        self._limit = limit
        self._descriptor = -1
        self._size = 0
        self.problem = ""

    def write(self, chunk: bytes) -> None:
        """Append bytes as far as the disk takes them."""
        try:
            if self._limit is not None and self._size + len(chunk) > self._limit and self._size:
                self.close()
                os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))
            if self._descriptor < 0:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
                self._size = os.fstat(self._descriptor).st_size
            rest = memoryview(chunk)
            while rest:
                written = os.write(self._descriptor, rest)
                self._size += written
                rest = rest[written:]
        except OSError as error:
            self.problem = self.problem or f"{self._path}: {error.strerror or error}"

    def close(self) -> None:
        """Close it; a later write opens again."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
        self._descriptor, self._size = -1, 0


class Lines:
    """Makes lines of the chunks of one stream: what is no UTF-8 is replaced, what is too long is cut in pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes, *, last: bool = False) -> Iterator[str]:
        """The lines that are complete with `chunk`; with `last` also what stands behind the last newline."""
        text = self._rest + self._decoder.decode(chunk, last)
        # A progress display ends its lines with a bare carriage return; the two characters of \r\n may come apart.
        keep = text.endswith("\r") and not last
        text = text[:-1] if keep else text
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if last and rest:
            lines.append(rest)
            rest = ""
        while len(rest) > MAX_LINE:
            lines.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest + ("\r" if keep else "")
        for line in lines:
            for start in range(0, max(len(line), 1), MAX_LINE):
                yield line[start : start + MAX_LINE]

    def skip(self, chunk: bytes) -> int:
        """Count the lines that end in `chunk` without making them, which costs a hundredth; return how many."""
        *ended, rest = chunk.rsplit(b"\n", 1)
        if ended:
            self._decoder.reset()
            self._rest = ""
        self._rest = (self._rest + self._decoder.decode(rest))[-MAX_LINE:]
        return chunk.count(b"\n")
