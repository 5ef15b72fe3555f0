"""An IOC of native records only: `python benchmarks/native_ioc.py FILE.db` serves them until its input ends."""

from __future__ import annotations

import ctypes
import sys

import pvxslibs.path
from epicscorelibs.ioc import pdbbase
from setuptools_dso.runtime import find_dso
from softioc import asyncio_dispatcher, imports, softioc


def main() -> None:
    """Load the database, say that it is served."""
    # softioc registers PV Access only after databases were loaded: too late for links of that kind.
    softioc.dbLoadDatabase("pvxsIoc.dbd", pvxslibs.path.dbd_path, None)
    ctypes.CDLL(find_dso("pvxslibs.lib.pvxsIoc"), ctypes.RTLD_GLOBAL)
    imports.registerRecordDeviceDriver(pdbbase)
    softioc.dbLoadDatabase(sys.argv[1])
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher(), enable_pva=False)
    print("serving", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
