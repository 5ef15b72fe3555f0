"""Another IOC with records OTHER:NAME: `python switches_ioc.py SCRATCH_DIR NAME…`; OTHER:LOCKED refuses writes.

NAME alone is a bo that tells when its value changes; NAME=KIND and NAME=KIND:INITIAL (bool, int, float, string, array)
tells every write. Prints "ready", then a line of JSON for each: {"name", "value"}. Lines on its standard input:
`set NAME SEVERITY PYTHON_LITERAL`, and `slow NAME SECONDS` (every write of that record takes so long from then on).
"""

from __future__ import annotations

import ast
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from softioc import alarm, asyncio_dispatcher, builder, imports, softioc

ACCESS = "ASG(DEFAULT) { RULE(1,READ) RULE(1,WRITE) }\nASG(LOCKED) { RULE(1,READ) }\n"
INITIAL: dict[str, Any] = {"bool": False, "int": 0, "float": 0.0, "string": "", "array": [0.0]}
MAKE: dict[str, Callable[..., Any]] = {
    "bool": partial(builder.boolOut, ZNAM="Off", ONAM="On"),
    "int": builder.longOut,
    "float": builder.aOut,
    "string": builder.stringOut,
    "array": partial(builder.WaveformOut, length=16),
}
delays: dict[str, float] = {}
alarmed: set[str] = set()


def tell(name: str, value: Any) -> None:
    print(
        json.dumps({"name": name, "value": value.tolist() if hasattr(value, "tolist") else value}), flush=True
    )


def take(name: str, record: Any, value: Any) -> bool:
    """Processing of a write; it may take its time."""
    time.sleep(delays.get(name, 0.0))
    return True


def make(declared: str) -> tuple[str, Any]:
    """One record and its name."""
    name, typed, rest = declared.partition("=")
    kind, _, initial = rest.partition(":")
    if not typed:
        told = builder.boolOut(name, "Off", "On", initial_value=False, on_update=partial(tell, name))
        return name, told
    value = ast.literal_eval(initial) if initial else INITIAL[kind]
    handlers = {"on_update": partial(tell, name), "validate": partial(take, name), "always_update": True}
    return name, MAKE[kind](name, initial_value=value, **handlers)


def obey(line: str, records: dict[str, Any]) -> None:
    """One command."""
    verb, name, number, *rest = line.split(maxsplit=3)
    if verb == "slow":
        delays[name] = float(number)
        return
    severity = int(number)
    if severity or name in alarmed:
        alarmed.add(name)
        records[name].set_alarm(severity, alarm.STATE_ALARM if severity else alarm.NO_ALARM)
    records[name].set(ast.literal_eval(rest[0]))


def main() -> None:
    scratch, names = Path(sys.argv[1]), sys.argv[2:]
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    builder.SetDeviceName("OTHER")
    records = dict(make(name) for name in names)
    builder.boolOut("LOCKED", "Off", "On", initial_value=False, ASG="LOCKED")
    access = scratch / "access.acf"
    access.write_text(ACCESS)
    imports.dbCore.asSetFilename(str(access).encode())
    builder.LoadDatabase()
    softioc.iocInit(dispatcher)
    print("ready", flush=True)
    for line in sys.stdin:
        obey(line, records)
    os._exit(0)


main()
