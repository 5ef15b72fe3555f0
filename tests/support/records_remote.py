"""Calls to a program in another process, over a socket pair."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

PATIENCE = 30.0


class Remote:
    """A Python program that answers calls until its connection closes."""

    def __init__(self, program: Path, *arguments: str, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self._connection, theirs = Pipe()
        self.process = subprocess.Popen(
            [sys.executable, str(program), str(theirs.fileno()), *arguments],
            pass_fds=[theirs.fileno()],
            env=self.env,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        self._connection.send((method, arguments, named))
        if not self._connection.poll(PATIENCE):
            raise TimeoutError(f"{method}{arguments} was not answered within {PATIENCE} s")
        failed, result = self._connection.recv()
        if failed:
            raise result
        return result

    def close(self) -> None:
        self._connection.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)


def serve(descriptor: int, methods: Callable[[str], Callable[..., Any]]) -> None:
    """Answer calls until the other side closes."""
    connection: Connection[Any, Any] = Connection(descriptor)
    while True:
        try:
            name, arguments, named = connection.recv()
        except EOFError:
            return
        try:
            answer = (False, methods(name)(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - it is raised again in the test
            answer = (True, error)
        connection.send(answer)
