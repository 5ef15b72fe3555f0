"""Put → rule → output seen by a client, against native records and the previous system's package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hosts import HERE, HostProcess, Ports, epics_environment, instances, workplace
from peers import NativeIoc, Previous, declarative, previous_environment
from table import Row, Sample, sample, show

SAMPLES = 600
BATCH = 50
SLOW_SAMPLES = 12
SLOW_PAUSE = 1.0
TASKS = 100
HOST = "BENCH:REACT"

Times = Mapping[str, Sequence[float]]


def rule(link: str, mode: str, **parameters: Any) -> dict[str, object]:
    """A config whose output follows a limit on one PV; "" for `mode` leaves everything at its default."""
    how = {"link_mode": "monitor", "trigger": True} if mode else {}
    return {
        "parameters": {**({"mode": mode} if mode else {}), **parameters},
        "arguments": {
            "inputs": {"X": {"type": "float", "link": link, **how}},
            "outputs": {"OUT": {"type": "bool", "value": False}},
        },
        "rule_defaults": {"OUT": False},
        "rules": [{"id": "above", "condition": "X > 5", "outputs": {"OUT": True}}],
    }


SETPOINT: dict[str, object] = {
    "arguments": {
        "inputs": {"X": {"type": "float", "value": 0.0}},
        "outputs": {"TWICE": {"type": "float"}},
    },
    "transforms": [{"output": "TWICE", "expression": "2 * X"}],
}
PLUGINS = {
    "react-ca": rule("ca://SRC:OURS-CA", "reactive"),
    "react-pva": rule("pva://SRC:OURS-PVA", "reactive"),
    "react-poll": rule("pva://SRC:OURS-POLL", ""),
    "react-inside": rule(f"ca://{HOST}:SETPOINT:X", "reactive"),
    "react-setpoint": SETPOINT,
}

SOURCES = (
    "FLOOR",
    "NATIVE",
    "NATIVE-PVA",
    "OURS-CA",
    "OURS-PVA",
    "OURS-POLL",
    "OLD-CA",
    "OLD-PVA",
    "OLD-POLL",
)
SOURCE = "".join(f'record(ao, "SRC:{name}") {{ field(VAL, "0") field(PINI, "YES") }}\n' for name in SOURCES)
NATIVE = """
record(calc, "NAT:CA") { field(INPA, "SRC:NATIVE CPP MS") field(CALC, "A>5") }
record(calc, "NAT:PVA") { field(INPA, {pva: {pv: "SRC:NATIVE-PVA", proc: "CPP", sevr: "MS"}}) field(CALC, "A>5") }
record(ao, "NAT:SETPOINT") { field(VAL, "0") field(PINI, "YES") }
record(calc, "NAT:INSIDE") { field(INPA, "NAT:SETPOINT CPP MS") field(CALC, "A>5") }
"""

FLOOR = {"name": "floor", "put": "SRC:FLOOR", "seen": "SRC:FLOOR"}
BY_CA = {"name": "native ca", "put": "SRC:NATIVE", "seen": "NAT:CA"}
NATIVES = [
    FLOOR,
    BY_CA,
    {"name": "native pva", "put": "SRC:NATIVE-PVA", "seen": "NAT:PVA"},
    {"name": "native inside", "put": "NAT:SETPOINT", "seen": "NAT:INSIDE"},
]
OURS = [
    {"name": "ours ca", "put": "SRC:OURS-CA", "seen": f"{HOST}:CA:OUT"},
    {"name": "ours pva", "put": "SRC:OURS-PVA", "seen": f"{HOST}:PVA:OUT"},
    {"name": "ours inside", "put": f"{HOST}:SETPOINT:X", "seen": f"{HOST}:INSIDE:OUT"},
]
OLD = [
    {"name": "old ca", "put": "SRC:OLD-CA", "seen": "OLDCA:OUT"},
    {"name": "old pva", "put": "SRC:OLD-PVA", "seen": "OLDPVA:OUT"},
]
# A rule that stays true lets the previous system's output go to its default and back in every cycle: only an edge up
# tells a reaction from that.
SLOW = [
    {"name": "old poll", "put": "SRC:OLD-POLL", "seen": "OLDPOLL:OUT", "pause": SLOW_PAUSE, "rising": True},
    {
        "name": "ours poll",
        "put": "SRC:OURS-POLL",
        "seen": f"{HOST}:POLL:OUT",
        "pause": SLOW_PAUSE,
        "rising": True,
    },
]


@contextmanager
def circuit(place: Path) -> Iterator[tuple[NativeIoc, NativeIoc]]:
    """The source of all chains, and the native ones."""
    with ExitStack() as stack:
        source = NativeIoc(place, "source", SOURCE)
        stack.callback(source.stop)
        native = NativeIoc(place, "native", NATIVE, reach=(source.ports,))
        stack.callback(native.stop)
        yield source, native


@contextmanager
def host(place: Path, source: Ports, *more: dict[str, Any]) -> Iterator[HostProcess]:
    """This product's host with the plugins under test and what runs beside them."""
    listed: list[dict[str, Any]] = [
        {"plugin": name, "name": name, "prefix": name.rpartition("-")[2].upper()} for name in PLUGINS
    ]
    listed += more
    found = HostProcess(place, "react", {"only_listed": True, "instances": listed}, reach=(source,))
    try:
        found.start(instances=len(listed))
        yield found
    finally:
        found.stop()


