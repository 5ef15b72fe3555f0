"""Which tool resolves and unpacks: uv, or pip where uv is not there."""

from __future__ import annotations

import importlib.util
import shutil

from iocmng.errors import InstallFailed
from iocmng.plugins.installing.index import Index
from iocmng.plugins.installing.model import Tell
from iocmng.plugins.installing.resolver_pip import Pip
from iocmng.plugins.installing.resolver_uv import Uv
from iocmng.plugins.installing.resolving import Resolver


def resolver_of(backend: str, index: Index, tell: Tell) -> Resolver:
    """The resolver that `install.backend` names, or pip in place of a uv that is not there.

    Raises:
        InstallFailed: There is neither.
    """
    if backend == "uv":
        if program := uv_program():
            return Uv(program, index)
        tell("uv is not there, pip is used in its place")
    if importlib.util.find_spec("pip") is None:
        raise InstallFailed(
            f"{backend} is not in the host's environment" + (", nor is pip" if backend == "uv" else ""),
            hint="install uv into it (pip install uv), or set install.backend",
        )
    return Pip(index)


def uv_program() -> str | None:
    """The uv that came with the host, else one on the path."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, OSError):
        return shutil.which("uv")
