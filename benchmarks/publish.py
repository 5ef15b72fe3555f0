"""Publishing against `aIn.set`, and making 30,000 records against a bare softioc and its builder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hosts import Ports, epics_environment
from table import Row, sample, show

if TYPE_CHECKING:
    from iocmng.spec import RecordSpec

PUBLISHES = 50_000
RECORDS, PER_INSTANCE, WRITABLE = 30_000, 30, 5


def described() -> Iterator[list[RecordSpec]]:
    """30,000 records as 1,000 instances have them, 5,000 of which clients write."""
    from iocmng.spec import RecordSpec
    from iocmng.values import PortType

    kinds = {"ai": PortType.FLOAT, "longin": PortType.INT, "bi": PortType.BOOL, "stringin": PortType.STRING}
    for instance in range(RECORDS // PER_INSTANCE):
        specs = []
        for number in range(PER_INSTANCE):
            writable = number < WRITABLE
            kind = "bo" if writable else list(kinds)[number % len(kinds)]
            specs.append(
                RecordSpec(
                    name=f"BENCH:T{instance:04}:N{number:02}",
                    type=PortType.BOOL if writable else kinds[kind],
                    record_type=kind,
                    writable=writable,
                    value=False if writable else None,
                    labels=("Off", "On") if kind in ("bi", "bo") else (),
                    unit="V",
                    description="one of many",
                    fields=(("HIGH", "10"), ("HSV", "MINOR")) if kind == "ai" else (),
                )
            )
        yield specs


def per_call(call: Callable[[float], object]) -> float:
    """Microseconds of one call."""
    values = [0.5 * number for number in range(PUBLISHES)]
    begun = time.perf_counter()
    for value in values:
        call(value)
    return (time.perf_counter() - begun) / PUBLISHES * 1e6


def serve_ours() -> dict[str, float]:
    """Load and serve through SoftIoc, then publish."""
    import numpy as np

    from iocmng.ioc import SoftIoc
    from iocmng.spec import RecordSpec
    from iocmng.values import DType, PortType, Severity, Status

    array = RecordSpec(
        name="BENCH:ARRAY", type=PortType.ARRAY, record_type="waveform", dtype=DType.FLOAT64, length=1000
    )
    instances = [*described(), [array]]

    async def run() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as place:
            port = SoftIoc(state_dir=Path(place), loop=asyncio.get_running_loop())
            begun = time.perf_counter()
            for number, specs in enumerate(instances):
                port.load(specs, source=f"T{number}")
            loaded = time.perf_counter()
            port.start()
            served = time.perf_counter()
        record = port.record("BENCH:T0000:N08")
        block = np.arange(1000.0)
        return {
            "load": loaded - begun,
            "start": served - loaded,
            "publish": per_call(record.publish),
            "quality": per_call(
                lambda value: record.publish(value, Severity.MINOR, Status.COMM, "link down", 1.7e9)
            ),
            "array": per_call(lambda value: port.record("BENCH:ARRAY").publish(block)),
        }

    return asyncio.run(run())


def serve_bare() -> dict[str, float]:
    """Load the same records from one .db through softioc itself, without protection and Python support."""
    from softioc import asyncio_dispatcher, softioc

    from iocmng.ioc.dbtext import database_text

    text = database_text(spec for specs in described() for spec in specs)
    text = re.sub(r"field\((DTYP|ASG), [^)]*\) ?", "", text)
    with tempfile.NamedTemporaryFile("w", suffix=".db") as file:
        file.write(text)
        file.flush()
        begun = time.perf_counter()
        softioc.dbLoadDatabase(file.name)
        loaded = time.perf_counter()
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    return {"load": loaded - begun, "start": time.perf_counter() - loaded}


def serve_built() -> dict[str, float]:
    """Make as many through softioc's builder, then set one."""
    from softioc import asyncio_dispatcher, builder, softioc

    begun = time.perf_counter()
    for specs in described():
        for spec in specs:
            if spec.writable:
                builder.boolOut(spec.name, ZNAM="Off", ONAM="On", on_update=print, always_update=True)
            else:
                made = builder.aIn(spec.name, EGU="V", DESC="one of many")
    builder.LoadDatabase()
    loaded = time.perf_counter()
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    return {"load": loaded - begun, "start": time.perf_counter() - loaded, "publish": per_call(made.set)}


SERVED = {"ours": serve_ours, "bare": serve_bare, "built": serve_built}


def measured(which: str) -> dict[str, float]:
    """Run one of `SERVED` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, which],
        env={**os.environ, **epics_environment(Ports.free())},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows(runs: int) -> list[Row]:
    """Measure all three in turn."""
    found = {which: [] for which in SERVED}
    for _ in range(runs):
        for which, results in found.items():
            results.append(measured(which))

    def figures(which: str, *keys: str, unit: str):
        return sample((sum(result[key] for key in keys) for result in found[which]), unit)

    aset = figures("built", "publish", unit="µs")
    built = figures("built", "load", "start", unit="s")
    served = figures("ours", "load", "start", unit="s")
    return [
        Row("publish a scalar with time", figures("ours", "publish", unit="µs"), "aIn.set", aset, 0.1),
        Row("publish with severity and reason", figures("ours", "quality", unit="µs"), "aIn.set", aset, 0.1),
        Row("publish 1,000 float64", figures("ours", "array", unit="µs"), "aIn.set (scalar)", aset),
        Row(
            f"load and serve {RECORDS:,} records, 5,000 writable",
            served,
            "bare softioc, the same as one .db",
            figures("bare", "load", "start", unit="s"),
            1.5,
        ),
        Row("of that, load", figures("ours", "load", unit="s"), "bare", figures("bare", "load", unit="s")),
        Row(f"load and serve {RECORDS:,} records", served, "softioc's builder", built),
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in SERVED:
        print(json.dumps(SERVED[sys.argv[1]]()), flush=True)
        os._exit(0)
    show("Publishing and loading", rows(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
