"""The storage ring as a few equations; nothing here knows EPICS."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from random import Random

FULL = 200.0
INJECTION = 40.0
LIFETIME = 3600.0
GOOD = 1e-9
LEAK = (2e-6, 1e-5, 3e-6)
FLOW = 12.0
INLET = 22.0
HOTTEST = 95.0
WATER = 14.3
TRAVEL = 1.5


class Position(IntEnum):
    """Where a shutter or valve stands."""

    CLOSED = 0
    MOVING = 1
    OPEN = 2


@dataclass(slots=True)
class Blade:
    """A shutter or valve that follows its command; `stuck` keeps it where it is."""

    command: bool = True
    stuck: bool = False
    travelled: float = TRAVEL

    @property
    def position(self) -> Position:
        """Where it stands."""
        if self.travelled <= 0:
            return Position.CLOSED
        return Position.OPEN if self.travelled >= TRAVEL else Position.MOVING

    def step(self, seconds: float) -> None:
        """Move towards the command."""
        if not self.stuck:
            moved = self.travelled + (seconds if self.command else -seconds)
            self.travelled = min(TRAVEL, max(0.0, moved))


@dataclass(slots=True)
class Machine:
    """Beam, vacuum, cooling water, a shutter and a valve.

    `permit`, the commands of the blades and the faults are set from outside; the rest follows from `step`. Current in
    mA, pressures in mbar, flow in L/min, temperatures in degC.
    """

    random: Random = field(default_factory=Random)
    permit: bool = False
    leak: bool = False
    no_cooling: bool = False
    shutter: Blade = field(default_factory=Blade)
    valve: Blade = field(default_factory=Blade)
    current: float = 0.0
    pressures: list[float] = field(default_factory=lambda: [GOOD] * len(LEAK))
    flow: float = FLOW
    outlet: float = INLET + 1.0
    _filling: bool = True

    def step(self, seconds: float) -> None:
        """Let time pass."""
        self.shutter.step(seconds)
        self.valve.step(seconds)
        self._vacuum(seconds)
        self._beam(seconds)
        self._cooling(seconds)

    def noisy(self, value: float, spread: float) -> float:
        """What an instrument shows of a value: `spread` is relative."""
        return value * (1.0 + self.random.gauss(0.0, spread))

    def _beam(self, seconds: float) -> None:
        if not self.permit or self.valve.position is not Position.OPEN:
            self.current, self._filling = 0.0, True
            return
        if self._filling:
            self.current = min(FULL, self.current + INJECTION * seconds)
        self._filling = self.current < (FULL if self._filling else 0.9 * FULL)
        lifetime = LIFETIME / (1.0 + sum(self.pressures) / 1e-7)
        self.current *= math.exp(-seconds / lifetime)

    def _vacuum(self, seconds: float) -> None:
        quiet = GOOD * (1.0 + self.current / FULL)
        for index, leaking in enumerate(LEAK):
            goal = leaking if self.leak else quiet
            now = math.log(self.pressures[index])
            now += (math.log(goal) - now) * -math.expm1(-seconds / 0.5)
            self.pressures[index] = math.exp(now)

    def _cooling(self, seconds: float) -> None:
        self.flow += ((0.0 if self.no_cooling else FLOW) - self.flow) * -math.expm1(-seconds / 0.7)
        power = 0.5 + 8.0 * self.current / FULL
        goal = min(HOTTEST, INLET + WATER * power / max(self.flow, 0.1))
        self.outlet += (goal - self.outlet) * -math.expm1(-seconds / 5.0)
