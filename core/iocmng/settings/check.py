"""Whether the admin endpoint may be opened as it is configured."""

from __future__ import annotations

import ipaddress

from iocmng.config.document import Document
from iocmng.errors import BadInput
from iocmng.settings.layers import Layers
from iocmng.settings.settings import SITE
from iocmng.settings.site import AdminSettings
from iocmng.wire import Role


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    if host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_admin(admin: AdminSettings, token: str | None, layers: Layers, document: Document) -> None:
    """Refuse an endpoint that others could reach without a token.

    Raises:
        BadInput: Another address than loopback without a token, or with too high a role for everybody.
    """
    if is_loopback(admin.host):
        return
    origin = layers.origin("admin.host")
    place = f"{document.where('admin', 'host')}" if origin == SITE else origin
    if not admin.tokens and not token:
        raise BadInput(
            f"{place}: admin.host {admin.host} is open to other machines, and no token is configured",
            hint="add admin.tokens: [{name: ops, role: admin, token_file: PATH}] to the site file, "
            "set IOCMNG_TOKEN, or bind 127.0.0.1",
            code="bind-without-token",
        )
    role = admin.anonymous_role
    if role is not None and role.rank > Role.VIEWER.rank:
        place = f"{document.where('admin', 'anonymous')}"
        raise BadInput(
            f"{place}: admin.anonymous {role} would let anybody who reaches {admin.host} change things",
            hint="use none or viewer, or bind 127.0.0.1",
            code="anonymous",
        )
