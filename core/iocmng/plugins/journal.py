"""What was being imported or started when the process died: after a crash the culprit alone is INVALID."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from iocmng.wire import Finding, Level, Where

_log = logging.getLogger("iocmng.plugins")
_CRASHED = re.compile(r"^Current thread 0x([0-9a-fA-F]+)", re.MULTILINE)
_FATAL = re.compile(r"^Fatal Python error: (.*)$", re.MULTILINE)
CRASHED = "crashed-host"
IMPORT, START, CYCLE, RUN = "import", "start", "first cycle", "run"
_FORGIVABLE = frozenset({RUN})
_SILENT = frozenset({IMPORT, START})
_SLACK = 256


@dataclass(frozen=True, slots=True)
class Blame:
    """An instance that ended the host.

    Attributes:
        instance: Its name.
        doing: What was under way: `import`, `start` or `first cycle`.
        time: When that began, seconds since 1970-01-01 UTC.
        reason: What Python said, "" when it said nothing.
        fingerprint: Of its plugin at that time; with another one it is innocent.
    """

    instance: str
    doing: str
    time: float
    reason: str = ""
    fingerprint: str = ""

    @property
    def finding(self) -> Finding:
        """The same as a finding."""
        when = time.strftime("%d/%m/%y %H:%M:%S", time.localtime(self.time))
        text = f"the host died during the {self.doing} of {self.instance} at {when}"
        if self.reason:
            text += f": {self.reason}"
        hint = f"mend the plugin, or try it again with: iocmng reset {self.instance}"
        return Finding(Level.ERROR, CRASHED, text, Where(key=self.instance), hint)


class Journal:
    """Notes on disk what is under way, and tells at the next boot who was it.

    Entries are written without waiting for the disk: they outlive a crash of the process; a power failure, of
    which no plugin is guilty, leaves none. Each is a line at the end of a file, so that a thousand instances that
    start cost a thousand times what one does.

    Args:
        state_dir: The host's state directory.

    Attributes:
        convicted: Instances that were found guilty at this boot.
        problem: How the host died the last time and who was at it, or "".
    """

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._open_file = state_dir / "under-way.jsonl"
        self._blame_file = state_dir / "blamed.json"
        self._crash_file = state_dir / "crash.txt"
        self._lock = threading.Lock()
        self._under_way: dict[str, dict[str, Any]] = {}
        self._blamed = _read_blamed(self._blame_file)
        self._crash: TextIO | None = None
        self._descriptor: int | None = None
        self._lines = 0
        self._failing = False
        self.convicted: tuple[str, ...] = ()
        self.problem = ""
        self._suspects = _read_suspects(self._open_file)
        self._report = _read_text(self._crash_file)
        self._convict()

    @property
    def blamed(self) -> Mapping[str, Blame]:
        """Instances that ended the host, by name."""
        with self._lock:
            return dict(self._blamed)

    def _convict(self) -> None:
        """Find the culprit: the one whose thread crashed; without a crash the only one that was starting."""
        found, reason = _CRASHED.search(self._report), _FATAL.search(self._report)
        guilty = [one for one in self._suspects if found and one.get("thread") == int(found[1], 16)]
        if not self._report:
            starting = [one for one in self._suspects if one.get("doing") in _SILENT]
            guilty = starting if len(starting) == 1 else []
        for one in guilty[-1:]:
            blame = Blame(
                str(one.get("instance", "")),
                str(one.get("doing", "")),
                float(one.get("time", 0.0)),
                reason[1] if reason else "",
                str(one.get("fingerprint", "")),
            )
            if blame.doing not in _FORGIVABLE:
                self._blamed[blame.instance] = blame
                self.convicted = (blame.instance,)
            self.problem = f"the host died the last time, in the {blame.doing} of {blame.instance}"
        if self._report:
            self.problem = self.problem or "the host died the last time, in no code of a plugin"
            self.problem += f": {reason[1] if reason else 'crash'}; the stacks are in {self._last_crash}"
        elif self._suspects and not self.problem:
            self.problem = "the host died the last time, and nothing says of what"
        if self.problem:
            _log.error("%s", self.problem)
        if self.convicted:
            self._save()
        self._open_file.unlink(missing_ok=True)
        if self._report:
            self._crash_file.replace(self._last_crash)

    @property
    def _last_crash(self) -> Path:
        return self._crash_file.with_name("crash-last.txt")

    def watch(self) -> None:
        """Have Python write every thread's stack to the state directory when the process crashes."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._crash = os.fdopen(_private(str(self._crash_file), flags), "w", encoding="utf-8")
        except OSError as problem:
            _log.warning("a crash would leave no report: %s", problem)
        else:
            faulthandler.enable(file=self._crash, all_threads=True)

    @contextmanager
    def doing(self, what: str, instance: str, *, fingerprint: str = "") -> Iterator[None]:
        """Note for the length of a block that an instance is at `what` on this thread; see `begin`."""
        self.begin(what, instance, fingerprint=fingerprint)
        try:
            yield
        finally:
            self.over(instance)

    def begin(self, what: str, instance: str, *, fingerprint: str = "") -> None:
        """Note that `what` of an instance is under way on this thread, until `over`.

        Args:
            what: `import`, `start`, `first cycle` or `run`; takes the place of what it was at before. Whoever
                ends the host in its `run` is named and not blamed: it has shown that it can run.
            instance: Its name.
            fingerprint: Of its plugin, "" when its files may change unnoticed.
        """
        entry = {
            "instance": instance,
            "doing": what,
            "time": time.time(),
            "thread": threading.get_ident(),
            "fingerprint": fingerprint,
        }
        with self._lock:
            self._under_way[instance] = entry
            self._append(entry)

    def over(self, instance: str) -> None:
        """Note that nothing of an instance is under way on this thread any more; nothing when nothing was."""
        with self._lock:
            if self._under_way.get(instance, {}).get("thread") == threading.get_ident():
                del self._under_way[instance]
                self._append({"instance": instance})

    def _append(self, entry: Mapping[str, Any]) -> None:
        """Add one line; once most of the file is history, begin it anew."""
        self._lines += 1
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
                self._descriptor = os.open(self._open_file, flags, 0o600)
            if self._lines > 4 * len(self._under_way) + _SLACK:
                self._lines = len(self._under_way)
                whole = "".join(json.dumps(one) + "\n" for one in self._under_way.values())
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, whole.encode())
            else:
                os.write(self._descriptor, json.dumps(entry).encode() + b"\n")
            self._failing = False
        except OSError as problem:
            if not self._failing:
                _log.warning("the journal cannot be written: %s", problem)
            self._failing = True

    def forgive(self, instance: str) -> bool:
        """Drop the blame of an instance (an operator's reset, a new version); say whether there was one."""
        with self._lock:
            if self._blamed.pop(instance, None) is None:
                return False
            self._save()
            return True

    def findings(self, fingerprint_of: Callable[[str], str]) -> dict[str, Finding]:
        """A finding for each instance that is still blamed; one whose plugin has changed since is forgiven.

        Args:
            fingerprint_of: Gives the present fingerprint of an instance's plugin, "" when it has none.
        """
        for name, blame in self.blamed.items():
            if blame.fingerprint and blame.fingerprint != fingerprint_of(name):
                self.forgive(name)
        return {name: blame.finding for name, blame in self.blamed.items()}

    def _save(self) -> None:
        scratch = self._blame_file.with_name(f".{self._blame_file.name}.{os.getpid()}")
        plain = [asdict(blame) for blame in self._blamed.values()]
        try:
            with open(scratch, "w", encoding="utf-8", opener=_private) as file:
                json.dump(plain, file)
            scratch.replace(self._blame_file)
        except OSError as problem:
            _log.warning("what is blamed cannot be written: %s", problem)

    def close(self) -> None:
        """The process ends as it should: nothing is under way."""
        with self._lock:
            self._under_way.clear()
            self._open_file.unlink(missing_ok=True)
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
        if self._crash is not None:
            faulthandler.disable()
            self._crash.close()
            self._crash = None
            self._crash_file.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _read_suspects(path: Path) -> list[dict[str, Any]]:
    """What each instance was at when the file ended."""
    entries: dict[str, dict[str, Any]] = {}
    for line in _read_text(path).splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(name := entry.get("instance"), str):
            entries.pop(name, None)
            if entry.get("doing"):
                entries[name] = entry
    return list(entries.values())


def _read_blamed(path: Path) -> dict[str, Blame]:
    try:
        return {item["instance"]: Blame(**item) for item in json.loads(_read_text(path) or "[]")}
    except (ValueError, TypeError, KeyError):
        _log.warning("%s is broken; nobody is blamed", path)
        return {}
