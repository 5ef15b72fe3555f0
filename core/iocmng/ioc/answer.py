"""Ask this process' own servers, as a client on the network would: do they answer, and do they refuse a put?

A few messages of each protocol over a plain socket. A client library would cost the start half a second and would look
where the environment's address lists point, not at this process.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from iocmng.errors import RecordError

_PATIENCE = 5.0

_CA_HEADER = struct.Struct(">HHHHII")
_CA_VERSION, _CA_CLIENT_NAME, _CA_HOST_NAME, _CA_CREATE, _CA_RIGHTS, _CA_NO_CHANNEL = 0, 20, 21, 18, 22, 26
_CA_MINOR_VERSION = 13
_CA_MAY_WRITE = 0x02

_PVA_HEADER = struct.Struct("<BBBBI")
_PVA_MAGIC, _PVA_PROTOCOL = 0xCA, 2
_PVA_CONTROL, _PVA_BIG_ENDIAN = 0x01, 0x80
_PVA_VALIDATION, _PVA_CREATE, _PVA_VALIDATED, _PVA_PUT = 1, 7, 9, 11
_PVA_INIT = 0x08
_PVA_EMPTY_REQUEST = b"\x80\x00\x00"
_PVA_NOTHING_CHANGED = b"\x00"
_PVA_NO_CREDENTIALS = b"\xff"


def check_ca(port: int, output: str) -> None:
    """Check that a CA client finds `output` and may not write it.

    Raises:
        RecordError: The server does not answer, does not know the record, or lets clients write it.
    """
    with _connected("CA", _interface("EPICS_CAS_INTF_ADDR_LIST"), port, output) as connection:
        connection.sendall(
            _ca(_CA_VERSION, count=_CA_MINOR_VERSION)
            + _ca(_CA_CLIENT_NAME, text="iocmng")
            + _ca(_CA_HOST_NAME, text="localhost")
            + _ca(_CA_CREATE, text=output, first=1, second=_CA_MINOR_VERSION)
        )
        rights = None
        while True:
            command, size, _, _, _, second = _CA_HEADER.unpack(_exactly(connection, _CA_HEADER.size))
            _exactly(connection, size)
            if command == _CA_NO_CHANNEL:
                raise RecordError(f"the CA server of this process does not know {output}")
            if command == _CA_RIGHTS:
                rights = second
            if command == _CA_CREATE:
                break
    if rights is None or rights & _CA_MAY_WRITE:
        raise RecordError(f"a CA client may write {output}, which is read-only", hint="see `access_security`")


def check_pva(port: int, output: str) -> None:
    """Check that a PVA client finds `output` and that its put is refused.

    Raises:
        RecordError: The server does not answer, does not know the record, or accepts the put.
    """
    with _connected("PVA", _interface("EPICS_PVAS_INTF_ADDR_LIST"), port, output) as connection:
        _pva_reply(connection, _PVA_VALIDATION)
        greeting = struct.pack("<IHH", 0x4000, 0x7FFF, 0) + _pva_text("anonymous") + _PVA_NO_CREDENTIALS
        connection.sendall(_pva(_PVA_VALIDATION, greeting))
        _pva_reply(connection, _PVA_VALIDATED)
        connection.sendall(_pva(_PVA_CREATE, struct.pack("<HI", 1, 1) + _pva_text(output)))
        _, channel, refusal = struct.unpack_from("<IIB", _pva_reply(connection, _PVA_CREATE))
        if refusal not in (0x00, 0xFF):
            raise RecordError(f"the PVA server of this process does not know {output}")
        connection.sendall(_pva(_PVA_PUT, struct.pack("<IIB", channel, 1, _PVA_INIT) + _PVA_EMPTY_REQUEST))
        refused = _pva_refused(_pva_reply(connection, _PVA_PUT))
        if not refused:
            connection.sendall(_pva(_PVA_PUT, struct.pack("<IIB", channel, 1, 0) + _PVA_NOTHING_CHANGED))
            refused = _pva_refused(_pva_reply(connection, _PVA_PUT))
    if not refused:
        raise RecordError(
            f"a PVA client may write {output}, which is read-only", hint="see `access_security`"
        )


@contextmanager
def _connected(protocol: str, address: str, port: int, output: str) -> Iterator[socket.socket]:
    try:
        with socket.create_connection((address, port), timeout=_PATIENCE) as connection:
            yield connection
    except OSError as error:
        raise RecordError(
            f"the {protocol} server of this process does not answer for {output} at {address}:{port}: {error}",
            hint="a firewall or the EPICS_…_INTF_ADDR_LIST variables may be in the way",
        ) from error


def _interface(variable: str) -> str:
    named = os.environ.get(variable, "").split()
    return named[0].rsplit(":", 1)[0] if named else "127.0.0.1"


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            raise ConnectionError("it closed the connection")
        received += part
    return received


def _ca(command: int, *, text: str = "", count: int = 0, first: int = 0, second: int = 0) -> bytes:
    body = text.encode() + b"\0" if text else b""
    body += bytes(-len(body) % 8)
    return _CA_HEADER.pack(command, len(body), 0, count, first, second) + body


def _pva(command: int, body: bytes) -> bytes:
    return _PVA_HEADER.pack(_PVA_MAGIC, _PVA_PROTOCOL, 0, command, len(body)) + body


def _pva_text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _pva_reply(connection: socket.socket, wanted: int) -> bytes:
    """The body of the next message that is `wanted`; others and control messages are passed over."""
    while True:
        header = _exactly(connection, _PVA_HEADER.size)
        flags, command = header[2], header[3]
        if flags & _PVA_CONTROL:
            continue
        if flags & _PVA_BIG_ENDIAN:
            raise ConnectionError("it speaks PVA in big-endian order")
        body = _exactly(connection, int.from_bytes(header[4:], "little"))
        if command == wanted:
            return body


def _pva_refused(body: bytes) -> bool:
    return body[5] not in (0x00, 0x01, 0xFF)
