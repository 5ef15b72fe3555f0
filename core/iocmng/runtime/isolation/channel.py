"""Messages between a host and a worker: length-prefixed msgpack on a stream, arrays as raw bytes.

A message is a list whose first item says what it is. Needs no numpy before an array comes by.
"""

from __future__ import annotations

import datetime
import struct
import threading
from typing import Any, cast

import msgpack

from iocmng.errors import IocmngError
from iocmng.values import Reading, Severity, Status

VERSION = 1
"""Of the messages; both sides name theirs first and refuse another."""

MAX_MESSAGE = 1 << 30
"""Bytes; a length beyond is no message of ours."""

Message = list[Any]

_LENGTH = struct.Struct(">I")
_ARRAY, _WHOLE, _DATETIME, _DATE, _TEXTS = range(1, 6)


class ChannelError(IocmngError):
    """What came is no message, or what is to be sent cannot be one."""

    code = "worker-channel"


def _extend(thing: Any) -> Any:
    """What msgpack has no word for."""
    if hasattr(thing, "dtype"):
        return _array(thing) if thing.ndim else thing.item()
    if isinstance(thing, int):
        return msgpack.ExtType(_WHOLE, str(thing).encode())
    if isinstance(thing, datetime.datetime):
        return msgpack.ExtType(_DATETIME, thing.isoformat().encode())
    if isinstance(thing, datetime.date):
        return msgpack.ExtType(_DATE, thing.isoformat().encode())
    if isinstance(thing, (set, frozenset)):
        return list(thing)
    raise TypeError(f"a {type(thing).__name__} cannot cross to another process: {thing!r:.80}")


def _array(array: Any) -> Any:
    if array.dtype.hasobject:
        return msgpack.ExtType(_TEXTS, _packb(array.tolist()))
    return msgpack.ExtType(_ARRAY, _packb([array.dtype.str, array.shape, array.tobytes()]))


def _revive(code: int, data: bytes) -> Any:
    if code == _WHOLE:
        return int(data)
    if code == _DATETIME:
        return datetime.datetime.fromisoformat(data.decode())
    if code == _DATE:
        return datetime.date.fromisoformat(data.decode())
    if code not in (_ARRAY, _TEXTS):
        raise ChannelError(f"a message holds something unknown, of kind {code}")
    import numpy as np

    if code == _TEXTS:
        return np.array(_unpackb(data), dtype=object)
    dtype, shape, content = _unpackb(data)
    return np.frombuffer(content, dtype=dtype).reshape(shape).copy()


def _packb(thing: Any) -> bytes:
    return cast(bytes, msgpack.packb(thing, default=_extend, unicode_errors="surrogatepass"))


def _unpackb(data: bytes | memoryview) -> Any:
    return msgpack.unpackb(data, **_UNPACKING)


_UNPACKING: dict[str, Any] = {
    "ext_hook": _revive,
    "strict_map_key": False,
    "unicode_errors": "surrogatepass",
}


class _Kept(threading.local):
    """One packer for each thread: to make one costs more than to use it ten times."""

    def __init__(self) -> None:
        self.packer = msgpack.Packer(default=_extend, unicode_errors="surrogatepass", buf_size=4096)


_kept = _Kept()


def encode(message: Message | tuple[Any, ...]) -> bytes:
    """The bytes of one message.

    Raises:
        TypeError: It holds something that is no number, text, list, mapping, date or array.
    """
    try:
        content: bytes = _kept.packer.pack(message)
    except OverflowError as error:
        raise TypeError(f"cannot cross to another process: {error}") from None
    return _LENGTH.pack(len(content)) + content


class Frames:
    """Puts messages together from pieces of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._told = 0
        self._unpacker = msgpack.Unpacker(max_buffer_size=2 * MAX_MESSAGE, **_UNPACKING)

    def feed(self, data: bytes) -> list[Message]:
        """Take the next piece; return the messages that are complete now.

        Raises:
            ChannelError: The stream holds no messages.
        """
        self._data += data
        messages: list[Message] = []
        begin, end = 0, len(self._data)
        while end - begin >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data, begin)
            if length > MAX_MESSAGE:
                raise ChannelError(f"a message of {length} bytes is announced, which none of ours has")
            if end - begin - _LENGTH.size < length:
                break
            begin += _LENGTH.size
            messages.append(self._message(begin, begin + length))
            begin += length
        del self._data[:begin]
        return messages

    def _message(self, begin: int, end: int) -> Message:
        try:
            self._unpacker.feed(self._data[begin:end])
            message = self._unpacker.unpack()
            if self._unpacker.tell() != self._told + end - begin:
                raise ChannelError("a message does not end where its length says")
            self._told += end - begin
        except ChannelError:
            raise
        except Exception as error:  # noqa: BLE001 - msgpack, numpy and dates refuse foreign bytes each in their words
            raise ChannelError(f"what came is no message: {type(error).__name__}: {error}") from None
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise ChannelError(f"what came is no message: {message!r:.80}")
        return message


def from_reading(reading: Reading) -> list[Any]:
    """A reading as an item of a message."""
    return [
        reading.value,
        int(reading.severity),
        int(reading.status),
        reading.timestamp,
        reading.connected,
        reading.message,
        reading.label,
    ]


def to_reading(item: list[Any]) -> Reading:
    """The reading that `from_reading` made an item of."""
    value, severity, status, timestamp, connected, message, label = item
    return Reading(value, Severity(severity), Status(status), timestamp, connected, message, label)
