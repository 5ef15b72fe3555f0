"""The second step of validation: plugins are imported in a child process, whose crash is a finding."""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from iocmng.plugins import modules
from iocmng.plugins.verdict import Question, Verdict
from iocmng.spec import PluginRef
from iocmng.wire import Finding, Level, from_plain, to_plain

_log = logging.getLogger("iocmng.plugins")
_SENT_AHEAD = 4
_START = 60.0
_SINGLE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
BESIDE = 5
"""How nice the child is while the host runs."""
_SECRET = "IOCMNG_TOKEN"


class Probe:
    """A child process that imports plugins; it is started by the first question and ended by `close`.

    Args:
        limit: Seconds that one plugin may take.
        memory: MiB of data that one plugin may take.
        path: The import path, when it is not this process's: then that runs on beside, and goes first.
        sites: The generations' site folders on it, this process's when None; code of their .pth files is run.
    """

    def __init__(
        self,
        *,
        limit: float = 10.0,
        memory: int = 2048,
        path: Sequence[str] | None = None,
        sites: Sequence[Path] | None = None,
    ) -> None:
        self._path = path
        self._sites = sites
        self._limit = limit
        self._memory = memory
        self._child: subprocess.Popen[bytes] | None = None
        self._read = bytearray()

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question, in their order; blocks, and never raises for what a plugin does."""
        verdicts: dict[int, Verdict] = {}
        for _ in range(2):
            open_numbers = [number for number in range(len(questions)) if number not in verdicts]
            if open_numbers:
                self._ask(open_numbers, questions, verdicts)
        return [verdicts.get(number) or _failed(questions[number]) for number in range(len(questions))]

    def judge_hooks(self, name: str, target: str) -> tuple[Finding, ...]:
        """What is wrong with a module of hooks; see `Hooks.load`."""
        return self.ask([Question(plugin=PluginRef(name=name, target=target), hooks=True)])[0].findings

    def _ask(self, numbers: list[int], questions: Sequence[Question], verdicts: dict[int, Verdict]) -> None:
        """Ask until everything is answered, or the child is gone."""
        child = self._child or self._start()
        unsent, sent = list(numbers), 0
        while unsent or sent:
            while unsent and sent < _SENT_AHEAD:
                number = unsent.pop(0)
                request = {
                    "number": number,
                    "question": to_plain(questions[number]),
                    "limit": self._limit,
                    "memory": self._memory,
                }
                if not _write(child, request):
                    self._drop()
                    return
                sent += 1
            answer = self._receive(child, _START + 2 * self._limit)
            if answer is None:
                self._drop()
                return
            verdicts[answer["number"]] = from_plain(Verdict, answer["verdict"])
            sent -= 1

    def _start(self) -> subprocess.Popen[bytes]:
        environ = {key: value for key, value in os.environ.items() if key != _SECRET}
        path = sys.path if self._path is None else self._path
        sites = modules.sites() if self._sites is None else self._sites
        nice = 0 if self._path is None else BESIDE
        self._read.clear()
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "iocmng.host.probe_child", str(nice), *map(str, sites)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environ, **_SINGLE, "PYTHONPATH": os.pathsep.join(entry for entry in path if entry)},
            start_new_session=True,
        )
        return self._child

    def _receive(self, child: subprocess.Popen[bytes], timeout: float) -> dict[str, Any] | None:
        """The next answer; None when the child is gone or silent for too long."""
        assert child.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._read:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    _log.error("the probing child has not answered for %g s", timeout)
                    return None
                data = os.read(child.stdout.fileno(), 65_536)
                if not data:
                    _log.error("the probing child ended with %s", child.wait())
                    return None
                self._read += data
        line, _, rest = bytes(self._read).partition(b"\n")
        self._read = bytearray(rest)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _drop(self) -> None:
        """Give a child up that does not do its work."""
        if self._child is not None:
            self._child.kill()
        self.close()

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            child.wait(2 * self._limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def _write(child: subprocess.Popen[bytes], request: dict[str, Any]) -> bool:
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
    except OSError:
        return False
    return True


def _failed(question: Question) -> Verdict:
    text = f"{question.plugin.name}: the probing child gave no answer"
    hint = "the host's log says more; try again with: iocmng reset NAME"
    return Verdict(findings=(Finding(Level.ERROR, "probe-failed", text, hint=hint),))
