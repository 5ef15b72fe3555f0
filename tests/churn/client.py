"""A CA or PVA client that watches counters while others come and go: `python client.py ca|pva`, told by lines of JSON.

Requests: {"do": METHOD of `Clients`, …arguments}, one a line; each is answered by {"value"} or {"error"}. It ends with
its input. Times are seconds since 1970, so that they compare with those of a host of this machine.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Heard = Callable[[Any, int, float], None]
"""Told value, severity and time stamp of each event; value None for a disconnect."""
INVALID = 3
MOST_KEPT = 4_000
BEAT = 0.1


@dataclass
class Watched:
    """What one subscriber has seen.

    Attributes:
        counts: Whether it is a counter, of which each event is kept.
        connected: When it first was.
        lost: When it was disconnected.
        first, last: Value and time stamp.
        jumps: Values that did not follow the one before.
        stamps: Value and time stamp of each event since it began anew.
        quality: Each change between valid and INVALID: when, whether it was valid, and the value.
    """

    counts: bool = True
    connected: float = 0.0
    lost: list[float] = field(default_factory=list)
    first: tuple[Any, float] | None = None
    last: tuple[Any, float] | None = None
    jumps: list[tuple[Any, Any]] = field(default_factory=list)
    stamps: list[tuple[int, float]] = field(default_factory=list)
    quality: list[tuple[float, bool, Any]] = field(default_factory=list)

    def heard(self, value: Any, severity: int, stamp: float) -> None:
        if value is None:
            if self.connected:
                self.lost.append(time.time())
            return
        self.connected = self.connected or time.time()
        valid = severity < INVALID
        if not self.quality or self.quality[-1][1] != valid:
            self.quality = [*self.quality[-MOST_KEPT:], (time.time(), valid, value)]
        if not valid or not self.counts:
            return
        if self.last is not None and value != self.last[0] + 1:
            self.jumps.append((self.last[0], value))
        self.first = self.first or (value, stamp)
        self.last = value, stamp
        self.stamps.append((value, stamp))

    def begin(self) -> None:
        self.first, self.jumps, self.stamps, self.lost = self.last, [], [], []


class Ca:
    def __init__(self) -> None:
        import epicscorelibs.path.pyepics  # isort: skip # noqa: F401 - one libca for all
        import epics

        self._epics = epics

    def subscribe(self, name: str, heard: Heard) -> Callable[[], None]:
        def changed(value: Any = None, severity: int = 0, timestamp: float = 0.0, **_: Any) -> None:
            heard(value, severity, timestamp)

        def connection(conn: bool = False, **_: Any) -> None:
            if not conn:
                heard(None, INVALID, 0.0)

        pv = self._epics.PV(
            name, form="time", auto_monitor=True, callback=changed, connection_callback=connection
        )

        def close() -> None:
            channel = pv.chid
            pv.disconnect()
            # Else the next who asks for this name would find it connected.
            self._epics.ca.clear_channel(channel)

        return close


class Pva:
    def __init__(self) -> None:
        from p4p.client.thread import Context, Disconnected

        self._make = lambda: Context("pva", nt=False)
        self._lost: type[Exception] = Disconnected
        self._context = self._make()

    def subscribe(self, name: str, heard: Heard, context: Any = None) -> Callable[[], None]:
        def changed(found: Any) -> None:
            if isinstance(found, self._lost):
                heard(None, INVALID, 0.0)
                return
            value = found["value"]
            stamp = found["timeStamp.secondsPastEpoch"] + found["timeStamp.nanoseconds"] * 1e-9
            heard(value["index"] if hasattr(value, "keys") else value, found["alarm.severity"], stamp)

        subscription = (context or self._context).monitor(name, changed, notify_disconnect=True)
        return lambda: subscription.close()

    def subscribe_anew(self, name: str, heard: Heard) -> Callable[[], None]:
        context = self._make()
        self.subscribe(name, heard, context)
        return lambda: context.close()


class Metronome:
    """A bare thread that beats at the rate of the fast tasks: what it misses the machine has not given to anybody."""

    def __init__(self, interval: float) -> None:
        self.late: list[float] = []
        self._interval = interval
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        due = time.monotonic()
        while True:
            due += self._interval
            time.sleep(max(0.0, due - time.monotonic()))
            self.late.append(time.monotonic() - due)
            due += self.late[-1] // self._interval * self._interval


class Clients:
    """What may be asked."""

    def __init__(self, provider: str) -> None:
        self._metronome = Metronome(BEAT)
        self._client: Any = Ca() if provider == "ca" else Pva()
        self._watched: dict[str, Watched] = {}
        self._kept: list[Callable[[], None]] = []

    def watch(self, names: list[str], counts: bool = False) -> None:
        """Subscribe; the names need not be there."""
        for name in names:
            one = self._watched[name] = Watched(counts=counts)
            self._kept.append(self._client.subscribe(name, one.heard))

    def all_there(self, but: list[str], deadline: float) -> list[str]:
        """Wait until every other name has been seen; those that have not."""
        end = time.monotonic() + deadline
        while missing := [
            name for name, one in self._watched.items() if not one.connected and name not in but
        ]:
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        return missing

    def begin(self) -> None:
        """What is counted begins anew."""
        self._metronome.late = []
        for one in self._watched.values():
            one.begin()

    def seen(self) -> dict[str, Any]:
        """What has been counted since, by name."""
        return {
            name: {
                "connected": one.connected,
                "first": one.first,
                "last": one.last,
                "jumps": one.jumps,
                "lost": one.lost,
                "stamps": one.stamps,
            }
            for name, one in self._watched.items()
            if one.counts
        }

    def beats(self) -> list[float]:
        """How late the beats of a bare thread were since, seconds."""
        return self._metronome.late

    def disconnects(self) -> dict[str, list[float]]:
        """When which was disconnected."""
        return {name: one.lost for name, one in self._watched.items() if one.lost}

    def quality(self, name: str) -> list[tuple[float, bool, Any]]:
        """Every change between valid and not."""
        return list(self._watched[name].quality)

    def until(self, name: str, valid: bool, since: float, deadline: float) -> float:
        """Wait until it has become valid, or INVALID, after `since`; returns when that was."""
        one, end = self._watched[name], time.monotonic() + deadline
        while True:
            for at, was, _ in reversed(one.quality):
                if was is valid and at >= since:
                    return at
            if time.monotonic() > end:
                raise TimeoutError(f"{name} is not {'valid' if valid else 'INVALID'}: {one.quality[-3:]}")
            time.sleep(0.005)

    def connect(self, name: str, deadline: float) -> tuple[float, float]:
        """Connect as a new client; returns the seconds until anything and until a valid value came.

        Over CA nobody of this process may have asked for the name and kept it.
        """
        begun = time.monotonic()
        times = self._tried(name, deadline)
        if True not in times:
            raise TimeoutError(f"{name} gave a new client no value within {deadline:g} s, but {times}")
        return min(times.values()) - begun, times[True] - begun

    def arrival(self, name: str, patience: float, deadline: float) -> float:
        """Try as one new client after the other, each for `patience`, until one has a valid value; when that was."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if at := self._tried(name, patience).get(True):
                return time.time() - (time.monotonic() - at)
        raise TimeoutError(f"{name} gave no new client a value within {deadline:g} s")

    def _tried(self, name: str, patience: float) -> dict[bool, float]:
        """When a new client had its first valid and its first INVALID value."""
        came, times = threading.Event(), dict[bool, float]()

        def heard(value: Any, severity: int, stamp: float) -> None:
            if value is not None:
                times.setdefault(severity < INVALID, time.monotonic())
                if severity < INVALID:
                    came.set()

        close = getattr(self._client, "subscribe_anew", self._client.subscribe)(name, heard)
        came.wait(patience)
        close()
        return times


def main() -> None:
    clients = Clients(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"value": getattr(clients, asked.pop("do"))(**asked)}
        except Exception as error:  # noqa: BLE001 - the test sees it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=lambda one: one.tolist()), flush=True)
    # The client libraries' threads would be torn down in an order of their own.
    os._exit(0)


if __name__ == "__main__":
    main()
