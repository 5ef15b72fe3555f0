"""Beacons that make clients search again: for CA's server of this process and for its PVA server.

A client that has long been waiting for a name searches rarely. It takes a beacon that comes out of turn, or
from a server it has not heard of, as a sign that there is something new, and searches at once.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from itertools import count

_log = logging.getLogger("iocmng.ioc")

_CA_BEACON = struct.Struct(">HHHHII")
_CA_RSRV_IS_UP, _CA_MINOR = 13, 13
CA_PAUSES = (0.2, 0.1, 0.05, 0.0)
"""Seconds after each CA beacon. A client that knows the server finds the first one early; to one that does not
the first is a server, the second a period, and the others come too soon."""
PVA_PAUSES = (0.1, 0.1, 0.0)

_PVA_HEADER = struct.Struct(">BBBBI")
_PVA_MAGIC, _PVA_VERSION, _PVA_FROM_SERVER_BIG_ENDIAN, _PVA_BEACON = 0xCA, 2, 0xC0, 0
_PVA_BODY = struct.Struct(">12sBBH16sH")
_PVA_NO_STATUS = 0xFF
_ANY_ADDRESS = bytes(10) + b"\xff\xff" + bytes(4)

Address = tuple[str, int]
Targets = Callable[[], Iterable[Address]]


def ca_beacon(sequence: int, port: int) -> bytes:
    """A beacon of a CA server that listens on `port` of the address it comes from."""
    return _CA_BEACON.pack(_CA_RSRV_IS_UP, 0, _CA_MINOR, port, sequence & 0xFFFFFFFF, 0)


def pva_beacon(guid: bytes, sequence: int, port: int) -> bytes:
    """A beacon of a PVA server that listens on `port` of the address it comes from."""
    protocol = b"tcp"
    body = _PVA_BODY.pack(guid, 0, sequence & 0xFF, 0, _ANY_ADDRESS, port)
    body += bytes([len(protocol)]) + protocol + bytes([_PVA_NO_STATUS])
    return (
        _PVA_HEADER.pack(_PVA_MAGIC, _PVA_VERSION, _PVA_FROM_SERVER_BIG_ENDIAN, _PVA_BEACON, len(body)) + body
    )


class Announcer:
    """Sends bursts of beacons from a thread of its own, one after another.

    Args:
        ca_targets: Where the CA server sends its own beacons; asked anew for each burst.
        pva_targets: The same of the PVA server.
    """

    def __init__(self, ca_targets: Targets, pva_targets: Targets) -> None:
        self._ca_targets = ca_targets
        self._pva_targets = pva_targets
        self._lock = threading.Lock()
        self._asked = False
        self._running = False
        self._ca_port = 0
        self._pva_port = 0
        # Far from the server's own counter, which begins at 0, and forward: numbers just behind it are not heard.
        self._sequence = count(int.from_bytes(os.urandom(3), "big") + 2**30)

    def use(self, ca_port: int, pva_port: int) -> None:
        """Take note of where the servers listen; 0 for one that does not run."""
        self._ca_port, self._pva_port = ca_port, pva_port

    def announce(self) -> None:
        """Send a burst soon; what is asked for during one leads to one more."""
        with self._lock:
            self._asked = True
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="iocmng beacons", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._asked:
                    self._running = False
                    return
                self._asked = False
            try:
                self._burst()
            except OSError as error:
                _log.warning("clients that wait for new PVs were not told of them: %s", error)

    def _burst(self) -> None:
        pause = threading.Event()
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if self._ca_port:
                targets = self._ca_targets()
                for seconds in CA_PAUSES:
                    _send(sender, ca_beacon(next(self._sequence), self._ca_port), targets)
                    pause.wait(seconds)
            if self._pva_port:
                targets = self._pva_targets()
                for number, seconds in enumerate(PVA_PAUSES):
                    _send(sender, pva_beacon(os.urandom(12), number, self._pva_port), targets)
                    pause.wait(seconds)


def _send(sender: socket.socket, message: bytes, targets: Iterable[Address]) -> None:
    for target in targets:
        try:
            if ipaddress.ip_address(target[0]).is_multicast:
                sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            sender.sendto(message, target)
        except OSError as error:
            _log.debug("no beacon to %s:%d: %s", *target, error)
