"""A client process that subscribes PVs over CA and PVA and tells every event as a line of JSON.

Usage: python watcher.py SECONDS NAME...   It ends after SECONDS, or at the end of its input.
Each line: {"provider", "name", "value", "severity", "stamp", "seen"}; value null and severity null: disconnected.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from typing import Any

import epics
import epicscorelibs.path.pyepics  # noqa: F401 - one libca for both clients
from p4p.client.thread import Context, Disconnected

said: queue.Queue[dict[str, Any] | None] = queue.Queue()


def tell(provider: str, name: str, value: Any, severity: int | None, stamp: float | None) -> None:
    plain = value.tolist() if hasattr(value, "tolist") else value
    said.put(
        {
            "provider": provider,
            "name": name,
            "value": plain,
            "severity": severity,
            "stamp": stamp,
            "seen": time.time(),
        }
    )


def subscribe_ca(name: str) -> epics.PV:
    def changed(value: Any = None, severity: Any = None, timestamp: Any = None, **_: Any) -> None:
        tell("ca", name, value, severity, timestamp)

    def connected(conn: bool = False, **_: Any) -> None:
        if not conn:
            tell("ca", name, None, None, None)

    return epics.PV(name, form="time", auto_monitor=True, callback=changed, connection_callback=connected)


def subscribe_pva(context: Context, name: str) -> Any:
    def changed(found: Any) -> None:
        if isinstance(found, Disconnected):
            tell("pva", name, None, None, None)
            return
        value = found["value"]
        stamp = found["timeStamp.secondsPastEpoch"] + found["timeStamp.nanoseconds"] * 1e-9
        tell("pva", name, value["index"] if hasattr(value, "keys") else value, found["alarm.severity"], stamp)

    return context.monitor(name, changed, notify_disconnect=True)


def main() -> None:
    seconds, names = float(sys.argv[1]), sys.argv[2:]
    context = Context("pva", nt=False)
    kept = [(subscribe_ca(name), subscribe_pva(context, name)) for name in names]
    threading.Timer(seconds, said.put, (None,)).start()
    threading.Thread(target=lambda: (sys.stdin.read(), said.put(None)), daemon=True).start()
    print(json.dumps({"subscribed": len(kept)}), flush=True)
    while (event := said.get()) is not None:
        print(json.dumps(event), flush=True)
    sys.stdout.flush()
    # The client libraries' threads would be torn down in an order of their own.
    __import__("os")._exit(0)


main()
