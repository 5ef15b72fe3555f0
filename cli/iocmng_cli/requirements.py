"""Requirements as people type them: paths of this machine made whole, all else left as it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from iocmng.errors import BadInput

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
        raise BadInput(f"there is no {path}", hint="the path of a wheel or of a folder with a plugin")
    return str(path)


def bare_folders(texts: Iterable[str]) -> list[str]:
    """Words that were taken for names of an index, and name a folder here too."""
    return [text for text in texts if not _is_path(text) and "/" not in text and Path(text).is_dir()]


def _is_path(text: str) -> bool:
    if text in (".", "..") or text.startswith(("./", "../", "/", "~")) or text.endswith(".whl"):
        return "://" not in text
    return "/" in text and "://" not in text and "@" not in text and ";" not in text
