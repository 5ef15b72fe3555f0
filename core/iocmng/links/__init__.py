"""Clients of PVs elsewhere over CA and PVA."""

from iocmng.errors import LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.links.clients import Links, make_client
from iocmng.links.toggle import HeartbeatLink
from iocmng.names import LinkAddress, Provider, parse_link
from iocmng.runtime.ports import PvClient

__all__ = [
    "HeartbeatLink",
    "LinkAddress",
    "LinkError",
    "LinkRefused",
    "LinkTimeout",
    "LinkValueError",
    "Links",
    "Provider",
    "PvClient",
    "make_client",
    "parse_link",
]
