"""Finding the address and the token: where a client of the same machine looks, and what it may send where."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from iocmng.errors import BadInput
from iocmng.wire import ENDPOINT_FILE, TOKEN_FILE, Endpoint, from_plain, process_started

DEFAULT_URL = "http://127.0.0.1:8080"
RUNTIME_DIR = Path("/run/iocmng")


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token (None when there is none) and the places that were looked at, for the error that may follow."""

    token: str | None
    places: tuple[str, ...]


def normal_url(url: str | None) -> str:
    """Return the address to talk to: what was given, else what the environment says, in one spelling.

    IOCMNG_URL counts first; then the default, with the port IOCMNG_PORT and, if it is a loopback address, the
    host IOCMNG_HOST that a host started in the same environment listens at.

    Raises:
        BadInput: It is no http or https address, or IOCMNG_PORT no port.
    """
    given = (url or os.environ.get("IOCMNG_URL") or _local_url()).strip()
    full = given if "://" in given else f"http://{given}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError as error:
        raise BadInput(f"address {given!r} is no URL: {error}", hint=f"write it like {DEFAULT_URL}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"address {given!r} is no http or https URL", hint=f"write it like {DEFAULT_URL}")
    if parts.username or parts.password:
        raise BadInput("the address holds a user name or password", hint="give the token with --token-file")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if host == "localhost" and parts.scheme == "http":
        host = "127.0.0.1"  # the spelling that hosts record; a certificate may need the name
    path = parts.path.rstrip("/").removesuffix("/api/v1")
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"


def _local_url() -> str:
    default = urlsplit(DEFAULT_URL)
    port = os.environ.get("IOCMNG_PORT", "").strip() or "0"
    if not port.isdigit() or int(port) > 65535:
        raise BadInput(
            f"IOCMNG_PORT={port!r} is no port number", hint="give 0 to 65535, or IOCMNG_URL or --url"
        )
    host = os.environ.get("IOCMNG_HOST", "").strip().strip("[]")
    if not _is_loopback(host):
        host = default.hostname or ""
    # 0 lets the host choose a port, which nobody can know from here.
    return f"http://{f'[{host}]' if ':' in host else host}:{int(port) or default.port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def state_directories() -> Iterator[Path]:
    """State directories of hosts that this user may have started, the one the environment names first."""
    named = os.environ.get("IOCMNG_STATE_DIR")
    if named:
        yield Path(named)
    elif plugins := os.environ.get("IOCMNG_PLUGINS_DIR"):
        yield Path(plugins, ".iocmng")
    root = user_state_root()
    try:
        yield from sorted(entry for entry in root.iterdir() if entry.is_dir())
    except OSError:
        return


def user_state_root() -> Path:
    """The folder that holds a state directory per host prefix."""
    if sys.platform == "linux":  # what platformdirs says there, without the 50 ms that importing it costs
        root = os.environ.get("XDG_STATE_HOME", "").strip() or Path.home() / ".local" / "state"
        return Path(root, "iocmng")
    from platformdirs import user_state_path

    return user_state_path("iocmng")


def _config_file() -> Path:
    if sys.platform == "linux":
        root = Path(os.environ.get("XDG_CONFIG_HOME", "").strip() or Path.home() / ".config", "iocmng")
    else:
        from platformdirs import user_config_path

        root = user_config_path("iocmng")
    return root / "tokens.yaml"


def running_endpoint(directory: Path) -> Endpoint | None:
    """The address that a host recorded in `directory`, when the process that did so still lives."""
    try:
        endpoint = from_plain(Endpoint, json.loads((directory / ENDPOINT_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    try:
        os.kill(endpoint.pid, 0)
    except PermissionError:
        pass  # it lives, under another user
    except (OSError, OverflowError, TypeError):
        return None
    # 0: the system hides when the processes of others began.
    if endpoint.started and process_started(endpoint.pid) not in (0, endpoint.started):
        return None
    return endpoint


def running_hosts() -> tuple[str, ...]:
    """Addresses of the hosts that run on this machine, as far as this user can see."""
    found = (running_endpoint(directory) for directory in (*state_directories(), RUNTIME_DIR))
    return tuple(dict.fromkeys(endpoint.url for endpoint in found if endpoint))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _from_config(path: Path, url: str) -> str | None:
    if not path.exists():
        return None
    import yaml

    try:
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}", hint="it maps URLs to tokens, one a line") from None
    if not isinstance(known, dict):
        return None
    for address, token in known.items():
        if normal_url(str(address)) == url and token:
            return str(token).strip()
    return None


def token_from_file(path: Path) -> str:
    """The token in a file that the user named.

    Raises:
        BadInput: It cannot be read or is empty.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"token file {path} cannot be read: {error}") from None
    if not token:
        raise BadInput(f"token file {path} is empty", hint="it holds the token and nothing else")
    return token


def find_token(url: str, token_file: Path | None = None) -> FoundToken:
    """Look for a token for `url`: file given, IOCMNG_TOKEN, tokens.yaml, state directories, /run/iocmng.

    A token found in a state directory is returned only for the address that the running host recorded beside
    it, so that whatever else listens there never gets it.
    """
    if token_file is not None:
        return FoundToken(token_from_file(token_file), (str(token_file),))
    places = ["IOCMNG_TOKEN"]
    if named := os.environ.get("IOCMNG_TOKEN", "").strip():
        return FoundToken(named, tuple(places))
    config = _config_file()
    places.append(str(config))
    if configured := _from_config(config, url):
        return FoundToken(configured, tuple(places))
    directories = [*state_directories(), RUNTIME_DIR]
    for directory in directories:
        places.append(str(directory / TOKEN_FILE))
        endpoint = running_endpoint(directory)
        if endpoint and endpoint.url == url and (token := _read(directory / TOKEN_FILE)):
            return FoundToken(token, tuple(places))
    return FoundToken(None, tuple(places))
