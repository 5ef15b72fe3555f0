"""The admin endpoint: HTTP over `HostControl`, roles and tokens; lazy, as the framework imports slowly."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iocmng.api.access import Access, forget_endpoint, record_endpoint
    from iocmng.api.additions import Additions
    from iocmng.api.app import create_app
    from iocmng.api.listening import bind
    from iocmng.api.server import Server, Tls
    from iocmng.api.tokens import SiteToken, TokenStore, read_site_token

_HOMES = {
    "Access": "access",
    "Additions": "additions",
    "Server": "server",
    "SiteToken": "tokens",
    "Tls": "server",
    "TokenStore": "tokens",
    "bind": "listening",
    "create_app": "app",
    "forget_endpoint": "access",
    "read_site_token": "tokens",
    "record_endpoint": "access",
}

__all__ = [
    "Access",
    "Additions",
    "Server",
    "SiteToken",
    "Tls",
    "TokenStore",
    "bind",
    "create_app",
    "forget_endpoint",
    "read_site_token",
    "record_endpoint",
]


def __getattr__(name: str) -> Any:
    """Import the home of a name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'iocmng.api' has no attribute {name!r}")
    return getattr(import_module(f"iocmng.api.{_HOMES[name]}"), name)
