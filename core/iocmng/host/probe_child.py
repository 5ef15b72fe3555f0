"""The probing child: one thread that has everything imported, and forks for each question."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import re
import resource
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from iocmng.host.probe_judge import judge
from iocmng.ioc.check import preload
from iocmng.plugins.sitepath import run_pth
from iocmng.plugins.verdict import Question, Verdict
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, Where, from_plain, to_plain

AT_ONCE = 2
KEPT = 8_192
_PR_SET_CHILD_SUBREAPER = 36
LARGE = 600 * 1024
"""KiB of resident memory above which a plugin is told that its import takes much."""
_PHASES = {
    "": "starting",
    "import": "importing",
    "class": "looking at the class of",
    "records": "loading the records of",
}
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+) in', re.MULTILINE)


@dataclass(eq=False)
class _Fork:
    """One question that a fork works on; `streams` holds its pipes: answer, output, errors."""

    number: int
    question: Question
    pid: int
    watch: int
    deadline: float
    limit: float
    streams: dict[int, bytearray] = field(default_factory=dict)
    overdue: bool = False

    @property
    def texts(self) -> tuple[str, str, str]:
        """What came through the three pipes."""
        answer, output, errors = (bytes(data).decode("utf-8", "replace") for data in self.streams.values())
        return answer, output, errors


class Server:
    """Answers questions that come as lines of JSON, two at a time, in any order.

    Args:
        requests: Descriptor to read questions from.
        answers: Descriptor to write verdicts to.
        sites: Site folders whose .pth files may run code.
    """

    def __init__(self, requests: int, answers: int, sites: Sequence[Path] = ()) -> None:
        self._sites = sites
        self._requests = requests
        self._answers = answers
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ, None)
        self._read = bytearray()
        self._waiting: deque[dict[str, Any]] = deque()
        self._forks: set[_Fork] = set()
        self._open = True

    def run(self) -> None:
        """Serve until the requests end and all forks are over."""
        while self._open or self._forks or self._waiting:
            while self._waiting and len(self._forks) < AT_ONCE:
                self._fork(self._waiting.popleft())
            due = min((fork.deadline for fork in self._forks if not fork.overdue), default=None)
            pause = None if due is None else max(0.0, due - time.monotonic())
            for key, _ in self._selector.select(pause):
                if key.data is None:
                    self._receive()
                elif key.fd == key.data.watch:
                    self._end(key.data)
                elif key.fd in self._selector.get_map():
                    self._drain(key.data, key.fd)
            for fork in self._forks:
                if not fork.overdue and fork.deadline <= time.monotonic():
                    _give_up(fork)

    def _receive(self) -> None:
        data = os.read(self._requests, 65_536)
        if not data:
            # Nobody waits for answers any more.
            self._open = False
            self._selector.unregister(self._requests)
            self._waiting.clear()
            for fork in self._forks:
                _give_up(fork)
            return
        self._read += data
        *lines, rest = bytes(self._read).split(b"\n")
        self._read = bytearray(rest)
        self._waiting.extend(json.loads(line) for line in lines)

    def _fork(self, request: dict[str, Any]) -> None:
        question = from_plain(Question, request["question"])
        limit = float(request["limit"])
        pipes = [os.pipe() for _ in range(3)]
        pid = os.fork()
        if pid == 0:
            for descriptor in (self._requests, self._answers, *(reading for reading, _ in pipes)):
                os.close(descriptor)
            _work(question, [writing for _, writing in pipes], limit, int(request["memory"]), self._sites)
        for reading, writing in pipes:
            os.close(writing)
            os.set_blocking(reading, False)
        fork = _Fork(
            request["number"], question, pid, os.pidfd_open(pid), time.monotonic() + limit, limit,
            {reading: bytearray() for reading, _ in pipes},
        )  # fmt: skip
        self._forks.add(fork)
        for descriptor in (fork.watch, *fork.streams):
            self._selector.register(descriptor, selectors.EVENT_READ, fork)

    def _drain(self, fork: _Fork, descriptor: int) -> None:
        first = next(iter(fork.streams))
        data = fork.streams[descriptor]
        while True:
            try:
                more = os.read(descriptor, 65_536)
            except BlockingIOError:
                return
            if not more:
                self._selector.unregister(descriptor)
                return
            data += more
            if descriptor != first and len(data) > 2 * KEPT:
                # Both ends tell most: what it printed first, and its last words.
                del data[KEPT:-KEPT]

    def _end(self, fork: _Fork) -> None:
        _, status, usage = os.wait4(fork.pid, 0)
        _kill_group(fork.pid)
        self._forks.discard(fork)
        self._kill_orphans()
        for descriptor in fork.streams:
            if descriptor in self._selector.get_map():
                self._drain(fork, descriptor)
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
            os.close(descriptor)
        self._selector.unregister(fork.watch)
        os.close(fork.watch)
        if not self._open:
            return
        verdict = conclude(fork, status, usage.ru_maxrss)
        line = json.dumps({"number": fork.number, "verdict": to_plain(verdict)})
        data = memoryview(line.encode() + b"\n")
        while data:
            data = data[os.write(self._answers, data) :]

    def _kill_orphans(self) -> None:
        """End what a plugin left behind in a session of its own: as their reaper this process inherits such."""
        forks = {fork.pid for fork in self._forks}
        listing = Path(f"/proc/self/task/{os.getpid()}/children")
        # Some kernels are built without this list; what is left there is left.
        children = listing.read_text(encoding="ascii").split() if listing.exists() else []
        for pid in map(int, children):
            if pid not in forks:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _become_reaper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _give_up(fork: _Fork) -> None:
    fork.overdue = True
    _kill_group(fork.pid)
    # A slow one may not lead a group of its own yet.
    signal.pidfd_send_signal(fork.watch, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _work(question: Question, pipes: list[int], limit: float, memory: int, sites: Sequence[Path]) -> None:
    """The fork's whole life; never returns."""
    answer = pipes[0]
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(pipes[1], 1)
        os.dup2(pipes[2], 2)
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (memory << 20, memory << 20))
        faulthandler.enable(file=2, all_threads=False)
        faulthandler.dump_traceback_later(max(limit - 0.5, 0.8 * limit), file=2)
        for site in sites:
            run_pth(site)
        _send(answer, json.dumps(to_plain(judge(question, lambda phase: _send(answer, phase)))))
    except BaseException:  # noqa: BLE001 - a border: the parent sees the missing answer and reads the traceback
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(0)


