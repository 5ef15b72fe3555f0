"""Where wheels come from: the site's index as environment of uv and pip, and its secrets kept out of sight."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from iocmng.errors import BadInput
from iocmng.settings.childenv import child_environment

HIDDEN = "***"
_LOGIN = re.compile(r"://[^/@\s]+@")
# What concerns indexes, network and caches. Others (PIP_TARGET, UV_SYSTEM_PYTHON, …) would change what a tool does.
_OF_TOOLS = re.compile(
    r"(UV|PIP)_(DEFAULT_INDEX|INDEX.*|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CONFIG_FILE|NO_CONFIG|CACHE_DIR|NO_CACHE.*|"
    r"KEYRING_PROVIDER|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST|TRUSTED_HOST|OFFLINE|HTTP_.*|REQUEST_TIMEOUT|"
    r"DEFAULT_TIMEOUT|TIMEOUT|RETRIES|CERT|CLIENT_CERT|PROXY|CONCURRENT_.*|EXCLUDE_NEWER|PRERELEASE|PRE)"
)
_PROXIES = re.compile(r"(?i)(https?|all|no)_proxy")
_PASSWORDS = re.compile(r"UV_INDEX_.*_PASSWORD")
_PLACES = re.compile(
    r"(UV|PIP)_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CONFIG_FILE)"
)
_PYTHON = ("PYTHON", "VIRTUAL_ENV", "CONDA_")


@dataclass(frozen=True, slots=True)
class Index:
    """The index that the site names, or with `address` "" whatever the tools are configured for.

    Attributes:
        address: A URL, or the absolute path of a folder; secrets included.
        environ: The host's environment.
        only: A folder of wheels in place of every index.
    """

    address: str
    environ: Mapping[str, str]
    only: Path | None = None

    @classmethod
    def of(cls, setting: str | None, environ: Mapping[str, str]) -> Index:
        """Read `install.index`.

        Raises:
            BadInput: It is neither a URL nor an absolute path.
        """
        text = (setting or "").strip()
        if text and "://" not in text:
            folder = Path(text).expanduser()
            if not folder.is_absolute():
                raise BadInput(
                    f"install.index {text!r} is neither a URL nor an absolute path",
                    hint="write https://…/simple/ or /folder/of/wheels",
                )
            text = str(folder)
        return cls(text, environ)

    def with_only(self, folder: Path) -> Index:
        """The same tools, which look for wheels in that folder and nowhere else."""
        return Index(self.address, self.environ, folder)

    @property
    def _folder(self) -> Path | None:
        """The folder of an index on this machine."""
        parts = urlsplit(self.address)
        if self.address.startswith("/"):
            return Path(self.address)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def wheels(self) -> Path | None:
        """The folder where wheels lie side by side, None for an index with a page for each name."""
        if self.only:
            return self.only
        folder = self._folder
        return folder if folder and not (folder.is_dir() and _paged(folder)) else None

    def variables(self, tool: str) -> dict[str, str]:
        """The environment of `UV` or `PIP`: the host's without secrets but the tool's own, and the index."""
        hidden = (*_PYTHON, "UV_", "PIP_")
        common = child_environment(self.environ).items()
        found = {key: value for key, value in common if not key.startswith(hidden)}
        own = (_OF_TOOLS, _PROXIES)
        found |= {k: v for k, v in self.environ.items() if any(pattern.fullmatch(k) for pattern in own)}
        if not self.address and not self.only:
            return found
        found = {key: value for key, value in found.items() if not _PLACES.fullmatch(key)}
        if not self.wheels:
            folder = self._folder
            address = folder.as_uri() if folder else self.address
            found["UV_DEFAULT_INDEX" if tool == "UV" else "PIP_INDEX_URL"] = address
        if tool == "PIP":
            found["PIP_CONFIG_FILE"] = os.devnull
        return found

    @property
    def arguments(self) -> tuple[str, ...]:
        """Words for uv and pip; what may hold a secret is in `variables`."""
        # As an address: lists are split at blanks and commas, which a path may hold.
        return ("--no-index", "--find-links", self.wheels.as_uri()) if self.wheels else ()

    @property
    def configured(self) -> bool:
        """Whether the site says where to look, so that the tools' own files do not count."""
        return bool(self.address or self.only)

    def login(self, url: str) -> tuple[str, str] | None:
        """User and password for a wheel of an index that needs them, None for none."""
        host = urlsplit(url).netloc.rpartition("@")[2]
        for address in self._addresses():
            parts = urlsplit(address)
            if parts.netloc.rpartition("@")[2] == host and parts.username is not None:
                return unquote(parts.username), unquote(parts.password or "")
        return None

    def redacted(self, text: str) -> str:
        """A text of a tool without logins and without the secrets of index addresses."""
        return redacted(text, self._secrets())

    def _addresses(self) -> Iterable[str]:
        yield self.address
        for key, value in self.environ.items():
            if _OF_TOOLS.fullmatch(key):
                yield from (word[word.find("=") + 1 :] if "=" in word else word for word in value.split())

    def _secrets(self) -> Iterable[str]:
        yield from (value for key, value in self.environ.items() if _PASSWORDS.fullmatch(key))
        for address in self._addresses():
            parts = urlsplit(address) if "@" in address else None
            if parts is not None:
                yield from filter(None, (parts.password, parts.username if not parts.password else ""))


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without logins in addresses and without these secrets, plain or as an address writes them."""
    shown = _LOGIN.sub(f"://{HIDDEN}@", text)
    for secret in secrets:
        # Short ones would take ordinary words with them; as part of an address they are gone already.
        if len(secret) >= 4:
            shown = shown.replace(secret, HIDDEN).replace(unquote(secret), HIDDEN)
    return shown


def _paged(folder: Path) -> bool:
    """Whether a folder is arranged as indexes are: a folder for each name and no wheels beside them."""
    entries = list(folder.iterdir())
    return any(entry.is_dir() for entry in entries) and not any(entry.suffix == ".whl" for entry in entries)
