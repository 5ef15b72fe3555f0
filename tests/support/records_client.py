"""A CA or PVA client in a process of its own that does what the test says."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from records_remote import serve

PATIENCE = 10.0
Seen = tuple[Any, int, int, float, str]
"""Value, severity, status, time, message."""


class Client:
    """What both have in common: puts that are over some time later, and what subscribers saw."""

    def __init__(self) -> None:
        self._puts: list[list[Any]] = []
        self._seen: dict[str, list[Any]] = {}

    def over(self, put: int) -> bool:
        """Whether a put has been answered."""
        return bool(self._puts[put][0])

    def error(self, put: int) -> str:
        """What it was answered with, "" for no error."""
        return str(self._puts[put][1])

    def seen(self, name: str) -> list[Any]:
        """(value, severity, time) of every event so far."""
        return list(self._seen.get(name, []))


class CaClient(Client):
    def __init__(self) -> None:
        super().__init__()
        import epicscorelibs.path.pyepics  # noqa: F401, I001
        import epics

        self._pvs: dict[str, epics.PV] = {}
        self._monitors: dict[str, epics.PV] = {}
        self._make: Callable[..., epics.PV] = epics.PV

    def _pv(self, name: str) -> Any:
        if name not in self._pvs:
            self._pvs[name] = self._make(name, form="time", auto_monitor=False)
        if not self._pvs[name].wait_for_connection(PATIENCE):
            raise TimeoutError(f"{name} is not there")
        return self._pvs[name]

    def get(self, name: str) -> Seen:
        found = self._pv(name).get_with_metadata(form="time", use_monitor=False, timeout=PATIENCE)
        value = found["value"]
        if name.endswith("$"):
            value = bytes(int(code) & 0xFF for code in value).split(b"\0")[0].decode()
        return value, int(found["severity"]), int(found["status"]), float(found["timestamp"]), ""

    def metadata(self, name: str) -> dict[str, Any]:
        pv = self._pv(name)
        found: dict[str, Any] = pv.get_ctrlvars(timeout=PATIENCE)
        return found

    def access(self, name: str) -> str:
        return str(self._pv(name).access)

    def put(self, name: str, value: Any, callback: bool = True) -> int:
        state: list[Any] = [not callback, ""]
        self._puts.append(state)
        if isinstance(value, str) and name.endswith("$"):
            value = [*value.encode(), 0]
        pv = self._pv(name)
        try:
            if callback:
                pv.put(value, use_complete=True, callback=lambda **_: state.__setitem__(0, True))
            else:
                pv.put(value)
        except Exception as error:  # noqa: BLE001 - the test asks what it was
            state[:] = [True, repr(error)]
        return len(self._puts) - 1

    def monitor(self, name: str) -> None:
        seen = self._seen.setdefault(name, [])

        def note(value: Any = None, severity: int = 0, timestamp: float = 0.0, **_: Any) -> None:
            seen.append((value, severity, timestamp))

        self._monitors[name] = self._make(name, form="time", auto_monitor=True, callback=note)


class PvaClient(Client):
    def __init__(self) -> None:
        super().__init__()
        from p4p.client.thread import Context

        self._context = Context("pva")
        self._subscriptions: list[Any] = []

    @staticmethod
    def _plain(found: Any) -> Seen:
        raw = found.raw
        value = raw["value"]
        if hasattr(value, "getID") and value.getID() == "enum_t":
            value = value["index"]
        stamp = raw["timeStamp.secondsPastEpoch"] + raw["timeStamp.nanoseconds"] * 1e-9
        return value, raw["alarm.severity"], raw["alarm.status"], stamp, raw["alarm.message"]

    def get(self, name: str) -> Seen:
        return self._plain(self._context.get(name, timeout=PATIENCE))

    def metadata(self, name: str) -> dict[str, Any]:
        raw = self._context.get(name, timeout=PATIENCE).raw
        found: dict[str, Any] = raw.todict()
        return found

    def put(self, name: str, value: Any, callback: bool = True) -> int:
        state: list[Any] = [False, ""]
        self._puts.append(state)

        def work() -> None:
            try:
                self._context.put(name, value, wait=True if callback else None, timeout=60.0)
            except Exception as error:  # noqa: BLE001 - the test asks what it was
                state[1] = repr(error)
            state[0] = True

        threading.Thread(target=work, daemon=True).start()
        end = time.monotonic() + 0.05
        while not state[0] and time.monotonic() < end:
            time.sleep(0.001)
        return len(self._puts) - 1

    def monitor(self, name: str) -> None:
        seen = self._seen.setdefault(name, [])

        def note(found: Any) -> None:
            if not isinstance(found, Exception):
                value, severity, _, stamp, _ = self._plain(found)
                seen.append((value, severity, stamp))

        self._subscriptions.append(self._context.monitor(name, note))


if __name__ == "__main__":
    client = CaClient() if sys.argv[2] == "ca" else PvaClient()
    serve(int(sys.argv[1]), lambda name: getattr(client, name))
