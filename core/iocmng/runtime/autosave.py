"""Values of writable inputs over restarts: saved per instance by PV name, restored before records load."""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iocmng.runtime.clock import LockWakeup
from iocmng.runtime.files import Found, parse_object, read_state, write_atomic
from iocmng.runtime.ports import Clock
from iocmng.spec import RecordSpec
from iocmng.spec.convert import convert
from iocmng.values import DType, PortType, Reading, Value
from iocmng.wire import to_plain

FORMAT = 1
PERIOD = 10.0
KEEP = 5
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_EMPTY: Mapping[PortType, Any] = {
    PortType.FLOAT: 0.0,
    PortType.INT: 0,
    PortType.BOOL: False,
    PortType.STRING: "",
    PortType.ARRAY: [],
}
_log = logging.getLogger("iocmng.autosave")


@dataclass(frozen=True, slots=True)
class Restored:
    """Values by full PV name that fit their records, and a text for each thing that was wrong."""

    values: Mapping[str, Value]
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Watched:
    records: tuple[RecordSpec, ...]
    read: Callable[[str], Reading]


class Autosave:
    """Keeps the records of a host that say `autosave`. Any thread; nothing here raises because of a disk."""

    def __init__(self, directory: Path, clock: Clock, *, period: float = PERIOD, keep: int = KEEP) -> None:
        """Use `directory`, a file per instance; save changes every `period` s with `keep` backups.

        `problem` says why the last saving failed, or "".
        """
        self._directory = directory
        self._clock = clock
        self._period = period
        self._keep = keep
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._kept: dict[str, dict[str, Any]] = {}
        self._watched: dict[str, _Watched] = {}
        self._touched: set[str] = set()
        self.problem = ""
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wakeup = LockWakeup()

    def restore(self, instance: str, records: Iterable[RecordSpec]) -> Restored:
        """Read what was saved of an instance, before its records are loaded: so restoring processes nothing.

        Values that no longer fit their record (type, limits, labels, length) are left out and named. Values
        of PVs that are not among `records` stay in the file.
        """
        # Most instances have no file: asking costs a tenth of failing to open it, and a host asks for a thousand.
        there = os.path.exists(f"{self._directory}/{instance}.json")
        found = read_state(self._path(instance), _parse, now=self._clock.time()) if there else Found()
        problems = [f"autosave of {instance}: {found.problem}"] if found.problem else []
        saved = found.value or {}
        with self._lock:
            self._kept[instance] = dict(saved)
        values = {}
        for record in records:
            if record.autosave and record.name in saved:
                try:
                    values[record.name] = _restored(record, saved[record.name])
                except (TypeError, ValueError) as error:
                    problems.append(f"autosave of {record.name} is dropped: {error}")
        return Restored(values, tuple(problems))

    def watch(self, instance: str, records: Iterable[RecordSpec], read: Callable[[str], Reading]) -> None:
        """Save an instance's `autosave` records from now on; `read` gives what the record of a PV shows."""
        kept = tuple(record for record in records if record.autosave)
        if kept:
            with self._lock:
                self._watched[instance] = _Watched(kept, read)

    def forget(self, instance: str) -> None:
        """Save an instance no more; its file stays."""
        with self._lock:
            self._watched.pop(instance, None)
            self._kept.pop(instance, None)
            self._touched.discard(instance)

    def touch(self, instance: str) -> None:
        """Say that a writable input was written, by a client or from inside. Costs next to nothing."""
        self._touched.add(instance)

    def start(self) -> None:
        """Save what was touched every period, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="iocmng-autosave", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 2.0) -> None:
        """End the thread and save all instances a last time; waits at most `timeout` seconds for the disk."""
        self._closing = True
        self._wakeup.set()
        if self._thread is None:
            self.save(every=True)
        else:
            self._thread.join(timeout)

    def save(self, *, every: bool = False) -> None:
        """Write the files of the instances that were touched (with `every`: of all) where values changed."""
        with self._saving:
            # Taken before the values are read, so that what is written meanwhile is saved the next time.
            touched, self._touched = self._touched, set()
            problem = ""
            for instance in tuple(self._watched) if every else touched:
                try:
                    self._save(instance, written=instance in touched)
                except OSError as error:
                    problem = f"{self._path(instance)}: {error.strerror or error}"
                    self._touched.add(instance)
            self._report(problem)

    def _save(self, instance: str, *, written: bool) -> None:
        """Write one file; where nobody wrote an input its declared value is not worth a file."""
        with self._lock:
            watched = self._watched.get(instance)
            kept = self._kept.get(instance)
        if watched is None:
            return
        if kept is None:
            kept = read_state(self._path(instance), _parse, now=self._clock.time()).value or {}
        present = dict(kept)
        for record in watched.records:
            value = watched.read(record.name).value
            if value is None:
                continue
            plain = _plain(record, value)
            if written or record.name in kept or plain != _initial(record):
                present[record.name] = plain
        if present == kept:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {"format": FORMAT, "instance": instance, "saved": self._clock.time(), "values": present}
        write_atomic(self._path(instance), json.dumps(content, indent=1).encode(), keep=self._keep)
        with self._lock:
            self._kept[instance] = present

    def _report(self, problem: str) -> None:
        before, self.problem = self.problem, problem and f"inputs are not saved: {problem}"
        if problem and not before:
            _log.error("%s; trying again every %g s", self.problem, self._period)
        elif before and not problem:
            _log.warning("inputs are saved again")

    def _run(self) -> None:
        while not self._closing:
            self.save()
            self._wakeup.wait(self._period)
        self.save(every=True)

    def _path(self, instance: str) -> Path:
        return self._directory / f"{instance}.json"


def _parse(content: bytes) -> dict[str, Any]:
    values = parse_object(content).get("values")
    if not isinstance(values, dict):
        raise ValueError(f"`values` is a {type(values).__name__}, expected an object")
    return values


def _plain(record: RecordSpec, value: Value) -> Any:
    """A value as the file holds it: an enum by its label, which stays right when labels are inserted."""
    if record.type is PortType.ENUM and isinstance(value, int) and 0 <= value < len(record.labels):
        label = record.labels[value]
        return label if record.labels.count(label) == 1 else value
    return to_plain(value)


def _initial(record: RecordSpec) -> Any:
    """What a record that nobody ever wrote shows, as the file would hold it."""
    if record.value is not None:
        return _plain(record, record.value)
    if record.type is PortType.ENUM:
        return _plain(record, 0)
    return _EMPTY[record.type]


def _restored(record: RecordSpec, saved: Any) -> Value:
    if record.type is PortType.FLOAT and isinstance(saved, str):
        saved = _NOT_FINITE.get(saved, saved)
    elif record.type is PortType.ARRAY and isinstance(saved, list) and record.dtype is not DType.STRING:
        saved = [_NOT_FINITE.get(item, item) if isinstance(item, str) else item for item in saved]
        if record.dtype is DType.UINT64 and all(type(item) is int and 0 <= item < 2**64 for item in saved):
            import numpy as np

            # Without its type numpy takes a list that holds more than 63 bits for floats.
            saved = np.array(saved, dtype=np.uint64)
    value = convert(record, saved)
    fields = dict(record.fields)
    if isinstance(value, (int, float)) and "DRVL" in fields and "DRVH" in fields:
        low, high = float(fields["DRVL"]), float(fields["DRVH"])
        if low < high and (value < low or value > high):
            raise ValueError(
                f"{record.port or record.name}: {value!r} is outside its limits {low:g} … {high:g}"
            )
    return value
