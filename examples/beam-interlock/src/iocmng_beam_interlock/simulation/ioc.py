"""Serve the simulated ring: `beam-simulation [--prefix SIM]`, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence

from iocmng_beam_interlock.simulation.machine import GOOD, Machine

PERIOD = 0.2
GAUGES = ("P1", "P2", "P3")
POSITIONS = ("Closed", "Moving", "Open")
HELP = """\
The simulated ring runs. Ctrl-C ends it, Ctrl-Z lets it hang. Put 1 to cause a fault, 0 to mend it:
  {prefix}:FAULT:VACUUM    a leak: the pressures rise
  {prefix}:FAULT:GAUGE     gauge P1 fails, the vacuum is good
  {prefix}:FAULT:COOLING   no more cooling water
  {prefix}:FAULT:STUCK     the shutter does not move any more
  {prefix}:FAULT:FREEZE    every value stands still, and no client is told
  {prefix}:FAULT:DROP      put N: the whole IOC is gone for N seconds"""


class Served:
    """The records of a machine under a prefix, and the clock that moves it."""

    def __init__(self, prefix: str, machine: Machine, drop: Callable[[int], None]) -> None:
        from softioc import alarm, builder

        self._machine = machine
        self._alarm = alarm
        self._frozen = False
        self._bad_gauge = False
        builder.SetDeviceName(prefix)
        reading = {"DISP": 1}
        self._current = builder.aIn("BEAM:CURRENT", EGU="mA", PREC=3, **reading)
        self._pressures = [builder.aIn(f"VAC:{name}", EGU="mbar", PREC=12, **reading) for name in GAUGES]
        self._flow = builder.aIn("COOL:FLOW", EGU="L/min", PREC=2, **reading)
        self._inlet = builder.aIn("COOL:T_IN", EGU="degC", PREC=2, **reading)
        self._outlet = builder.aIn("COOL:T_OUT", EGU="degC", PREC=2, **reading)
        self._shutter = builder.mbbIn("SHUTTER:POS", *POSITIONS, **reading)
        self._valve = builder.mbbIn("VALVE:POS", *POSITIONS, **reading)
        switches: list[tuple[str, str, str, bool, Callable[[bool], None]]] = [
            ("PERMIT", "Withdrawn", "Given", False, self._permit),
            ("SHUTTER:CMD", "Close", "Open", True, self._command_shutter),
            ("VALVE:CMD", "Close", "Open", True, self._command_valve),
            ("FAULT:VACUUM", "Ok", "Leak", False, self._leak),
            ("FAULT:GAUGE", "Ok", "Failed", False, self._fail_gauge),
            ("FAULT:COOLING", "Ok", "Off", False, self._stop_cooling),
            ("FAULT:STUCK", "Ok", "Stuck", False, self._stick),
            ("FAULT:FREEZE", "Ok", "Frozen", False, self._freeze),
        ]
        for name, off, on, value, handle in switches:
            builder.boolOut(name, off, on, initial_value=value, on_update=handle)
        builder.longOut("FAULT:DROP", EGU="s", DRVL=0, DRVH=60, initial_value=0, on_update=drop)

    def tick(self) -> None:
        """Move the machine by one period and show it."""
        machine = self._machine
        machine.step(PERIOD)
        if self._frozen:
            return
        self._current.set(max(0.0, machine.current + machine.random.gauss(0.0, 0.005)))
        for index, record in enumerate(self._pressures):
            if index == 0 and self._bad_gauge:
                record.set(GOOD, severity=self._alarm.INVALID_ALARM, alarm=self._alarm.READ_ALARM)
            else:
                record.set(machine.noisy(machine.pressures[index], 0.02))
        self._flow.set(machine.noisy(machine.flow, 0.005))
        self._inlet.set(machine.noisy(22.0, 0.001))
        self._outlet.set(machine.noisy(machine.outlet, 0.001))
        self._shutter.set(machine.shutter.position)
        self._valve.set(machine.valve.position)

    def _permit(self, on: bool) -> None:
        self._machine.permit = bool(on)

    def _command_shutter(self, on: bool) -> None:
        self._machine.shutter.command = bool(on)

    def _command_valve(self, on: bool) -> None:
        self._machine.valve.command = bool(on)

    def _leak(self, on: bool) -> None:
        self._machine.leak = bool(on)

    def _fail_gauge(self, on: bool) -> None:
        self._bad_gauge = bool(on)

    def _stop_cooling(self, on: bool) -> None:
        self._machine.no_cooling = bool(on)

    def _stick(self, on: bool) -> None:
        self._machine.shutter.stuck = bool(on)

    def _freeze(self, on: bool) -> None:
        self._frozen = bool(on)


def serve(prefix: str) -> int:
    """Serve until Ctrl-C, which gives 0, or until the IOC is to be gone for so many seconds, which are returned."""
    from softioc import asyncio_dispatcher, builder, softioc

    gone = threading.Event()
    seconds = 0

    def drop(wanted: int) -> None:
        nonlocal seconds
        seconds = int(wanted)
        if seconds:
            gone.set()

    served = Served(prefix, Machine(), drop)
    builder.LoadDatabase()
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    print(HELP.format(prefix=prefix), flush=True)
    due = time.monotonic()
    while not gone.wait(max(0.0, due - time.monotonic())):
        served.tick()
        due = max(due + PERIOD, time.monotonic() - PERIOD)
    # The client that wrote DROP is to get its answer first.
    time.sleep(PERIOD)
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the command line apart and serve."""
    parser = argparse.ArgumentParser(
        prog="beam-simulation", description="A simulated storage ring as an IOC."
    )
    parser.add_argument("--prefix", default="SIM", help="first part of all PV names (default: SIM)")
    parser.add_argument("--after", type=float, default=0.0, help="seconds to wait before it serves")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("EPICS_ALLOW_POSIX_THREAD_PRIORITY_SCHEDULING", "NO")
    fresh = dict(os.environ)
    try:
        time.sleep(chosen.after)
        seconds = serve(chosen.prefix)
    except KeyboardInterrupt:
        # EPICS threads do not end by themselves.
        os._exit(0)
    print(f"gone for {seconds} s", flush=True)
    program = [sys.executable, "-m", "iocmng_beam_interlock.simulation"]
    os.execve(sys.executable, [*program, "--prefix", chosen.prefix, "--after", str(seconds)], fresh)
