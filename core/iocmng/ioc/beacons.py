"""Beacons that make clients search again: for CA's server of this process and for its PVA server.

A client that has long been waiting for a name searches rarely. It takes a beacon that comes out of turn, or
from a server it has not heard of, as a sign that there is something new, and searches at once.
"""

from __future__ import annotations

import ctypes
import ipaddress
import logging
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from itertools import count

from iocmng.ioc import clib

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
_PVA_BROADCAST = 5076
_ANY = "0.0.0.0"

Address = tuple[str, int]


def ca_beacon(sequence: int, port: int) -> bytes:
    """A beacon of a CA server that listens on `port` of the address it comes from."""
    return _CA_BEACON.pack(_CA_RSRV_IS_UP, 0, _CA_MINOR, port, sequence & 0xFFFFFFFF, 0)


def pva_beacon(guid: bytes, sequence: int, port: int) -> bytes:
    """A beacon of a PVA server that listens on `port` of the address it comes from."""
    protocol = b"tcp"
    body = _PVA_BODY.pack(guid, 0, sequence & 0xFF, 0, bytes(16), port)
    body += bytes([len(protocol)]) + protocol + bytes([_PVA_NO_STATUS])
    return (
        _PVA_HEADER.pack(_PVA_MAGIC, _PVA_VERSION, _PVA_FROM_SERVER_BIG_ENDIAN, _PVA_BEACON, len(body)) + body
    )


def addresses(text: str, port: int) -> list[Address]:
    """The addresses of a list such as `10.0.0.255 example:5066`; what nobody can resolve is left out."""
    found = []
    for each in text.split():
        host, _, number = each.partition("@")[0].partition(",")[0].partition(":")
        try:
            found.append((socket.gethostbyname(host), int(number) if number else port))
        except (OSError, ValueError) as error:
            _log.warning("no beacons go to %r: %s", each, error)
    return found


class Announcer:
    """Sends bursts of beacons from a thread of its own, one after another."""

    def __init__(self) -> None:
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
                targets = ca_targets()
                for seconds in CA_PAUSES:
                    _send(sender, ca_beacon(next(self._sequence), self._ca_port), targets)
                    pause.wait(seconds)
            if self._pva_port:
                targets = pva_targets()
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


class _Node(ctypes.Structure):
    """A node of a list of addresses: an IPv4 one follows the links."""

    _fields_ = [
        ("next", ctypes.c_void_p),
        ("previous", ctypes.c_void_p),
        ("family", ctypes.c_ushort),
        ("port", ctypes.c_ubyte * 2),
        ("host", ctypes.c_ubyte * 4),
    ]


class _List(ctypes.Structure):
    """EPICS' list of nodes."""

    _fields_ = [("first", ctypes.c_void_p), ("last", ctypes.c_void_p), ("count", ctypes.c_int)]


def ca_targets() -> list[Address]:
    """Where the CA server of this process sends its own beacons."""
    found = list(_walk(_List.in_dll(clib.LIBRARY, "beaconAddrList")))
    return found or [("127.0.0.1", int(clib.get_env(b"EPICS_CAS_BEACON_PORT") or b"5065"))]


def _walk(nodes: _List) -> Iterator[Address]:
    at = nodes.first
    while at:
        node = _Node.from_address(at)
        if node.family == socket.AF_INET:
            yield socket.inet_ntoa(bytes(node.host)), int.from_bytes(bytes(node.port), "big")
        at = node.next


def pva_targets() -> list[Address]:
    """Where the PVA server of this process sends its own beacons, by the environment that it was started with."""
    port = int(_setting("BROADCAST_PORT") or _PVA_BROADCAST)
    listed = addresses(_setting("BEACON_ADDR_LIST", "ADDR_LIST"), port)
    if _setting("AUTO_BEACON_ADDR_LIST", "AUTO_ADDR_LIST").strip().upper() != "NO":
        interfaces = [host for host, _ in addresses(os.environ.get("EPICS_PVAS_INTF_ADDR_LIST", ""), 0)]
        listed += [(host, port) for host in broadcasts(interfaces or [_ANY])]
    return list(dict.fromkeys(listed))


def _setting(of_server: str, of_both: str = "") -> str:
    return (
        os.environ.get(f"EPICS_PVAS_{of_server}") or os.environ.get(f"EPICS_PVA_{of_both or of_server}") or ""
    )


def broadcasts(interfaces: Iterable[str]) -> list[str]:
    """The broadcast addresses of this machine's network interfaces that have these addresses; 0.0.0.0 means all."""
    found: list[str] = []
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        for interface in interfaces:
            nodes = _List()
            wanted = _Node(family=socket.AF_INET if interface != _ANY else socket.AF_UNSPEC)
            wanted.host[:] = socket.inet_aton(interface)
            clib.discover_broadcasts(
                ctypes.byref(nodes), asking.fileno(), ctypes.byref(wanted, _Node.family.offset)
            )
            found += [host for host, _ in _walk(nodes)]
            clib.free_list(ctypes.byref(nodes), clib.free)
    return found
