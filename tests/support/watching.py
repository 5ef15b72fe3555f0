"""Runs the client of watcher.py beside a test and gathers what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from children import Lines, ending
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
    watch = Watch()

    def heard(line: str) -> None:
        event = json.loads(line)
        if "name" in event:
            watch.events.append(event)

    with ending(process):
        lines = Lines(process.stdout, heard)
        assert json.loads(lines.next(60.0, "the subscription")) == {"subscribed": len(names)}
        yield watch
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
        lines.close()
