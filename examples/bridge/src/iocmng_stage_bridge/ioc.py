"""Serve the records of the stage: `stage-ioc [--prefix STAGE:]…`, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Sequence
from importlib.resources import as_file, files

HELP = """\
The stage's records are served. Ctrl-C ends it. With a bridge task beside it:
  caput {prefix}Target 5
  caput {prefix}Trigger 1
  camonitor {prefix}Busy {prefix}Position {prefix}TaskStatus {prefix}Heartbeat"""


def serve(prefixes: Sequence[str]) -> None:
    """Load the database that `iocmng bridge-db` prints and a stage's own records for each prefix, and serve."""
    from softioc import asyncio_dispatcher, softioc

    for name in ("bridge.db", "stage.db"):
        with as_file(files("iocmng_stage_bridge") / name) as path:
            for prefix in prefixes:
                softioc.dbLoadDatabase(str(path), substitutions=f"P={prefix}")
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    print(HELP.format(prefix=prefixes[0]), flush=True)
    threading.Event().wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the command line apart and serve."""
    parser = argparse.ArgumentParser(prog="stage-ioc", description="The IOC of a simulated stage.")
    parser.add_argument(
        "--prefix",
        action="append",
        help="first part of the PV names (default: STAGE:); several for several stages",
    )
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING", "NO")
    try:
        serve(chosen.prefix or ["STAGE:"])
    except KeyboardInterrupt:
        # EPICS threads do not end by themselves.
        os._exit(0)


if __name__ == "__main__":
    main()
