"""The admin endpoint: HTTP over `HostControl`, with roles and tokens."""

from iocmng.api.access import Access, forget_endpoint, record_endpoint
from iocmng.api.app import create_app
from iocmng.api.server import Server, Tls, bind
from iocmng.api.tokens import SiteToken, TokenStore, read_site_token

__all__ = [
    "Access",
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
