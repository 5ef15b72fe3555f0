"""The CA and PVA servers of this process: adding PVA, and the ports that they really have."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

import iocmng.dso  # noqa: F401

# isort: split
import pvxslibs.path  # type: ignore[import-untyped]
from setuptools_dso.runtime import find_dso  # type: ignore[import-untyped]

from iocmng.errors import RecordError
from iocmng.ioc import clib

_CA_PORT, _CA_PORT_VARIABLES = 5064, ("EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT")
_PVA_PORT, _PVA_PORT_VARIABLES = 5075, ("EPICS_PVAS_SERVER_PORT", "EPICS_PVA_SERVER_PORT")


def add_pva() -> None:
    """Add PVA to the servers that EPICS will start.

    Raises:
        RecordError: It cannot be added.
    """
    if clib.load_database(b"pvxsIoc.dbd", pvxslibs.path.dbd_path.encode(), None):
        raise RecordError(f"EPICS cannot read pvxsIoc.dbd in {pvxslibs.path.dbd_path}")
    ctypes.CDLL(find_dso("pvxslibs.lib.pvxsIoc"), ctypes.RTLD_GLOBAL)
    if clib.register_drivers(clib.DATABASE):
        raise RecordError("EPICS cannot register the PVA server")


def ca_port_in_use() -> int:
    """The port that the CA server has got."""
    return _real_port("RSRV_SERVER_PORT")


def pva_port_in_use() -> int:
    """The port that the PVA server has got."""
    return _real_port("PVAS_SERVER_PORT")


def moved_ca(port: int) -> str:
    """Say that the CA server has another port than the one asked for, or ""."""
    return _moved("CA", port, _CA_PORT_VARIABLES, _CA_PORT)


def moved_pva(port: int) -> str:
    """Say that the PVA server has another port than the one asked for, or ""."""
    return _moved("PVA", port, _PVA_PORT_VARIABLES, _PVA_PORT)


def _real_port(variable: str) -> int:
    return int(clib.get_env(variable.encode()) or 0)


def _moved(protocol: str, real: int, variables: Sequence[str], default: int) -> str:
    """A server moves silently when its port is busy."""
    asked = next((value for variable in variables if (value := os.environ.get(variable))), str(default))
    if asked in ("0", str(real)):
        return ""
    return f"{protocol} port {asked} is busy; serving on {real}, which clients find by searching only"
