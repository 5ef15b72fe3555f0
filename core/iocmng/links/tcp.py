"""A TCP connection whose every wait ends at one deadline, and who says hello on it."""

from __future__ import annotations

import getpass
import os
import socket
import time


def identity() -> tuple[str, str]:
    """Return the names of this user and this machine, as access security sees them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no entry in the password file.
        user = str(os.getuid())
    return user, socket.gethostname()


class Stream:
    """Bytes to and from a server.

    Args:
        address: Host and port.
        deadline: `time.monotonic()` at which every wait ends.

    Raises:
        OSError: Nobody listens there, or the deadline has passed (TimeoutError).
    """

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        self._deadline = deadline
        self._socket = socket.create_connection(address, timeout=self._left())
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, message: bytes) -> None:
        """Send all of `message`."""
        self._socket.settimeout(self._left())
        self._socket.sendall(message)

    def receive(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        while len(self._received) < size:
            self._socket.settimeout(self._left())
            chunk = self._socket.recv(65_536)
            if not chunk:
                raise ConnectionError("the server closed the connection")
            self._received += chunk
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left
