"""The environment in which packages are built: what a build asks for comes from the site's index as well."""

from __future__ import annotations

import re

from iocmng.plugins.installing.index import Index

_PLACES = re.compile(
    r"(UV|PIP)_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CONFIG_FILE)"
)
_LOGIN = re.compile(r"://[^/@\s]+@")
_NOWHERE = "file:///nonexistent"
"""An index without anything: uv knows no variable that forbids all of them."""


def build_environ(index: Index) -> dict[str, str]:
    """The host's environment with the site's index for `build`.

    The code that builds sees its environment, so an index with a login is not told to it: then only what the base
    has can build, and nothing is taken from elsewhere in its place.
    """
    if not index.configured:
        return dict(index.environ)
    found = {name: value for name, value in index.environ.items() if not _PLACES.fullmatch(name)}
    if (folder := index.wheels) is not None:
        links = str(folder)
        return {**found, "UV_DEFAULT_INDEX": _NOWHERE, "PIP_NO_INDEX": "1", **_links(links)}
    address = index.variables("UV").get("UV_DEFAULT_INDEX", _NOWHERE)
    if _LOGIN.search(address):
        return {**found, "UV_DEFAULT_INDEX": _NOWHERE, "PIP_NO_INDEX": "1"}
    return {**found, "UV_DEFAULT_INDEX": address, "PIP_INDEX_URL": address}


def _links(folder: str) -> dict[str, str]:
    # uv splits its variable at commas, pip at blanks; who names folders so goes without.
    if re.search(r"[,\s]", folder):
        return {}
    return {"UV_FIND_LINKS": folder, "PIP_FIND_LINKS": folder}