@contextmanager
def previous(place: Path, python: Path, source: Ports) -> Iterator[tuple[Ports, ...]]:
    """The previous system: reactive over CA and PVA, and polling at its default settings, a process each."""
    configs = {
        "OLDCA": rule("SRC:OLD-CA", "reactive", pva=False),
        "OLDPVA": rule("SRC:OLD-PVA", "reactive", pva=True),
        "OLDPOLL": rule("SRC:OLD-POLL", ""),
    }
    with ExitStack() as stack:
        started = []
        for prefix, config in configs.items():
            one = Previous(place, python, {prefix: config}, (source,))
            stack.callback(one.stop)
            started.append(one.ports)
        yield tuple(started)


def measured(
    chains: Sequence[Mapping[str, Any]], reach: Sequence[Ports], samples: int = SAMPLES, batch: int = BATCH
) -> dict[str, list[float]]:
    """Reaction times of these chains, seconds, measured in turn by one client process."""
    done = subprocess.run(
        [sys.executable, str(HERE / "reaction_client.py"), str(samples), str(batch)],
        input=json.dumps(chains),
        capture_output=True,
        text=True,
        env={**os.environ, **epics_environment(Ports.free(), *reach)},
    )
    if done.returncode:
        raise RuntimeError(f"the client failed: {done.stderr[-2000:]}")
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def one_run(place: Path, python: Path) -> dict[str, list[float]]:
    """All chains once: quiet, beside 100 tasks, beside a thread that computes; keys say which."""
    found: dict[str, list[float]] = {}
    busy = {"plugin": "bench-busy", "name": "bench-busy", "prefix": "BUSY"}
    with circuit(place) as (source, native):
        beside = (source.ports, native.ports)
        with host(place, source.ports) as ours, previous(place, python, source.ports) as old:
            reach = (*beside, ours.ports, *old)
            found |= measured([*NATIVES, *OURS, *OLD], reach)
            found |= measured(SLOW, reach, SLOW_SAMPLES, 2)
        with host(place, source.ports, *instances("bench-cycle", TASKS, interval=0.1)) as ours:
            times = measured([BY_CA, *OURS], (*beside, ours.ports))
            found |= {f"{name}, {TASKS} tasks": each for name, each in times.items()}
        with host(place, source.ports, busy) as ours:
            times = measured([BY_CA, *OURS], (*beside, ours.ports), SAMPLES // 4, BATCH // 2)
            found |= {f"{name}, busy": each for name, each in times.items()}
    return found


def percentile(times: Sequence[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


COMPARED: tuple[tuple[str, str, str, float | None, float | None], ...] = (
    ("link over CA", "ours ca", "native ca", 1.3, 2.0),
    ("link over PVA", "ours pva", "native pva", None, None),
    ("link over PVA", "ours pva", "native ca", 1.3, 2.0),
    ("link inside the process", "ours inside", "native inside", None, None),
    ("link inside the process", "ours inside", "native ca", 1.3, 2.0),
    (
        f"link over CA, {TASKS} tasks at 10 Hz in the host",
        f"ours ca, {TASKS} tasks",
        f"native ca, {TASKS} tasks",
        1.3,
        2,
    ),
    (
        f"link over PVA, {TASKS} tasks at 10 Hz in the host",
        f"ours pva, {TASKS} tasks",
        f"native ca, {TASKS} tasks",
        1.3,
        2,
    ),
    (
        f"link inside the process, {TASKS} tasks at 10 Hz in the host",
        f"ours inside, {TASKS} tasks",
        f"native ca, {TASKS} tasks",
        1.3,
        2,
    ),
    ("link over CA, beside a thread that computes", "ours ca, busy", "native ca, busy", None, 20),
    ("link over PVA, beside a thread that computes", "ours pva, busy", "native ca, busy", None, 20),
    (
        "link inside the process, beside a thread that computes",
        "ours inside, busy",
        "native ca, busy",
        None,
        20,
    ),
    ("link over CA, reactive", "ours ca", "old ca", 1.0, 1.0),
    ("link over PVA, reactive", "ours pva", "old pva", 1.0, 1.0),
    ("link over PVA, theirs polled by default", "ours pva", "old poll", 0.2, 0.2),
    ("both polled by default", "ours poll", "old poll", None, None),
    ("no rule: the source itself", "floor", "native ca", None, None),
)
NAMES = {"native": "native calc", "old": "iocmng 2.7.9"}


def rows(runs: int) -> list[Row]:
    """Measure so many times and compare."""
    with workplace() as place:
        declarative(place, "bench-react", PLUGINS)
        python = previous_environment(place)
        found = [one_run(place, python) for _ in range(runs)]

    def figures(name: str, share: float) -> Sample:
        return sample((percentile(run[name], share) * 1e6 for run in found), "µs")

    made = []
    for what, ours, other, middle, tail in COMPARED:
        kind, _, chain = other.partition(" ")
        against = f"{NAMES[kind]} ({chain.partition(',')[0]})"
        for label, share, goal in (("p50", 0.5, middle), ("p99", 0.99, tail)):
            row = Row(f"{what}: {label}", figures(ours, share), against, figures(other, share), goal)
            made.append(row)
    return made


if __name__ == "__main__":
    show("reaction time", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
