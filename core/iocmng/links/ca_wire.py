"""A few messages of Channel Access over one TCP connection: read a PV as text, and try to write it."""

from __future__ import annotations

import struct
from types import TracebackType
from typing import Self

from iocmng.links.tcp import Stream, identity

_HEADER = struct.Struct(">HHHHII")

_VERSION = 0
_ERROR = 11
_READ_NOTIFY = 15
_CREATE_CHANNEL = 18
_WRITE_NOTIFY = 19
_CLIENT_NAME = 20
_HOST_NAME = 21
_ACCESS_RIGHTS = 22
_CREATE_FAILED = 26

_MINOR_VERSION = 13
_STRING = 0
_NORMAL = 1
_NO_WRITE_ACCESS = 376


class ChannelAccess:
    """One circuit to a Channel Access server.

    Args:
        address: Host and TCP port of the server.
        deadline: `time.monotonic()` at which every wait ends.

    Raises:
        OSError: The server does not answer.
    """

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        self._stream = Stream(address, deadline)
        self._next = 0
        self._send(_VERSION, count=_MINOR_VERSION)
        user, host = identity()
        self._send(_CLIENT_NAME, _text(user))
        self._send(_HOST_NAME, _text(host))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def channel(self, name: str) -> int | None:
        """Return the server's number of the channel `name`, or None when it does not serve that name."""
        self._next += 1
        self._send(_CREATE_CHANNEL, _text(name), first=self._next, second=_MINOR_VERSION)
        command, _, _, sid = self._answer(_CREATE_CHANNEL, _CREATE_FAILED)
        return sid if command == _CREATE_CHANNEL else None

    def read(self, channel: int) -> bytes | None:
        """Return the value as EPICS writes it as text, or None when reading is refused."""
        self._next += 1
        self._send(_READ_NOTIFY, kind=_STRING, count=1, first=channel, second=self._next)
        _, payload, status, _ = self._answer(_READ_NOTIFY)
        return payload.split(b"\0", 1)[0] if status == _NORMAL else None

    def write(self, channel: int, text: bytes) -> int:
        """Write a text of less than 40 bytes and return the server's status code (1 is success)."""
        self._next += 1
        payload = text[:39].ljust(40, b"\0")
        self._send(_WRITE_NOTIFY, payload, kind=_STRING, count=1, first=channel, second=self._next)
        return self._answer(_WRITE_NOTIFY)[2]

    @staticmethod
    def refused(status: int) -> bool:
        """Whether a status of `write` says that this client may not write."""
        return status == _NO_WRITE_ACCESS

    def _send(
        self,
        command: int,
        payload: bytes = b"",
        *,
        kind: int = 0,
        count: int = 0,
        first: int = 0,
        second: int = 0,
    ) -> None:
        self._stream.send(_HEADER.pack(command, len(payload), kind, count, first, second) + payload)

    def _answer(self, *commands: int) -> tuple[int, bytes, int, int]:
        while True:
            command, size, _, _, first, second = _HEADER.unpack(self._stream.receive(_HEADER.size))
            payload = self._stream.receive(size)
            if command in commands:
                return command, payload, first, second
            if command == _ERROR:
                raise OSError(f"the Channel Access server answered with error {second}")


def _text(text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return encoded.ljust((len(encoded) + 7) // 8 * 8, b"\0")
