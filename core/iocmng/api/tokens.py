"""The tokens a host knows: its own, the site file's, and created ones, kept as salted hashes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iocmng.errors import BadInput, NotFound, Refused
from iocmng.names import did_you_mean, plugin_name_problem
from iocmng.runtime.files import parse_object, read_state, write_atomic
from iocmng.wire import TOKEN_FILE, NewToken, Role, TokenView

LOCAL = "local"
TOKENS_FILE = "tokens.json"
SHORTEST = 16
LONGEST = 512
_MAKE_ONE = 'make one with: python -c "import secrets; print(secrets.token_urlsafe())"'


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteToken:
    """A token from the site file; its secret stays out of every representation."""

    name: str
    role: Role
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what is no secret.

        Raises:
            BadInput: It is too short, too long, or no single word.
        """
        if problem := _weakness(self.secret):
            raise BadInput(f"token {self.name!r} {problem}", hint=_MAKE_ONE)


@dataclass(frozen=True, slots=True)
class _Kept:
    view: TokenView
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def fits(self, secret: bytes) -> bool:
        return hmac.compare_digest(self.digest, _digest(self.salt, secret))


@dataclass(frozen=True, slots=True)
class Renewal:
    """A change that is checked and not made yet: `renewed` names tokens with other secrets, `apply` makes it."""

    renewed: tuple[str, ...]
    apply: Callable[[], None]


def _weakness(secret: str) -> str:
    fits = (
        SHORTEST <= len(secret) <= LONGEST and secret.isascii() and secret.isprintable() and " " not in secret
    )
    size = f"{SHORTEST} to {LONGEST} ASCII characters"
    return "" if fits else f"holds {len(secret)} characters; a token is one word of {size}"


