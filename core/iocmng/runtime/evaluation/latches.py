"""Latched outputs on disk, so that a latch outlives the process that set it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from iocmng.runtime.files import parse_object, read_state, write_atomic
from iocmng.runtime.ports import Clock
from iocmng.values import Value

_log = logging.getLogger("iocmng.latches")
RETRY = 5.0


@dataclass(frozen=True, slots=True)
class Kept:
    """Latches of an instance as they were kept; `lost` when they could not be read, with the `problem`."""

    values: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = False
    problem: str = ""


class Latches(Protocol):
    """Where latches are kept."""

    def load(self, instance: str) -> Kept:
        """What is latched."""

    def keep(self, instance: str, values: Mapping[str, Value]) -> None:
        """All that is latched now; any thread, never blocks."""

    def settle(self, instance: str) -> None:
        """Return when what was kept last is safe; may block for the time of a write."""


class MemoryLatches:
    """Latches that live as long as this object."""

    def __init__(self) -> None:
        self._values: dict[str, Mapping[str, Value]] = {}
        self.lost: set[str] = set()

    def load(self, instance: str) -> Kept:
        """See `Latches.load`."""
        return Kept(self._values.get(instance, {}), instance in self.lost)

    def keep(self, instance: str, values: Mapping[str, Value]) -> None:
        """See `Latches.keep`."""
        self._values[instance] = dict(values)

    def settle(self, instance: str) -> None:
        """See `Latches.settle`: nothing is ever pending."""


class LatchFiles:
    """One file per instance, written by a thread of its own; it starts with the first latch.

    Args:
        directory: Where the files are; made when first needed.
        clock: Makes the thread.
        complain: Told what cannot be kept, and "" when all could again.
    """

    def __init__(self, directory: Path, clock: Clock, complain: Callable[[str], None]) -> None:
        self._directory = directory
        self._clock = clock
        self._complain = complain
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._known: dict[str, Kept] = {}
        self._pending: dict[str, Mapping[str, Value]] = {}
        self._wakeup = clock.wakeup()
        self._thread: threading.Thread | None = None
        self._closed = False

    def load(self, instance: str) -> Kept:
        """See `Latches.load`; the file is read once."""
        with self._lock:
            known = self._known.get(instance)
        if known is None:
            found = read_state(self._path(instance), _parse)
            # An older copy may lack the latch that matters: a file that cannot be read counts as lost.
            known = Kept({} if found.problem else found.value or {}, bool(found.problem), found.problem)
            if found.problem:
                _log.error("%s: %s", instance, found.problem)
            with self._lock:
                known = self._known.setdefault(instance, known)
        return known

    def keep(self, instance: str, values: Mapping[str, Value]) -> None:
        """See `Latches.keep`."""
        values = dict(values)
        with self._lock:
            self._known[instance] = Kept(values)
            self._pending[instance] = values
            if self._thread is None and not self._closed:
                self._thread = self._clock.spawn(self._run, "iocmng-latches")
        self._wakeup.set()

    def settle(self, instance: str) -> None:
        """See `Latches.settle`."""
        with self._writing:
            self._write(instance)

    def close(self) -> None:
        """Write what is pending; nothing is kept afterwards."""
        self._closed = True
        self._wakeup.set()
        with self._writing:
            self._write_all()

    def _path(self, instance: str) -> Path:
        return self._directory / f"{instance}.json"

    def _run(self) -> None:
        while not self._closed:
            with self._writing:
                well = self._write_all()
            self._wakeup.wait(None if well else RETRY)

    def _write_all(self) -> bool:
        written = [self._write(instance) for instance in list(self._pending)]
        return all(written)

    def _write(self, instance: str) -> bool:
        with self._lock:
            values = self._pending.get(instance)
        if values is None:
            return True
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            plain = {name: _plain(value) for name, value in values.items()}
            write_atomic(self._path(instance), json.dumps({"latched": plain}).encode(), keep=0)
        except OSError as error:
            self._complain(f"latches of {instance} cannot be kept: {error.strerror or error}")
            return False
        with self._lock:
            if self._pending.get(instance) is values:
                del self._pending[instance]
            if not self._pending:
                self._complain("")
        return True


def _plain(value: Value) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _parse(content: bytes) -> Mapping[str, Any]:
    latched = parse_object(content).get("latched")
    if not isinstance(latched, dict):
        raise ValueError("holds no latches")
    return latched
