"""The state table against the table of the reference, cell by cell."""

from __future__ import annotations

import pytest

from iocmng.errors import ExitCode, Refused
from iocmng.lifecycle import TABLE, VERBS, JobState, State, Trigger, allowed, next_state

# Rows and columns of REFERENCE 4.1; "-" is refused.
REFERENCE = """
         start  stop     pause   resume  restart  reset
INIT     INIT   END      INIT    -       INIT     INIT
RUN      RUN    END      PAUSED  RUN     INIT     RUN
PAUSED   -      END      PAUSED  RUN     INIT     PAUSED
END      INIT   END      -       -       INIT     END
BACKOFF  INIT   END      -       -       INIT     INIT
ERROR    INIT   END      -       -       INIT     INIT
STALLED  -      END      -       -       INIT     STALLED
INVALID  -      INVALID  -       -       -        INVALID
"""

_HEAD, *_ROWS = [line.split() for line in REFERENCE.strip().splitlines()]
CELLS = [(row[0], verb, cell) for row in _ROWS for verb, cell in zip(_HEAD, row[1:], strict=True)]


@pytest.mark.parametrize(("state", "verb", "after"), CELLS)
def test_each_verb_does_what_the_reference_says(state: str, verb: str, after: str) -> None:
    if after == "-":
        with pytest.raises(Refused) as refusal:
            next_state(State[state], Trigger(verb), name="pump")
        assert "pump" in refusal.value.detail
        assert state in refusal.value.detail
        for allowed_verb in allowed(State[state]):
            assert allowed_verb in refusal.value.hint
        assert refusal.value.exit_code is ExitCode.REFUSED
        assert refusal.value.http_status == 409
    else:
        assert next_state(State[state], Trigger(verb)) is State[after]


def test_the_reference_covers_every_state_and_verb() -> None:
    assert {(state, verb) for state, verb, _ in CELLS} == {(s.name, v.value) for s in State for v in VERBS}


@pytest.mark.parametrize(
    ("state", "trigger", "after"),
    [
        ("INIT", "initialized", "RUN"),
        ("INIT", "initialized-paused", "PAUSED"),
        ("RUN", "stalled", "STALLED"),
        ("STALLED", "progressed", "RUN"),
        ("BACKOFF", "delay-over", "INIT"),
        ("INVALID", "validated", "INIT"),
        ("RUN", "ended", "END"),
    ],
)
def test_what_happens_by_itself(state: str, trigger: str, after: str) -> None:
    assert next_state(State[state], Trigger(trigger)) is State[after]


@pytest.mark.parametrize("state", ["INIT", "RUN", "PAUSED", "STALLED"])
def test_a_failure_leads_to_backoff_or_error(state: str) -> None:
    assert next_state(State[state], Trigger.FAILED_RETRY) is State.BACKOFF
    assert next_state(State[state], Trigger.FAILED_FOR_GOOD) is State.ERROR


@pytest.mark.parametrize("state", ["END", "BACKOFF", "ERROR", "INVALID"])
def test_what_does_not_run_cannot_fail_or_stall(state: str) -> None:
    for trigger in (Trigger.FAILED_RETRY, Trigger.FAILED_FOR_GOOD, Trigger.STALLED, Trigger.INITIALIZED):
        with pytest.raises(Refused):
            next_state(State[state], trigger)


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TABLE.values()) == set(State)
    for state in State:
        assert any(before is state and after is not state for (before, _), after in TABLE.items())


def test_the_order_of_the_states_is_the_order_of_the_pvs() -> None:
    assert [state.name for state in State] == [
        "INIT",
        "RUN",
        "PAUSED",
        "END",
        "ERROR",
        "BACKOFF",
        "STALLED",
        "INVALID",
    ]
    assert [s.name for s in JobState] == [
        "IDLE",
        "RUNNING",
        "SUCCESS",
        "FAILED",
        "ABORTED",
        "TIMEOUT",
        "LOST",
        "QUEUED",
    ]
    assert State.INVALID not in {int(s) for s in JobState}


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TABLE[State.RUN, Trigger.START] = State.ERROR  # type: ignore[index]