def read_site_token(name: str, role: Role, path: Path) -> SiteToken:
    """Read a token that the site file names.

    Raises:
        BadInput: The file cannot be read, or what it holds is too short to be a secret.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"token {name!r}: token_file {path} cannot be read: {error}",
            hint="the file holds the token and nothing else, mode 0600, owned by the host's user",
        ) from None
    if problem := _weakness(secret):
        raise BadInput(f"token {name!r}: token_file {path} {problem}", hint=f"{_MAKE_ONE} > {path}")
    return SiteToken(name=name, role=role, secret=secret)


class TokenStore:
    """All tokens of a host.

    Args:
        state_dir: Where the host's own token and the hashes of created ones are kept.
        site: Tokens of the site file.

    Raises:
        BadInput: Two tokens have one name, or the token file of the state directory is not safe to use.
    """

    def __init__(self, state_dir: Path, site: Iterable[SiteToken] = ()) -> None:
        self._path = state_dir / TOKENS_FILE
        self._lock = threading.Lock()
        self._fixed = _fixed(_keep(LOCAL, Role.ADMIN, "local", own_token(state_dir)), site)
        found = read_state(self._path, _parse)
        self.problem = found.problem
        self._created = {name: kept for name, kept in (found.value or {}).items() if name not in self._fixed}

    def renewal(self, site: Iterable[SiteToken]) -> Renewal:
        """Prepare to know other tokens of the site file.

        Raises:
            BadInput: Two tokens have one name.
        """
        given = tuple(site)
        fixed = _fixed(self._fixed[LOCAL], given)
        renewed = tuple(
            token.name
            for token in given
            if token.name in self._fixed and not self._fixed[token.name].fits(token.secret.encode())
        )

        def apply() -> None:
            with self._lock:
                self._fixed = fixed
                self._created = {name: kept for name, kept in self._created.items() if name not in fixed}

        return Renewal(renewed, apply)

    @property
    def configured(self) -> bool:
        """Whether the site file names a token."""
        return len(self._fixed) > 1

    def identify(self, secret: str) -> TokenView | None:
        """The token that `secret` is; takes as long whichever it is."""
        if len(secret) > LONGEST:
            return None
        raw = secret.encode("utf-8", "surrogateescape")
        fitting = [kept.view for kept in (*self._fixed.values(), *self._created.values()) if kept.fits(raw)]
        return fitting[0] if fitting else None

    def views(self) -> tuple[TokenView, ...]:
        """All tokens, without their secrets."""
        return tuple(kept.view for kept in (*self._fixed.values(), *self._created.values()))

    def create(self, name: str, role: Role) -> NewToken:
        """Make a token and keep its hash; blocks for a write to disk.

        Raises:
            BadInput: The name or the role cannot be used.
            Refused: There is one of that name.
        """
        if problem := plugin_name_problem(name):
            raise BadInput(f"token {problem}", hint="letters, digits, - and _")
        if role is Role.NONE:
            raise BadInput("a token needs a role", hint="viewer, operator or admin")
        secret = secrets.token_urlsafe(32)
        with self._lock:
            if name in self._fixed or name in self._created:
                raise Refused(
                    f"there is a token named {name!r}", hint="revoke it first, or take another name"
                )
            kept = _keep(name, role, "created", secret, time.time())
            self._save({**self._created, name: kept})
        return NewToken(name=name, role=role, token=secret)

    def revoke(self, name: str) -> None:
        """Forget a created token; blocks for a write to disk.

        Raises:
            NotFound: There is none of that name.
            Refused: It is the host's own or one of the site file.
        """
        with self._lock:
            if name in self._fixed:
                remedy = (
                    f"remove {self._path.with_name(TOKEN_FILE)} and restart the host: it makes a new one"
                    if name == LOCAL
                    else "take it out of the site file and run: iocmng config reload"
                )
                raise Refused(f"token {name!r} was not created here", hint=remedy)
            if name not in self._created:
                raise NotFound(f"no token is named {name[:80]!r}", hint=did_you_mean(name, self._created))
            self._save({known: kept for known, kept in self._created.items() if known != name})

    def _save(self, created: dict[str, _Kept]) -> None:
        content = {
            name: {
                "role": kept.view.role.value,
                "created": kept.view.created,
                "salt": kept.salt.hex(),
                "sha256": kept.digest.hex(),
            }
            for name, kept in created.items()
        }
        # No backups: a revoked token must not come back with one.
        write_atomic(self._path, json.dumps(content, indent=1).encode("ascii"), keep=0)
        self._created = created


def _fixed(local: _Kept, site: Iterable[SiteToken]) -> dict[str, _Kept]:
    found = {LOCAL: local}
    for token in site:
        if token.name in found:
            raise BadInput(
                f"two tokens are named {token.name!r}", hint=f"names are unique, and {LOCAL!r} is the host's"
            )
        found[token.name] = _keep(token.name, token.role, "site", token.secret)
    return found


def own_token(state_dir: Path) -> str:
    """The host's own token from `<state dir>/token`, made when there is none; mode 0600.

    Raises:
        BadInput: Somebody else's file or a link stands there.
    """
    path = state_dir / TOKEN_FILE
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, os.O_RDWR | flags)
    except FileNotFoundError:
        return _new_token(path)
    except OSError as error:
        raise BadInput(f"token file {path} cannot be used: {error.strerror}", hint="remove it") from None
    with os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise BadInput(f"token file {path} belongs to user {status.st_uid}", hint="remove it")
        secret = file.read(LONGEST + 1).strip()
        if stat.S_IMODE(status.st_mode) & 0o077 or not SHORTEST <= len(secret) <= LONGEST:
            # Others could read it, or it is cut short: what it holds is no secret any more.
            path.unlink()
            return _new_token(path)
    return secret


def _new_token(path: Path) -> str:
    secret = secrets.token_urlsafe(32)
    write_atomic(path, f"{secret}\n".encode("ascii"), keep=0)
    return secret


def _digest(salt: bytes, secret: bytes) -> bytes:
    return hashlib.sha256(salt + secret).digest()


def _keep(name: str, role: Role, origin: str, secret: str, created: float = 0.0) -> _Kept:
    salt = secrets.token_bytes(16)
    view = TokenView(name=name, role=role, origin=origin, created=created)
    return _Kept(view, salt, _digest(salt, secret.encode("utf-8")))


def _parse(content: bytes) -> dict[str, _Kept]:
    found: dict[str, _Kept] = {}
    for name, entry in parse_object(content).items():
        found[name] = _parse_one(name, entry)
    return found


def _parse_one(name: str, entry: Any) -> _Kept:
    try:
        view = TokenView(
            name=name, role=Role(entry["role"]), origin="created", created=float(entry["created"])
        )
        return _Kept(view, bytes.fromhex(entry["salt"]), bytes.fromhex(entry["sha256"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"token {name!r} lacks {error}") from None
