"""A few messages of PV Access over one TCP connection: read a PV, and try to write it."""

from __future__ import annotations

import struct
from types import TracebackType
from typing import Self

from iocmng.links.tcp import Stream, identity

_MAGIC = 0xCA
_VERSION = 2
_CONTROL = 0x01
_SEGMENTED = 0x30
_BIG_ENDIAN = 0x80

_VALIDATION = 0x01
_CREATE_CHANNEL = 0x07
_VALIDATED = 0x09
_GET = 0x0A
_PUT = 0x0B

_INIT = 0x08
_EXECUTE = 0x00

_STRUCTURE = 0x80
_STRING = 0x60
_EVERY_FIELD = bytes([_STRUCTURE, 0, 0])
_NO_CHANGE = b"\0"

_STATUS_OK = 0xFF


class PvAccess:
    """One circuit to a PV Access server.

    Args:
        address: Host and TCP port of the server.
        deadline: `time.monotonic()` at which every wait ends.

    Raises:
        OSError: The server does not answer, or refuses this client.
    """

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        self._stream = Stream(address, deadline)
        self._next = 0
        self._answer(_VALIDATION)
        self._send(_VALIDATION, struct.pack(">IHH", 0x10000, 0x7FFF, 0) + _text("ca") + _credentials())
        if complaint := _complaint(self._answer(_VALIDATED), 0):
            raise OSError(f"the PV Access server refuses this client: {complaint}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def channel(self, name: str) -> int | None:
        """Return the server's number of the channel `name`, or None when it does not serve that name."""
        self._next += 1
        self._send(_CREATE_CHANNEL, struct.pack(">HI", 1, self._next) + _text(name))
        answer = self._answer(_CREATE_CHANNEL)
        return None if _complaint(answer, 8) else struct.unpack_from(self._order + "I", answer, 4)[0]

    def read(self, channel: int) -> str:
        """Read the value; return why that failed, or ""."""
        return self._operation(_GET, channel, b"")

    def write_empty(self, channel: int) -> str:
        """Ask to write without a value, which a server takes for zero; return its refusal, or ""."""
        return self._operation(_PUT, channel, _NO_CHANGE)

    def _operation(self, command: int, channel: int, payload: bytes) -> str:
        self._next += 1
        for step, content in ((_INIT, _EVERY_FIELD), (_EXECUTE, payload)):
            self._send(command, struct.pack(">IIB", channel, self._next, step) + content)
            if complaint := _complaint(self._answer(command), 5):
                return complaint
        return ""

    def _send(self, command: int, payload: bytes) -> None:
        self._stream.send(
            struct.pack(">BBBBI", _MAGIC, _VERSION, _BIG_ENDIAN, command, len(payload)) + payload
        )

    def _answer(self, wanted: int) -> bytes:
        while True:
            magic, _, flags, command = self._stream.receive(4)
            if magic != _MAGIC:
                raise OSError(f"no PV Access server: a message starts with {magic:#x}")
            self._order = ">" if flags & _BIG_ENDIAN else "<"
            (size,) = struct.unpack(self._order + "I", self._stream.receive(4))
            if flags & _CONTROL:
                continue
            payload = self._stream.receive(size)
            if command == wanted and not flags & _SEGMENTED:
                return payload


def _complaint(payload: bytes, offset: int) -> str:
    """Return the text of a status that is an error, or ""."""
    kind = payload[offset]
    if kind == _STATUS_OK or kind < 2:
        return ""
    size = payload[offset + 1]
    text = payload[offset + 2 : offset + 2 + size] if size < 0xFF else b""
    return text.decode(errors="replace") or f"status {kind}"


def _text(text: str) -> bytes:
    encoded = text.encode()[:254]
    return bytes([len(encoded)]) + encoded


def _credentials() -> bytes:
    kind = bytes([_STRUCTURE, 0, 2]) + _text("user") + bytes([_STRING]) + _text("host") + bytes([_STRING])
    return b"\xfd\x00\x01" + kind + b"".join(_text(name) for name in identity())
