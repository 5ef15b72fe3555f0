"""What operators want of each instance, and how often the host tried to boot: kept on disk over restarts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from iocmng.runtime.files import parse_object, read_state, write_atomic
from iocmng.runtime.ports import Clock

FORMAT = 1


class Intent(StrEnum):
    """What an operator last asked of a task."""

    RUN = "run"
    STOPPED = "stopped"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Desired:
    """What is wanted of one instance.

    Attributes:
        intent: Run, stopped or paused; None when no operator ever said, then the configuration decides.
        enabled: Whether it starts at boot; None as the site file says.
        parameters: Parameters set at run time, by name; JSON values.
    """

    intent: Intent | None = None
    enabled: bool | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_NOTHING = Desired()


class DesiredState:
    """The store. A change is in memory at once, on disk after `commit`, which a verb awaits before answering.

    All methods may be called from any thread. Keys this version does not know are kept as they are.

    Attributes:
        problem: Why the last `commit` could not write, or "".
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._content: dict[str, Any] = {}
        self._instances: dict[str, Desired] = {}
        self._revision = 0
        self._written = 0
        self.problem = ""

    def load(self) -> tuple[str, ...]:
        """Read the file; return what was wrong with it, one text a problem, naming the file or instance."""
        found = read_state(self._path, _parse, now=self._clock.time())
        problems = [found.problem] if found.problem else []
        content = found.value or {"format": FORMAT, "instances": {}}
        instances = {}
        for name, entry in list(content["instances"].items()):
            try:
                instances[name] = _desired(entry)
            except (ValueError, TypeError, AttributeError) as error:
                problems.append(f"{self._path}: desired state of {name!r} is dropped: {error}")
                del content["instances"][name]
        with self._lock:
            self._content, self._instances = content, instances
        return tuple(problems)

    def of(self, name: str) -> Desired:
        """What is wanted of an instance."""
        with self._lock:
            return self._instances.get(name, _NOTHING)

    def names(self) -> tuple[str, ...]:
        """Instances of which anything is wanted, also such that do not exist now."""
        with self._lock:
            return tuple(self._instances)

    def set_intent(self, name: str, intent: Intent | None) -> None:
        """Remember what an operator asked of a task."""
        self._change(name, intent=intent)

    def set_enabled(self, name: str, enabled: bool | None) -> None:
        """Remember whether an instance starts at boot."""
        self._change(name, enabled=enabled)

    def set_parameters(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Replace all parameters set at run time.

        Raises:
            TypeError: A value is none that JSON can hold; nothing is changed.
        """
        for key, value in parameters.items():
            try:
                json.dumps(value)
            except (TypeError, ValueError) as error:
                raise TypeError(
                    f"parameter {key!r} of {name!r} cannot be kept: {type(value).__name__} has no JSON form"
                ) from error
        self._change(name, parameters=MappingProxyType(dict(parameters)))

    def forget(self, names: Iterable[str]) -> None:
        """Drop all that is wanted of instances that were removed."""
        with self._lock:
            for name in names:
                if self._instances.pop(name, None) is not None:
                    del self._content["instances"][name]
                    self._revision += 1

    def commit(self) -> None:
        """Have every change made so far on disk; returns at once when it is. Blocks for two fsyncs.

        Several threads at once share one write, so does a verb on many instances that commits at its end.

        Raises:
            OSError: It could not be written; the changes stay in memory and the next commit tries again.
        """
        with self._lock:
            wanted = self._revision
        with self._writing:
            with self._lock:
                if self._written >= wanted:
                    return
                revision = self._revision
                content = json.dumps(self._content).encode()
            try:
                write_atomic(self._path, content)
            except OSError as error:
                reason = f"{self._path}: {error.strerror or error}"
                self.problem = f"what operators asked for is not kept over a restart: {reason}"
                raise
            self.problem = ""
            with self._lock:
                self._written = revision

    def _change(self, name: str, **changes: Any) -> None:
        with self._lock:
            before = self._instances.get(name, _NOTHING)
            desired = replace(before, **changes)
            if desired == before:
                return
            self._instances[name] = desired
            entry = self._content.setdefault("instances", {}).setdefault(name, {})
            entry.update(intent=desired.intent, enabled=desired.enabled, parameters=dict(desired.parameters))
            self._revision += 1


class Boots:
    """Counts boots that did not succeed, for safe mode."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._before = 0
        self.problem = ""

    def begin(self, *, known: bool = False) -> int:
        """Count this boot and return how many in a row have begun and not succeeded, this one included.

        With `known` it is known who ended the last one, and that will not happen again: counting begins anew.
        A file that cannot be read or written never stops the boot; `problem` says so.
        """
        found = read_state(self._path, _parse_boots, now=self._clock.time())
        self.problem = found.problem
        self._before = 0 if known else found.value or 0
        self._store(self._before + 1)
        return self._before + 1

    def refused(self) -> None:
        """Do not count this boot: it ended with a reason that has nothing to do with plugins."""
        self._store(self._before)

    def succeeded(self) -> None:
        """Begin counting anew: the host is ready, or was stopped in good order before it was."""
        self._store(0)

    def _store(self, attempts: int) -> None:
        content = json.dumps({"format": FORMAT, "attempts": attempts, "time": self._clock.time()}).encode()
        try:
            write_atomic(self._path, content)
        except OSError as error:
            self.problem = f"{self._path} cannot be written: {error.strerror or error}"


def _parse(content: bytes) -> dict[str, Any]:
    found = parse_object(content)
    if not isinstance(found.setdefault("instances", {}), dict):
        raise ValueError(f"`instances` is a {type(found['instances']).__name__}, expected an object")
    return found


def _parse_boots(content: bytes) -> int:
    attempts = parse_object(content).get("attempts")
    if not isinstance(attempts, int) or attempts < 0:
        raise ValueError(f"`attempts` is {attempts!r}, expected a number from 0")
    return attempts


def _desired(entry: Any) -> Desired:
    intent = entry.get("intent")
    enabled = entry.get("enabled")
    parameters = entry.get("parameters", {})
    if enabled is not None and not isinstance(enabled, bool):
        raise ValueError(f"`enabled` is {enabled!r}, expected true, false or null")
    if not isinstance(parameters, dict):
        raise ValueError(f"`parameters` is {parameters!r}, expected an object")
    return Desired(None if intent is None else Intent(intent), enabled, MappingProxyType(parameters))
