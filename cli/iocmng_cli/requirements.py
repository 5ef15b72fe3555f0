"""Requirements as people type them: paths of this machine made whole, all else left as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from iocmng.errors import BadInput

_INDEX = "index"
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})


def located(text: str, url: str) -> str:
    """A requirement for the host at `url`: the path of a wheel or folder is made absolute.

    Raises:
        BadInput: There is no such file, and the host is on this machine.
    """
    if not _is_path(text):
        return text
    path = Path(text).expanduser()
    # `..` after a link is where the link leads.
    path = path.resolve() if ".." in path.parts else path.absolute()
    if urlsplit(url).hostname in _HERE and not path.exists():
        raise BadInput(
            f"there is no {path}", hint="the path of a wheel, of a folder with a plugin, or of a bundle"
        )
    return str(path)


def bare_folders(texts: Iterable[str]) -> list[str]:
    """Words that were taken for names of an index, and name a folder here too."""
    return [text for text in texts if not _is_path(text) and "/" not in text and Path(text).is_dir()]


def asked_for(requirement: str, origins: Mapping[str, str]) -> str:
    """What somebody typed for a requirement: the place of what was built, else the requirement itself."""
    origin = origins.get(_name(requirement), _INDEX)
    return requirement if origin == _INDEX else origin


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def _is_path(text: str) -> bool:
    if text in (".", "..") or text.startswith(("./", "../", "/", "~")) or text.endswith(".whl"):
        return "://" not in text
    return "/" in text and "://" not in text and "@" not in text and ";" not in text
