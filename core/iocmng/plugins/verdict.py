"""The second step of validation as question and answer: what a child is asked, what it says, what is kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from iocmng.plugins.candidate import has_error
from iocmng.spec import Kind, PluginRef
from iocmng.wire import Finding, from_plain, to_plain

FILE = "verdicts.json"
MOST = 4_096


def parameters_key(parameters: Mapping[str, Any]) -> str:
    """A short name for a set of parameters: equal for equal ones."""
    text = json.dumps(parameters, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a child process is to find out about a plugin.

    Attributes:
        plugin: The plugin.
        roots: Folders to import from; with `first` they come before everything else.
        config: Text of its config where site policy changed that, "" for its file.
        lenient: Rules of plugin directories apply to its config.
        host_prefix: The host's PV prefix.
        parameters: Sets of parameters of its instances, by `parameters_key`.
        hooks: It is a module of hooks: only the import counts.
    """

    plugin: PluginRef
    roots: tuple[str, ...] = ()
    first: bool = False
    config: str = ""
    lenient: bool = False
    host_prefix: str = "PROBE"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    hooks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a child process found out.

    Attributes:
        findings: About the plugin itself.
        kind: What its class is, None where that could not be found out.
        class_name: The class, "" for a plugin without one.
        schema: JSON Schema of its parameters, empty without a ParameterModel.
        parameters: For each set of parameters what its class says about it.
        functions: Functions that the import adds to those of expressions.
        imports: Seconds of work that the import took, by first part of module names.
    """

    findings: tuple[Finding, ...] = ()
    kind: Kind | None = None
    class_name: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    imports: Mapping[str, float] = field(default_factory=dict)

    def about(self, key: str) -> tuple[Finding, ...]:
        """Everything that concerns an instance with this set of parameters."""
        return (*self.findings, *self.parameters.get(key, ()))


class Prober(Protocol):
    """Asks a child process; `iocmng.host.probe.Probe` is the one."""

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question, in their order; never raises for what a plugin does."""


class VerdictStore:
    """Verdicts of plugins whose files have not changed since; only good ones are kept.

    Args:
        state_dir: The host's state directory, None to keep nothing.
    """

    def __init__(self, state_dir: Path | None) -> None:
        self._file = state_dir / FILE if state_dir else None
        self._known: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        self._read: dict[str, Verdict] = {}
        if self._file:
            try:
                known = json.loads(self._file.read_bytes())
            except (OSError, ValueError):
                known = {}
            self._known = known if isinstance(known, dict) else {}

    @staticmethod
    def key(fingerprint: str, plugin: PluginRef, config: bytes) -> str:
        """The name of a verdict: changes with everything it hangs on."""
        about = f"{fingerprint}\n{plugin.name}\n{plugin.target}\n{plugin.config}\n{plugin.folder}\n".encode()
        return hashlib.sha256(about + config).hexdigest()

    def get(self, key: str) -> Verdict | None:
        """The verdict of that name, None when there is none."""
        if key not in self._read:
            try:
                self._read[key] = from_plain(Verdict, self._known[key])
            except (TypeError, ValueError, KeyError, AttributeError):
                return None
            self._used[key] = self._known[key]
        return self._read[key]

    def put(self, key: str, verdict: Verdict) -> None:
        """Keep a verdict unless something is wrong: that may be gone the next time."""
        bad = has_error(verdict.findings) or any(map(has_error, verdict.parameters.values()))
        if not bad:
            self._used[key] = to_plain(verdict)
            self._read[key] = verdict

    def save(self) -> None:
        """Write the verdicts in one step, the latest used ones last; what cannot be written is asked again."""
        if self._file is None or self._used.items() <= self._known.items():
            return
        unused = {key: plain for key, plain in self._known.items() if key not in self._used}
        kept = dict([*unused.items(), *self._used.items()][-MOST:])
        scratch = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            scratch.touch(mode=0o600)
            scratch.write_text(json.dumps(kept), encoding="utf-8")
            scratch.replace(self._file)
        except OSError:
            with suppress(OSError):
                scratch.unlink()
        else:
            self._known = kept
