"""The default PVs of one instance: each method shows one thing, on the records that the instance has."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterable, Sequence

from iocmng.runtime.ports import Record, Records
from iocmng.spec import Direction, InstanceSpec
from iocmng.spec.convert import convert
from iocmng.values import Severity, Status, Value

REASON = 39


def ascii_text(text: str, length: int = 255) -> str:
    """`text` as one ASCII line of at most `length` characters: CA clients break on UTF-8 that is cut in a character."""
    flat = " | ".join(part.strip() for part in text.splitlines() if part.strip())
    plain = flat.encode("ascii", "replace").decode()
    return plain if len(plain) <= length else plain[: length - 3] + "..."


def clock_text(timestamp: float) -> str:
    """Local date and time of a time stamp, 19 characters."""
    return datetime.datetime.fromtimestamp(timestamp).strftime("%Y-%m-%d %H:%M:%S")


class Panel:
    """Writes the default PVs; a value that is shown already is not written again. Any thread."""

    def __init__(self, spec: InstanceSpec, records: Records) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {
            name: records.record(record.name) for name, record in spec.defaults.items()
        }
        self._shown: dict[str, Value] = {}
        self.message = ""

    def show(self, name: str, value: Value) -> None:
        """Show `value` on the default PV `name`, if the instance has it."""
        record = self._records.get(name)
        if record is None:
            return
        with self._lock:
            if self._shown.get(name) == value:
                return
            self._shown[name] = value
            if record.spec.writable:
                record.assign(value)
            else:
                record.publish(value)

    def writer(self, name: str) -> Callable[[Value], None]:
        """The shortest way to a default PV that one thread writes and that changes each time."""
        record = self._records.get(name)
        return record.publish if record is not None else _nowhere

    def flags(self, name: str, flags: Sequence[bool]) -> None:
        """Show one 1 or 0 each on the array `name`."""
        record = self._records.get(name)
        if record is None:
            return
        shown = "".join("01"[flag] for flag in flags)
        with self._lock:
            if self._shown.get(name) != shown:
                self._shown[name] = shown
                record.publish(convert(record.spec, [int(flag) for flag in flags]))

    def text(self, name: str, text: str) -> None:
        """Show a text, cut to what its record holds."""
        record = self._records.get(name)
        if record is not None:
            self.show(name, ascii_text(text, record.spec.length))

    def lines(self, name: str, lines: Iterable[str]) -> None:
        """Show a text of several lines, cut to what its record holds."""
        record = self._records.get(name)
        if record is not None:
            self.show(name, "\n".join(lines)[: record.spec.length])

    def say(self, text: str) -> None:
        """Show MESSAGE."""
        self.message = text
        self.text("MESSAGE", text)

    def error(self, text: str, when: float) -> None:
        """Show LAST_ERROR and its time; "" clears both."""
        self.text("LAST_ERROR", text)
        self.text("LAST_ERROR_TIME", clock_text(when) if text else "")

    def degraded(self, reason: str) -> None:
        """Show DEGRADED with its reason as the alarm's message; "" for not degraded."""
        record = self._records.get("DEGRADED")
        if record is None:
            return
        with self._lock:
            self._shown["DEGRADED"] = bool(reason)
            if reason:
                record.publish(True, Severity.MINOR, Status.STATE, ascii_text(reason, REASON))
            else:
                record.publish(False)

    def forget(self, name: str) -> None:
        """A client wrote the record: what is shown is no longer known."""
        with self._lock:
            self._shown.pop(name, None)

    def beat(self) -> None:
        """Toggle HEARTBEAT."""
        self.show("HEARTBEAT", not self._shown.get("HEARTBEAT", False))


def _nowhere(value: Value) -> None:
    """The instance has no such PV."""


def linked_ports(spec: InstanceSpec, direction: Direction) -> list[str]:
    """Names of linked inputs or outputs in declaration order."""
    return [port.name for port in spec.ports if port.link is not None and port.direction is direction]


def show_unconnected(panel: Panel, spec: InstanceSpec) -> None:
    """Show that no link of an instance is connected."""
    for name, direction in (("CONN_INP", Direction.INPUT), ("CONN_OUT", Direction.OUTPUT)):
        panel.flags(name, [False] * len(linked_ports(spec, direction)))
