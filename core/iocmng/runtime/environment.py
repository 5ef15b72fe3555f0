"""What every instance of a host shares: records, time, events, and the one thread that changes states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iocmng.runtime.cothreads import Cothreads
from iocmng.runtime.evaluation import Latches, RunQueue
from iocmng.runtime.events import EventBus
from iocmng.runtime.ports import AuthorLoop, Clock, RecordPort, Undo
from iocmng.runtime.wiring import Wiring


def _unnoted(instance: str, what: str) -> None:
    """Nobody keeps a journal."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Shared by all instances.

    Attributes:
        records: The records of this process.
        clock: Time.
        events: The bus.
        authors: Where coroutines of authors run.
        post: Queue a call for the supervising thread; any thread.
        after: Call something on the supervising thread after so many seconds; the returned call ends it.
        random: A number from 0 to 1.
        wiring: Links to other PVs.
        evaluation: Evaluates links and logic of all instances.
        latches: Keeps latched outputs.
        demand_exit: The host has to exit with the code that asks for a restart, and why.
        note: An instance is at something on this thread from now on: `import`, `start`, `first cycle`, `run`,
            or, with "", at nothing any more; so that the next boot knows who ended the process.
        cothreads: Runs code written for cothread; None: such code gets a thread of its own.
    """

    records: RecordPort
    clock: Clock
    events: EventBus
    authors: AuthorLoop
    post: Callable[[Callable[[], None]], None]
    after: Callable[[float, Callable[[], None]], Undo]
    random: Callable[[], float]
    demand_exit: Callable[[str], None]
    wiring: Wiring
    evaluation: RunQueue
    latches: Latches
    note: Callable[[str, str], None] = _unnoted
    cothreads: Cothreads | None = None