def _send(descriptor: int, line: str) -> None:
    data = memoryview(line.encode() + b"\n")
    while data:
        data = data[os.write(descriptor, data) :]


def conclude(fork: _Fork, status: int, resident: int) -> Verdict:
    """Make the verdict of what a fork sent and printed, how it ended, and its largest size in KiB."""
    answer, output, errors = fork.texts
    lines = answer.splitlines()
    if not lines or not lines[-1].startswith("{"):
        return Verdict(findings=(_death(fork, lines[-1] if lines else "", status, errors),))
    verdict = from_plain(Verdict, json.loads(lines[-1]))
    return replace(verdict, findings=(*verdict.findings, *_habits(fork, output, resident)))


def _habits(fork: _Fork, output: str, resident: int) -> Iterator[Finding]:
    name = fork.question.plugin.name
    if output.strip():
        text = f"{name} prints while it is imported: {output.strip().splitlines()[0][:200]!r}"
        yield Finding(Level.NOTE, "import-output", text, hint="use self.logger in the plugin's methods")
    if resident > LARGE:
        text = f"importing {name} takes {resident // 1024} MiB of memory"
        hint = "load large data in initialize(), not at import"
        yield Finding(Level.WARNING, "import-memory", text, hint=hint)


def _death(fork: _Fork, phase: str, status: int, errors: str) -> Finding:
    plugin = fork.question.plugin
    module = plugin.target.partition(":")[0]
    doing = f"{_PHASES.get(phase, phase)} {module if phase == 'import' else plugin.name}"
    where = _last_line(errors, plugin)
    if fork.overdue:
        text = f"{plugin.name}: {doing} has not ended after {fork.limit:g} s"
        hint = "do what waits in initialize(), not at import"
        return Finding(Level.ERROR, "import-hang", text, where, hint)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        text = f"{plugin.name}: {doing} ends with {name}"
        hint = "the crash is in compiled code: look at the packages that the plugin imports"
        if name == "SIGKILL":
            hint = "the system may have run out of memory: load large data in initialize(), not at import"
        return Finding(Level.ERROR, "import-crash", text, where, hint)
    if errors.strip() and os.WEXITSTATUS(status) == 0:
        text = f"{plugin.name}: {doing} fails: {errors.strip().splitlines()[-1]}"
        hint = "this is a fault of the host: please report it"
        return Finding(Level.ERROR, "probe-failed", text, where, hint)
    text = f"{plugin.name}: {doing} ends the process with exit code {os.WEXITSTATUS(status)}"
    return Finding(Level.ERROR, "import-exit", text, where, "remove the call of os._exit()")


def _last_line(errors: str, plugin: PluginRef) -> Where:
    """The innermost line of a plugin in the last stack that faulthandler wrote."""
    stack = errors.rpartition("most recent call first")[2] if "most recent call first" in errors else ""
    for file, line in _FRAME.findall(stack):
        if plugin.owns(file):
            return Where(file, int(line), 1)
    return Where()


def main(nice: int = 0, *sites: str) -> None:
    """Serve on the standard streams, which nothing else may touch.

    Args:
        nice: How much the child steps back behind other processes.
        sites: Site folders whose .pth files may run code.
    """
    os.nice(nice)
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _become_reaper()
    preload()
    # Forks then share these pages: a collection in one of them does not touch what was imported here.
    gc.collect()
    gc.freeze()
    Server(requests, answers, [Path(site) for site in sites]).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
