"""The life of an instance as one table: (state, trigger) → state; everything else is refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType

from iocmng.errors import Refused


class State(IntEnum):
    """States of a task, in the order of its STATUS PV."""

    INIT = 0
    RUN = 1
    PAUSED = 2
    END = 3
    ERROR = 4
    BACKOFF = 5
    STALLED = 6
    INVALID = 7


class JobState(IntEnum):
    """States of a job, and outcomes of its latest run, in the order of its STATUS PV (where 7 says INVALID)."""

    IDLE = 0
    RUNNING = 1
    SUCCESS = 2
    FAILED = 3
    ABORTED = 4
    TIMEOUT = 5
    LOST = 6
    QUEUED = 8


class TaskStatus(IntEnum):
    """How a cycle of a task went, in the order of a TaskStatus record."""

    SUCCESS = 0
    LOGIC_FAILURE = 1
    IO_FAILURE = 2
    EXCEPTION = 3
    SKIPPED = 4
    DONE = 0
    ERROR = 2


class HostState(IntEnum):
    """States of the host, in the order of HOST:STATE."""

    STARTING = 0
    RUN = 1
    SAFE_MODE = 2
    STOPPING = 3


class Trigger(StrEnum):
    """What can happen to an instance: the operators' verbs first, then what happens by itself."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"
    RESET = "reset"
    INITIALIZED = "initialized"
    INITIALIZED_PAUSED = "initialized-paused"
    FAILED_RETRY = "failed-retry"
    FAILED_FOR_GOOD = "failed-for-good"
    ENDED = "ended"
    STALLED = "stalled"
    PROGRESSED = "progressed"
    DELAY_OVER = "delay-over"
    VALIDATED = "validated"
    REJECTED = "rejected"


VERBS = (Trigger.START, Trigger.STOP, Trigger.PAUSE, Trigger.RESUME, Trigger.RESTART, Trigger.RESET)

_S, _T = State, Trigger

TABLE: Mapping[tuple[State, Trigger], State] = MappingProxyType(
    {
        (_S.INIT, _T.START): _S.INIT,
        (_S.INIT, _T.STOP): _S.END,
        (_S.INIT, _T.PAUSE): _S.INIT,
        (_S.INIT, _T.RESTART): _S.INIT,
        (_S.INIT, _T.RESET): _S.INIT,
        (_S.INIT, _T.INITIALIZED): _S.RUN,
        (_S.INIT, _T.INITIALIZED_PAUSED): _S.PAUSED,
        (_S.RUN, _T.START): _S.RUN,
        (_S.RUN, _T.STOP): _S.END,
        (_S.RUN, _T.PAUSE): _S.PAUSED,
        (_S.RUN, _T.RESUME): _S.RUN,
        (_S.RUN, _T.RESTART): _S.INIT,
        (_S.RUN, _T.RESET): _S.RUN,
        (_S.RUN, _T.ENDED): _S.END,
        (_S.RUN, _T.STALLED): _S.STALLED,
        (_S.PAUSED, _T.STOP): _S.END,
        (_S.PAUSED, _T.PAUSE): _S.PAUSED,
        (_S.PAUSED, _T.RESUME): _S.RUN,
        (_S.PAUSED, _T.RESTART): _S.INIT,
        (_S.PAUSED, _T.RESET): _S.PAUSED,
        (_S.PAUSED, _T.ENDED): _S.END,
        (_S.END, _T.START): _S.INIT,
        (_S.END, _T.STOP): _S.END,
        (_S.END, _T.RESTART): _S.INIT,
        (_S.END, _T.RESET): _S.END,
        (_S.BACKOFF, _T.START): _S.INIT,
        (_S.BACKOFF, _T.STOP): _S.END,
        (_S.BACKOFF, _T.RESTART): _S.INIT,
        (_S.BACKOFF, _T.RESET): _S.INIT,
        (_S.BACKOFF, _T.DELAY_OVER): _S.INIT,
        (_S.ERROR, _T.START): _S.INIT,
        (_S.ERROR, _T.STOP): _S.END,
        (_S.ERROR, _T.RESTART): _S.INIT,
        (_S.ERROR, _T.RESET): _S.INIT,
        (_S.STALLED, _T.STOP): _S.END,
        (_S.STALLED, _T.RESTART): _S.INIT,
        (_S.STALLED, _T.RESET): _S.STALLED,
        (_S.STALLED, _T.PROGRESSED): _S.RUN,
        (_S.STALLED, _T.ENDED): _S.END,
        (_S.INVALID, _T.STOP): _S.INVALID,
        (_S.INVALID, _T.RESET): _S.INVALID,
        (_S.INVALID, _T.VALIDATED): _S.INIT,
        **{(state, _T.FAILED_RETRY): _S.BACKOFF for state in (_S.INIT, _S.RUN, _S.PAUSED, _S.STALLED)},
        **{(state, _T.FAILED_FOR_GOOD): _S.ERROR for state in (_S.INIT, _S.RUN, _S.PAUSED, _S.STALLED)},
        **{(state, _T.REJECTED): _S.INVALID for state in _S},
    }
)


def allowed(state: State) -> tuple[Trigger, ...]:
    """The verbs an operator may use in `state`."""
    return tuple(verb for verb in VERBS if (state, verb) in TABLE)


def next_state(state: State, trigger: Trigger, *, name: str = "instance") -> State:
    """Look the next state up.

    Raises:
        Refused: The pair is not in the table; the error lists the verbs that are.
    """
    try:
        return TABLE[state, trigger]
    except KeyError:
        verbs = ", ".join(allowed(state)) or "nothing"
        raise Refused(f"{name}: cannot {trigger} while {state.name}", hint=f"allowed now: {verbs}") from None
