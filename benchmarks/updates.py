"""Declarative instances with 20 inputs each at 10 Hz: what share is kept up with, and what one update costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from hosts import HostProcess, Ports, epics_environment, workplace
from peers import NativeIoc, Previous, declarative, previous_environment
from table import Row, sample, show

INPUTS = 20
RATE = 10
SIZES = (10, 100, 1000)
PREVIOUS_SIZES = (10,)
SECONDS = 10.0
SETTLE = 6.0
PROBED = 10
FIRST_START_LIMIT = 600.0
LETTERS = "ABCDEFGHIJKLMNOPQRST"


def source_name(instance: int, number: int) -> str:
    """The PV behind one input."""
    return f"SRC:{instance:04}:{number:02}"


def source(size: int) -> str:
    """A database in which every PV counts at 10 Hz."""
    counter = (
        'record(calc, "{0}") {{ field(SCAN, ".1 second") field(INPA, "{0}") field(CALC, "A<1000?A+1:0") }}\n'
    )
    return "".join(
        counter.format(source_name(instance, number)) for instance in range(size) for number in range(INPUTS)
    )


def native(size: int) -> str:
    """Calc records that add up 20 PVs each, and count in U how often they did."""
    made = []
    for instance in range(size):
        links = " ".join(
            f'field(INP{letter}, "{source_name(instance, number)} CPP MS")'
            for number, letter in enumerate(LETTERS)
        )
        made.append(
            f'record(calc, "NAT:{instance:04}") {{ field(CALC, "U:=U+1;{"+".join(LETTERS)}") {links} }}\n'
        )
    return "".join(made)


def config(instance: int, unique: bool = False) -> dict[str, object]:
    """A reactive config that adds up 20 PVs and judges two of them; `unique` gives its inputs names of their own.

    In the previous system two inputs of one name take each other's subscription, and rules do not see transforms.
    """
    names = [f"I{instance if unique else 0:04}X{number:02}" for number in range(INPUTS)]
    inputs = {
        name: {
            "type": "float",
            "link": source_name(instance, number),
            "link_mode": "monitor",
            "trigger": True,
        }
        for number, name in enumerate(names)
    }
    return {
        "parameters": {"mode": "reactive"},
        "arguments": {
            "inputs": inputs,
            "outputs": {"SUM": {"type": "float"}, "HIGH": {"type": "bool", "value": False}},
        },
        "transforms": [{"output": "SUM", "expression": " + ".join(names)}],
        "rule_defaults": {"HIGH": False},
        "rules": [
            {"id": "high", "condition": f"{names[0]} + {names[1]} > 1000000", "outputs": {"HIGH": True}}
        ],
    }


@dataclass(frozen=True)
class Count:
    """What one instance had done at a moment of the monotonic clock."""

    at: float
    updates: float
    evaluations: float


class Taken:
    """What a system of so many instances did between two counts of some of them."""

    def __init__(self, before: Sequence[Count], after: Sequence[Count], load: float, size: int) -> None:
        # Asking one after the other takes time: each has a window of its own.
        pairs = list(zip(before, after, strict=True))
        updates = mean((last.updates - first.updates) / (last.at - first.at) for first, last in pairs)
        self.evaluations = mean(
            (last.evaluations - first.evaluations) / (last.at - first.at) for first, last in pairs
        )
        self.share = 100 * updates / (INPUTS * RATE)
        self.cost = load / (updates * size) * 1e6 if updates else float("inf")
        self.rate = updates * size / load if load else 0.0


def window(counts: Callable[[], list[Count]], cpu: Callable[[], float], size: int) -> Taken:
    """Let a system settle, then count for some seconds."""
    time.sleep(SETTLE)
    before, used, begun = counts(), cpu(), time.monotonic()
    time.sleep(SECONDS)
    load = (cpu() - used) / (time.monotonic() - begun)
    return Taken(before, counts(), load, size)


def probed(size: int) -> range:
    """The instances that are asked, for all."""
    return range(0, size, max(1, size // PROBED))


def host_of(place: Path, size: int, pva: bool, *reach: Ports, enabled: bool = True) -> HostProcess:
    """This product's host with so many instances, each of a plugin of its own."""
    listed = [
        {
            "plugin": f"updates-{instance:04}",
            "name": f"updates-{instance:04}",
            "prefix": f"U{instance:04}",
            "parameters": {"pva": pva},
            "enabled": enabled,
        }
        for instance in range(size)
    ]
    return HostProcess(place, f"updates{size}", {"only_listed": True, "instances": listed}, reach=reach)


