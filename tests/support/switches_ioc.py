"""Another IOC with bo records OTHER:NAME: `python switches_ioc.py SCRATCH_DIR NAME...`; OTHER:LOCKED refuses writes.

Prints "ready", then a line of JSON for each change of a PV: {"name", "value"}.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path

from softioc import asyncio_dispatcher, builder, imports, softioc

ACCESS = "ASG(DEFAULT) { RULE(1,READ) RULE(1,WRITE) }\nASG(LOCKED) { RULE(1,READ) }\n"


def tell(name: str, value: float) -> None:
    print(json.dumps({"name": name, "value": int(value)}), flush=True)


def main() -> None:
    scratch, names = Path(sys.argv[1]), sys.argv[2:]
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    builder.SetDeviceName("OTHER")
    for name in names:
        builder.boolOut(name, "Off", "On", initial_value=False, on_update=partial(tell, name))
    builder.boolOut("LOCKED", "Off", "On", initial_value=False, ASG="LOCKED")
    access = scratch / "access.acf"
    access.write_text(ACCESS)
    imports.dbCore.asSetFilename(str(access).encode())
    builder.LoadDatabase()
    softioc.iocInit(dispatcher)
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)


main()
