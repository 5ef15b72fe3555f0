"""A client over a restart of its host: `python benchmarks/restart_client.py ca|pva new|subscribed SECONDS NAME…`.

`new` connects and reads again and again, each time as a client that nobody has heard of: over CA one name after the
other, over PVA with a context of its own. `subscribed` watches the first name. It prints `ready` after the first
value, and in the end when each value came as JSON, in seconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import cycle

TRY = 0.25
"""Seconds that one new client waits."""

Look = Callable[[], bool]


def new_ca(names: list[str]) -> Look:
    """Connect to a channel that is not there yet, and read it."""
    import epicscorelibs.path.pyepics  # isort: skip # noqa: F401 - one libca in the process
    import epics

    turns = cycle(names)

    def look() -> bool:
        channel = epics.ca.create_channel(next(turns), connect=False)
        try:
            return bool(epics.ca.connect_channel(channel, timeout=TRY)) and (
                epics.ca.get(channel, timeout=TRY) is not None
            )
        except (epics.ca.ChannelAccessException, epics.ca.CASeverityException):
            # The server has gone between two of these calls.
            return False
        finally:
            epics.ca.clear_channel(channel)

    return look


def new_pva(names: list[str]) -> Look:
    """Read with a context of its own."""
    from p4p.client.thread import Context

    turns = cycle(names)

    def look() -> bool:
        with Context("pva", nt=False) as context:
            try:
                context.get(next(turns), timeout=TRY)
            except TimeoutError:
                return False
            return True

    return look


def watch_ca(name: str, came: Callable[[], None]) -> object:
    """Subscribe."""
    import epicscorelibs.path.pyepics  # isort: skip # noqa: F401 - one libca in the process
    import epics

    return epics.PV(name, auto_monitor=True, callback=lambda **_: came())


def watch_pva(name: str, came: Callable[[], None]) -> object:
    """Subscribe."""
    from p4p.client.thread import Context

    context = Context("pva", nt=False)
    return context, context.monitor(name, lambda value: came())


def main() -> None:
    """Look for so long, and tell."""
    provider, kind, seconds, names = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:]
    times: list[float] = []
    if kind == "subscribed":
        kept = (watch_ca if provider == "ca" else watch_pva)(names[0], lambda: times.append(time.monotonic()))
        while not times:
            time.sleep(0.01)
        print("ready", flush=True)
        time.sleep(seconds)
        del kept
    else:
        look = (new_ca if provider == "ca" else new_pva)(names)
        while not look():
            pass
        print("ready", flush=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if look():
                times.append(time.monotonic())
            time.sleep(0.01)
    print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
