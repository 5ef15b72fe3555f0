"""Client processes of the churn, and what their counters say about cycles that others have lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from children import Lines, ending
from environments import outside

PROGRAM = Path(__file__).with_name("client.py")
PROVIDERS = ("ca", "pva")
PATIENCE = 30.0
EDGE = 10
"""So many cycles, one of which is not late."""


class ClientProcess:
    """One process; every method of `Clients` in client.py can be asked for."""

    def __init__(self, provider: str, process: subprocess.Popen[str]) -> None:
        self.provider = provider
        self._process = process
        self._lines = Lines(process.stdout)

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have one request answered; `deadline` is how long that may take."""
        return self.begin(do, **arguments)()

    def begin(self, do: str, **arguments: Any) -> Callable[[], Any]:
        """Begin a request; what is returned waits for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps({'do': do, **arguments})}\n")
        self._process.stdin.flush()
        patience = PATIENCE + arguments.get("deadline", 0.0)

        def answered() -> Any:
            answer = json.loads(self._lines.next(patience, f"{self.provider}: {do} {arguments}"))
            assert "error" not in answer, f"{self.provider}: {do}: {answer['error']}"
            return answer["value"]

        return answered

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._lines.close()


@contextmanager
def client_process(provider: str, env: Mapping[str, str]) -> Iterator[ClientProcess]:
    """A client until the block ends."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), provider],
        env={**outside(), **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with ending(process):
        client = ClientProcess(provider, process)
        yield client
        client.close()


@contextmanager
def client_processes(env: Mapping[str, str], of_each: int) -> Iterator[list[ClientProcess]]:
    """So many clients of each provider until the block ends."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(client_process(provider, env))
            for provider in PROVIDERS
            for _ in range(of_each)
        ]


Stamps = Sequence[tuple[int, float]]
"""Number and time of each cycle that a subscriber saw."""


def lost_cycles(stamps: Stamps, interval: float) -> int:
    """Cycles that were due and did not come."""
    # Each lost one moves those after it by a whole interval; the least late ones show by how much.
    moved = [stamp - number * interval for number, stamp in stamps]
    return round((min(moved[-EDGE:]) - min(moved[:EDGE])) / interval) if moved else 0


def lateness(stamps: Stamps, interval: float) -> list[float]:
    """Seconds that each cycle was late: due times are whole intervals apart, and the least late one is on time."""
    moved = [stamp - number * interval for number, stamp in stamps]
    earliest = min(moved, default=0.0)
    return [(one - earliest) % interval for one in moved]


def percentile(values: list[float], share: float) -> float:
    """The value below which such a share of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
