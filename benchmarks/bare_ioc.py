"""The yardstick for starts: a bare softioc that loads records from one .db, says so, and ends with its input.

Run `python benchmarks/bare_ioc.py RECORDS DIRECTORY`.
"""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path

from softioc import asyncio_dispatcher, builder, softioc

MIX = ("ai", "longin", "bi", "mbbi", "stringin", "ao", "longout", "bo", "ai", "ai")
RECORD = 'record(%s, "%s") { field(DESC, "one of many") }\n'


def main() -> None:
    """Write the database, load it, serve it."""
    count, directory = int(sys.argv[1]), Path(sys.argv[2])
    path = directory / f"bare{count}.db"
    if not path.exists():
        names = (f"BARE:T{number // 30:04}:N{number % 30:02}" for number in range(count))
        path.write_text("".join(RECORD % (kind, name) for kind, name in zip(cycle(MIX), names, strict=False)))
    dispatcher = asyncio_dispatcher.AsyncioDispatcher()
    softioc.dbLoadDatabase(str(path))
    builder.LoadDatabase()
    softioc.iocInit(dispatcher)
    print("serving", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
