"""Decide what follows the end of a task: another attempt after a delay, or none; clock and chance come in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from math import ldexp

from iocmng.spec import RestartPolicy, Supervision

JITTER = 0.1


class Cause(StrEnum):
    """Why a task ended or has to end, in words that fit into MESSAGE."""

    EXCEPTION = "exception"
    START_TIMEOUT = "start timeout"
    CYCLE_ERRORS = "cycle errors"
    STALL = "stall"
    SIGNAL = "signal"
    EXIT = "exit"
    RETURNED = "returned"


ABNORMAL = frozenset({Cause.START_TIMEOUT, Cause.STALL, Cause.SIGNAL})
"""Hangs and signals: what `on-abnormal` answers with a new start."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Start again after `delay` seconds; `attempt` counts from 1."""

    delay: float
    attempt: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start again. `failed` tells a failure (ERROR) from a task that returned by itself (END)."""

    reason: str
    failed: bool = True


@dataclass(slots=True)
class Restarts:
    """What is remembered of an instance's restarts between its ends.

    Attributes:
        attempts: Restarts since the last reset, or since a run of `restart_reset` seconds.
        times: When restarts within the window were granted, on the caller's clock, oldest first.
    """

    attempts: int = 0
    times: deque[float] = field(default_factory=deque)

    def decide(
        self, policy: Supervision, cause: Cause, now: float, ran_for: float, random: float
    ) -> Retry | GiveUp:
        """Say what follows an end, and remember it.

        Args:
            policy: The instance's supervision.
            cause: Why it ended.
            now: A monotonic time in seconds, on the same clock in every call.
            ran_for: Seconds it was running (since RUN), 0 when it never came so far.
            random: A number from 0 to 1 that spreads the delay by ±10 %.
        """
        if not restarts(policy.restart, cause):
            why = "returned" if cause is Cause.RETURNED else f"{cause}, and restart is {policy.restart}"
            return GiveUp(why, failed=cause is not Cause.RETURNED)
        if ran_for >= policy.restart_reset:
            self.reset()
        while self.times and now - self.times[0] >= policy.restart_window:
            self.times.popleft()
        if policy.restart_max and len(self.times) >= policy.restart_max:
            return GiveUp(
                f"{len(self.times)} restarts within {policy.restart_window:g} s, "
                f"restart_max allows {policy.restart_max}"
            )
        self.attempts += 1
        if policy.restart_max:
            self.times.append(now)
        return Retry(delay(policy, self.attempts, random), self.attempts)

    def reset(self) -> None:
        """Forget all of it: an operator acknowledged, or it ran long enough."""
        self.attempts = 0
        self.times.clear()


def restarts(policy: RestartPolicy, cause: Cause) -> bool:
    """Whether `policy` answers `cause` with a new start."""
    if policy is RestartPolicy.ALWAYS:
        return True
    if policy is RestartPolicy.ON_FAILURE:
        return cause is not Cause.RETURNED
    return policy is RestartPolicy.ON_ABNORMAL and cause in ABNORMAL


def delay(policy: Supervision, attempt: int, random: float) -> float:
    """Seconds before restart `attempt` (from 1): doubles from `restart_sec` to `restart_max_sec`, ±10 %."""
    doubled = ldexp(policy.restart_sec, min(attempt - 1, 64))
    return min(doubled, policy.restart_max_sec) * (1 + JITTER * (2 * random - 1))
