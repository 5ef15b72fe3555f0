"""The listening socket, taken before anything else starts; imports none of the web framework."""

from __future__ import annotations

import errno
import socket

from iocmng.errors import BadInput, BootFailed

BACKLOG = 128


def bind(host: str, port: int) -> socket.socket:
    """Take the address, so that a busy one is noticed before anything else starts.

    Raises:
        BadInput: The address or port cannot be used at all.
        BootFailed: Another program holds it.
    """
    if not 0 <= port <= 65535:
        raise BadInput(f"admin.port {port} is no port", hint="0 to 65535; 0 takes any free one")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise BadInput(
            f"admin.host {host!r} is no address of this machine: {error}", hint="try 127.0.0.1"
        ) from None
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(BACKLOG)
    except OSError as error:
        taken.close()
        raise _unbound(host, port, error) from None
    taken.setblocking(False)
    return taken


def listens_at(listening: socket.socket, host: str, port: int) -> bool:
    """Whether a socket listens at what `bind` would take for this address; any port where the port is 0."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        present = listening.getsockname()
    except (OSError, UnicodeError, OverflowError):
        return False
    return listening.family == family and present[0] == address[0] and port in (0, present[1])


def _unbound(host: str, port: int, error: OSError) -> BadInput | BootFailed:
    where = f"http address {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return BootFailed(
            f"{where} is in use by another program",
            hint="stop it (`iocmng status` tells whether it is a host), or choose --port or IOCMNG_PORT",
            code="port-in-use",
        )
    if error.errno == errno.EACCES:
        return BadInput(
            f"{where} needs privileges that this user lacks", hint="take a port above 1023 with --port"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return BadInput(f"{where}: this machine has no such address", hint="try --host 127.0.0.1")
    return BadInput(
        f"{where} cannot be used: {error.strerror or error}", hint="take another with --host and --port"
    )
