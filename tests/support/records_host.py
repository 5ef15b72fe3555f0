"""A process that serves records through SoftIoc and does what the test says."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from records_remote import serve

from iocmng.errors import RecordError, SparesShort
from iocmng.ioc import SoftIoc
from iocmng.runtime.ports import Endpoints, Put, Trace
from iocmng.spec import RecordSpec
from iocmng.values import Reading


class Host:
    def __init__(self, port: SoftIoc, loop: asyncio.AbstractEventLoop) -> None:
        self._port = port
        self._loop = loop
        self._puts: list[Put] = []
        self._threads: set[str] = set()
        self._traces: list[Trace] = []
        self._watched: dict[str, list[Reading]] = {}
        self._undo: dict[str, Callable[[], None]] = {}
        self._held: dict[str, Any] = {}
        self._refused: list[str] = []
        port.on_trace(self._traces.append)

    def load(self, specs: list[RecordSpec], source: str) -> None:
        self._port.load(specs, source=source)

    def reserve(self, counts: dict[str, int], array_length: int) -> None:
        self._port.reserve(counts, array_length=array_length)

    def spares(self) -> dict[str, int]:
        return dict(self._port.spares())

    def lacking(self, specs: list[RecordSpec]) -> dict[str, tuple[int, int]]:
        return dict(self._port.lacking(specs))

    def needs_new(self, spec: RecordSpec) -> bool:
        return self._port.needs_new(spec)

    def arrive(
        self, specs: list[RecordSpec], source: str
    ) -> tuple[str, str, dict[str, tuple[int, int]]] | None:
        try:
            self._port.arrive(specs, source=source)
        except SparesShort as short:
            return short.detail, short.hint, short.lacking
        return None

    def depart(self, names: list[str]) -> None:
        self._port.depart(names)

    def announce(self) -> None:
        self._port.announce()

    def hold(self, name: str) -> None:
        self._held[name] = self._port.record(name)

    def publish_held(self, name: str, value: Any) -> None:
        self._held[name].publish(value)

    def assign_held(self, name: str, value: Any) -> None:
        self._held[name].assign(value)

    def resident(self) -> int:
        """Private memory, bytes."""
        pages = Path("/proc/self/statm").read_text().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")

    def rounds(self, count: int, specs: list[RecordSpec], source: str) -> None:
        """Take records away and have them back, many times."""
        for _ in range(count):
            self._port.depart([spec.name for spec in specs])
            self._port.arrive(specs, source=source)

    def hammer(self, name: str) -> None:
        """Publish from a thread that does not look whether its record is still there, until it is refused."""
        record = self._port.record(name)

        def publish() -> None:
            number = 0.0
            while True:
                try:
                    record.publish(number)
                except RecordError:
                    self._refused.append(name)
                    return
                number += 1

        threading.Thread(target=publish, daemon=True).start()

    def refused(self, name: str) -> int:
        """How many of these threads have been refused."""
        return self._refused.count(name)

    def start(self) -> Endpoints:
        return self._port.start()

    def listen(self, name: str) -> None:
        self._port.on_put(name, self._note)

    def _note(self, put: Put) -> None:
        self._threads.add(threading.current_thread().name)
        self._puts.append(put)

    def puts(self, name: str) -> list[tuple[Any, str, str, int, bool]]:
        return [
            (put.value, put.actor.user, put.actor.via, put.ahead, put.ignored)
            for put in self._puts
            if put.name == name
        ]

    def threads(self) -> set[str]:
        return self._threads

    def origins(self, name: str) -> set[str]:
        return {put.actor.origin for put in self._puts if put.name == name}

    def traces(self, name: str) -> list[Trace]:
        return [trace for trace in self._traces if trace.name == name]

    def complete(self, name: str, index: int) -> None:
        [put for put in self._puts if put.name == name][index].complete()

    def publish(self, name: str, *arguments: Any, **named: Any) -> None:
        self._port.record(name).publish(*arguments, **named)

    def assign(self, name: str, value: Any) -> None:
        self._port.record(name).assign(value)

    def read(self, name: str) -> Reading:
        return self._port.record(name).read()

    def watch(self, name: str) -> None:
        readings = self._watched.setdefault(name, [])
        self._undo[name] = self._port.watch(name, readings.append)

    def unwatch(self, name: str) -> None:
        self._undo.pop(name)()

    def watched(self, name: str) -> list[Reading]:
        return list(self._watched[name])

    def busy(self, threads: int, seconds: float) -> None:
        """Keep the interpreter busy, as plugins that compute do."""

        def compute() -> None:
            end = self._loop.time() + seconds
            while self._loop.time() < end:
                sum(range(1000))

        for _ in range(threads):
            threading.Thread(target=compute, daemon=True).start()


async def main(descriptor: int, state_dir: Path, access: str) -> None:
    loop = asyncio.get_running_loop()
    port = SoftIoc(state_dir=state_dir, loop=loop, access_security=Path(access) if access else None)
    host = Host(port, loop)
    threading.current_thread().name = "loop"
    await asyncio.to_thread(serve, descriptor, lambda name: getattr(host, name))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
