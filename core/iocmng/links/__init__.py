"""Clients of PVs elsewhere over CA and PVA."""

from iocmng.links.clients import Links, make_client
from iocmng.links.errors import LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.links.protocol import LinkAddress, Provider, PvClient, parse_link
from iocmng.links.toggle import HeartbeatLink

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
