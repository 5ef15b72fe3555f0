"""A CA and PVA client that does what it is told: one request per line of JSON, one answer per line.

Requests: {"do": "read" | "write", "provider", "name", "value", "deadline"}; a read waits until the value is valid
and, where `value` is not null, equal to it. Answers: {"value"} or {"error"}. It ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import cache
from typing import Any


class Ca:
    def __init__(self) -> None:
        import iocmng.dso  # isort: skip # noqa: F401 - no setuptools
        import epicscorelibs.path.pyepics  # isort: skip # noqa: F401 - one libca for all
        import epics

        self._pv = cache(lambda name: epics.PV(name, form="time", auto_monitor=False))

    def _connected(self, name: str, deadline: float) -> Any:
        pv = self._pv(name)
        if not pv.wait_for_connection(deadline):
            raise TimeoutError(f"{name} over ca: not connected after {deadline:g} s")
        return pv

    def read(self, name: str, deadline: float) -> tuple[Any, int]:
        pv = self._connected(name, deadline)
        found = pv.get_with_metadata(form="time", use_monitor=False, as_string=False, timeout=5.0) or {}
        return found.get("value"), found.get("severity", 3)

    def write(self, name: str, value: Any, deadline: float) -> None:
        self._connected(name, deadline).put(value, wait=True, timeout=deadline)


class Pva:
    def __init__(self) -> None:
        import iocmng.dso  # isort: skip # noqa: F401 - no setuptools
        from p4p.client.thread import Context

        self._context = Context("pva", nt=False)

    def read(self, name: str, deadline: float) -> tuple[Any, int]:
        found = self._context.get(name, timeout=deadline)
        value = found["value"]
        return (value["index"] if hasattr(value, "keys") else value), found["alarm.severity"]

    def write(self, name: str, value: Any, deadline: float) -> None:
        self._context.put(name, value, timeout=deadline)


@cache
def client(provider: str) -> Ca | Pva:
    return Ca() if provider == "ca" else Pva()


def until_valid(provider: str, name: str, wanted: Any, deadline: float) -> Any:
    end = time.monotonic() + deadline
    while True:
        value, severity = client(provider).read(name, deadline)
        plain = value.tolist() if hasattr(value, "tolist") else value
        if severity < 3 and (wanted is None or plain == wanted):
            return plain
        if time.monotonic() > end:
            raise TimeoutError(f"{name} over {provider}: still {plain!r}, severity {severity}")
        time.sleep(0.1)


def answered(request: dict[str, Any]) -> dict[str, Any]:
    provider, name, deadline = request["provider"], request["name"], request["deadline"]
    try:
        if request["do"] == "read":
            return {"value": until_valid(provider, name, request["value"], deadline)}
        client(provider).write(name, request["value"], deadline)
    except Exception as error:  # noqa: BLE001 - the test sees it
        return {"error": f"{type(error).__name__}: {error}"}
    return {"value": None}


for line in sys.stdin:
    print(json.dumps(answered(json.loads(line)), default=str), flush=True)
# The client libraries' threads would be torn down in an order of their own.
os._exit(0)