def validated(place: Path, size: int) -> None:
    """Let a host look at all plugins once, before anything else takes processor time."""
    host = host_of(place, size, False, enabled=False)
    try:
        host.start(instances=0, limit=FIRST_START_LIMIT)
    finally:
        host.stop()


def ours(place: Path, size: int, pva: bool, reach: Ports) -> Taken:
    """This product's host."""
    host = host_of(place, size, pva, reach)

    def counts() -> list[Count]:
        made = []
        for instance in probed(size):
            seen: dict[str, Any] = host.get(f"/api/v1/plugins/updates-{instance:04}")["detail"]
            updates = sum(port["link"]["updates"] for port in seen["ports"] if port["link"])
            made.append(Count(time.monotonic(), updates, seen["evaluations"]))
        return made

    try:
        host.start(instances=size)
        return window(counts, host.cpu, size)
    finally:
        host.stop()


def natively(place: Path, size: int, reach: Ports) -> Taken:
    """An IOC of native records: each update processes its record."""
    ioc = NativeIoc(place, f"native{size}", native(size), reach=(reach,))

    def counts() -> list[Count]:
        found = read([f"NAT:{instance:04}.U" for instance in probed(size)], ioc.ports)
        now = time.monotonic()
        return [Count(now, updates, updates) for updates in found]

    try:
        return window(counts, lambda: ioc.cpu, size)
    finally:
        ioc.stop()


def formerly(place: Path, python: Path, size: int, reach: Ports) -> Taken:
    """The previous system, reactive, over PVA (over CA several tasks of one process crash it or hang)."""
    tasks = {f"OLD{instance:04}": config(instance, unique=True) for instance in range(size)}
    old = Previous(place, python, tasks, (reach,))

    def counts() -> list[Count]:
        updates = float(old.ask("changes")) / size
        return [Count(time.monotonic(), updates, updates)]

    try:
        return window(counts, lambda: old.cpu, size)
    finally:
        old.stop()


READ = """
import sys
import epicscorelibs.path.pyepics
import epics
for value in epics.caget_many(sys.argv[1:], timeout=10.0, connection_timeout=10.0):
    print(value)
"""


def read(names: Sequence[str], reach: Ports) -> list[float]:
    """Values of these PVs over CA, by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", READ, *names],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **epics_environment(Ports.free(), reach)},
    )
    return [float(line) for line in done.stdout.split()]


def one_size(place: Path, python: Path, size: int) -> dict[str, Taken]:
    """All systems at one size, one after the other, the source running throughout."""
    found: dict[str, Taken] = {}
    validated(place, size)
    peer = NativeIoc(place, f"source{size}", source(size))
    try:
        found["ca"] = ours(place, size, False, peer.ports)
        found["native"] = natively(place, size, peer.ports)
        found["pva"] = ours(place, size, True, peer.ports)
        if size in PREVIOUS_SIZES:
            found["old"] = formerly(place, python, size, peer.ports)
    finally:
        peer.stop()
    return found


def rows(runs: int) -> list[Row]:
    """Measure so many times and compare."""
    with workplace() as place:
        plugins = {f"updates-{instance:04}": config(instance) for instance in range(max(SIZES))}
        declarative(place, "bench-updates", plugins)
        python = previous_environment(place)
        found = [{size: one_size(place, python, size) for size in SIZES} for _ in range(runs)]
    made = []
    for size in SIZES:
        for label, figure, unit in (
            ("share of updates taken", "share", "%"),
            ("evaluations of each", "evaluations", "/s"),
            ("CPU for one update", "cost", "µs"),
            ("updates per second of CPU", "rate", "/s"),
        ):
            made += _compared(found, size, label, figure, unit)
    return made


def _compared(
    found: Sequence[dict[int, dict[str, Taken]]], size: int, label: str, figure: str, unit: str
) -> list[Row]:
    def figures(name: str) -> Any:
        return sample((getattr(run[size][name], figure) for run in found), unit)

    pairs = [("ca", "native", "native calc (CPP)"), ("pva", "native", "native calc (CPP, CA)")]
    if size in PREVIOUS_SIZES:
        pairs.append(("pva", "old", "iocmng 2.7.9, reactive"))
    what = f"{size:,} instances, {size * INPUTS * RATE:,} updates/s"
    return [
        Row(f"{what}, {ours_.upper()}: {label}", figures(ours_), against, figures(other))
        for ours_, other, against in pairs
    ]


if __name__ == "__main__":
    show("updates", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
