"""Where the servers of this process send their beacons."""

from __future__ import annotations

import ctypes
import logging
import os
import socket
from collections.abc import Iterable, Iterator

from iocmng.ioc import clib
from iocmng.ioc.beacons import Address

_log = logging.getLogger("iocmng.ioc")
_PVA_BROADCAST = 5076
_ANY = "0.0.0.0"


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
