"""Runs the client of watcher.py beside a test and gathers what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import outside

PROGRAM = Path(__file__).with_name("watcher.py")


@dataclass
class Watch:
    """What a subscribed client has seen so far."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, name: str, provider: str | None = None) -> list[dict[str, Any]]:
        """Events of one PV, oldest first."""
        return [
            event
            for event in list(self.events)
            if event["name"] == name and provider in (None, event["provider"])
        ]

    def until(self, seen: Callable[[], bool], what: str, deadline: float = 40.0) -> None:
        """Wait until `seen()`; fails with all events when it does not come."""
        end = time.monotonic() + deadline
        while not seen():
            assert time.monotonic() < end, f"{what} did not come; events: {self.events[-30:]}"
            time.sleep(0.02)


@contextmanager
def watching(env: Mapping[str, str], *names: str, seconds: float = 120.0) -> Iterator[Watch]:
    """Subscribe PVs over CA and PVA in another process, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(seconds), *names],
        env={**outside(), **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    watch = Watch()
    ready = json.loads(process.stdout.readline())
    assert ready == {"subscribed": len(names)}
    stream = process.stdout

    def listen() -> None:
        for line in stream:
            watch.events.append(json.loads(line))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield watch
    finally:
        process.stdin.close()
        process.wait(20)
        listener.join(20)
        stream.close()
