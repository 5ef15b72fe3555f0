"""A softioc source for the link tests, in a process of its own: `python links_source.py PREFIX SCRATCH_DIR`.

Prints "ready CA_PORT PVA_PORT" when it serves; lines `NAME PYTHON_LITERAL` on its standard input set.
"""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

from softioc import asyncio_dispatcher, builder, imports, softioc

ACCESS = """ASG(DEFAULT) { RULE(1,READ) RULE(1,WRITE) }
ASG(LOCKED) { RULE(1,READ) }
"""

RECORDS = """record(ai, "%(P)s:READONLY") { field(VAL, "4.5") field(ASG, "LOCKED") field(PINI, "YES") }
record(lso, "%(P)s:TEXT") { field(SIZV, "200") }
record(waveform, "%(P)s:NAMES") { field(FTVL, "STRING") field(NELM, "4") field(INP, {const: ["one", "two"]}) }
"""


def main() -> None:
    prefix, scratch = sys.argv[1], Path(sys.argv[2])
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    builder.SetDeviceName(prefix)
    records = {
        "FLOAT": builder.aOut(
            "FLOAT", initial_value=1.5, EGU="mm", HIHI=100, HHSV="MAJOR", always_update=True
        ),
        "INT": builder.longOut("INT", initial_value=7),
        "BIG": builder.int64Out("BIG", initial_value=2**40),
        "BOOL": builder.boolOut("BOOL", "Closed", "Open", initial_value=True),
        "ENUM": builder.mbbOut("ENUM", "Idle", "Ramping", "Hold", initial_value=1),
        "STRING": builder.stringOut("STRING", initial_value="beam on"),
        "ARRAY": builder.WaveformOut("ARRAY", initial_value=[1.0, 2.0, 3.0], length=16),
        "INTS": builder.WaveformOut("INTS", initial_value=[1, 2, 3], length=4, datatype="int32"),
        "BYTES": builder.WaveformOut("BYTES", initial_value=[0], length=32, datatype="int8"),
        "TARGET": builder.aOut("TARGET", initial_value=0.0),
    }
    access = scratch / "access.acf"
    access.write_text(ACCESS)
    imports.dbCore.asSetFilename(str(access).encode())
    builder.LoadDatabase()
    database = scratch / "more.db"
    database.write_text(RECORDS % {"P": prefix})
    softioc.dbLoadDatabase(str(database))
    softioc.iocInit(dispatcher)
    print("ready", os.environ["EPICS_CA_SERVER_PORT"], os.environ["EPICS_PVAS_SERVER_PORT"], flush=True)

    for line in sys.stdin:
        name, _, literal = line.strip().partition(" ")
        records[name].set(ast.literal_eval(literal))
    os._exit(0)


main()
