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
        port.on_trace(self._traces.append)

    def load(self, specs: list[RecordSpec], source: str) -> None:
        self._port.load(specs, source=source)

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
