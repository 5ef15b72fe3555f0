"""What the world sees of access tokens: never the secret, but once, when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from iocmng.wire.host import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token: name, role, origin (`local`, `site`, `created`); `created` in seconds since 1970-01-01 UTC."""

    name: str
    role: Role
    origin: str
    created: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token just made, with the secret that is shown this once."""

    name: str
    role: Role
    token: str
