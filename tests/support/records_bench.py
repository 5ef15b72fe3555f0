"""One view of records for the contract suite: the fake, and SoftIoc seen by clients in other processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hosts import own_world
from support.records_remote import Remote

from iocmng.runtime.ports import Put, Trace
from iocmng.spec import RecordSpec
from iocmng.testing.clock import VirtualClock
from iocmng.testing.records import Completion, FakeRecords, PutRefused
from iocmng.values import Reading, Severity

HERE = Path(__file__).parent
DEADLINE = 10.0
SAME_FIELD = ("", ".VAL", ".VAL{}")


class Seen(NamedTuple):
    """What a client saw."""

    value: Any
    severity: int
    time: float


class Heard(NamedTuple):
    """A put as its handler got it."""

    value: Any
    user: str
    via: str
    ahead: int
    ignored: bool


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a truthy result and return it."""
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE} s: {what}"
        time.sleep(0.01)
    return result


class Bench(Protocol):
    """Records of one port, and one client of them."""

    def publish(self, name: str, *arguments: Any, **named: Any) -> None: ...
    def assign(self, name: str, value: Any) -> None: ...
    def read(self, name: str) -> Reading: ...
    def get(self, name: str) -> Seen: ...
    def put(self, name: str, value: Any, callback: bool = True, channel: int = 0) -> Any: ...
    def over(self, put: Any) -> bool: ...
    def refused(self, put: Any) -> bool: ...
    def heard(self, name: str) -> list[Heard]: ...
    def complete(self, name: str, index: int) -> None: ...
    def monitor(self, name: str) -> None: ...
    def seen(self, name: str) -> list[Seen]: ...
    def traces(self, name: str) -> list[Trace]: ...
    def watch(self, name: str) -> None: ...
    def unwatch(self, name: str) -> None: ...
    def watched(self, name: str) -> list[Reading]: ...
    def close(self) -> None: ...


class FakeBench:
    def __init__(self, specs: Sequence[RecordSpec]) -> None:
        self._records = FakeRecords(VirtualClock())
        self._records.load(specs, source="contract")
        self._records.start()
        self._puts: list[Put] = []
        self._traces: list[Trace] = []
        self._seen: dict[str, list[Seen]] = {}
        self._watched: dict[str, list[Reading]] = {}
        self._undo: dict[str, Callable[[], None]] = {}
        for spec in specs:
            if spec.writable:
                self._records.on_put(spec.name, self._puts.append)
        self._records.on_trace(self._traces.append)

    def publish(self, name: str, *arguments: Any, **named: Any) -> None:
        self._records.record(name).publish(*arguments, **named)

    def assign(self, name: str, value: Any) -> None:
        self._records.record(name).assign(value)

    def read(self, name: str) -> Reading:
        return self._records.record(name).read()

    def get(self, name: str) -> Seen:
        return _seen(self.read(name))

    def put(self, name: str, value: Any, callback: bool = True, channel: int = 0) -> Completion | PutRefused:
        try:
            return self._records.client_put(name, value, user="someone", callback=callback)
        except PutRefused as refusal:
            return refusal

    def over(self, put: Completion | PutRefused) -> bool:
        return isinstance(put, PutRefused) or put.done

    def refused(self, put: Completion | PutRefused) -> bool:
        return isinstance(put, PutRefused)

    def heard(self, name: str) -> list[Heard]:
        return [
            Heard(put.value, put.actor.user, put.actor.via, put.ahead, put.ignored)
            for put in self._puts
            if put.name == name
        ]

    def complete(self, name: str, index: int) -> None:
        [put for put in self._puts if put.name == name][index].complete()

    def monitor(self, name: str) -> None:
        seen = self._seen.setdefault(name, [])
        self._records.record(name).monitor(lambda reading: seen.append(_seen(reading)))

    def seen(self, name: str) -> list[Seen]:
        return list(self._seen[name])

    def traces(self, name: str) -> list[Trace]:
        return [trace for trace in self._traces if trace.name == name]

    def watch(self, name: str) -> None:
        readings = self._watched.setdefault(name, [])
        self._undo[name] = self._records.watch(name, readings.append)

    def unwatch(self, name: str) -> None:
        self._undo.pop(name)()

    def watched(self, name: str) -> list[Reading]:
        return list(self._watched[name])

    def close(self) -> None:
        pass


class RealBench:
    """SoftIoc in one process, one client of it in another."""

    def __init__(self, specs: Sequence[RecordSpec], provider: str, directory: Path) -> None:
        self.env = {**os.environ, **own_world(directory)}
        self._long = (
            {spec.name for spec in specs if spec.record_type in ("lsi", "lso")} if provider == "ca" else ()
        )
        self.host = Remote(HERE / "records_host.py", str(directory / "state"), "", env=self.env)
        self.host.call("load", specs, "contract")
        self.host.call("start")
        for spec in specs:
            if spec.writable:
                self.host.call("listen", spec.name)
        self.client = Remote(HERE / "records_client.py", provider, env=self.env)

    def publish(self, name: str, *arguments: Any, **named: Any) -> None:
        self.host.call("publish", name, *arguments, **named)

    def assign(self, name: str, value: Any) -> None:
        self.host.call("assign", name, value)

    def read(self, name: str) -> Reading:
        found: Reading = self.host.call("read", name)
        return found

    def _name(self, name: str) -> str:
        return f"{name}.VAL$" if name in self._long else name

    def get(self, name: str) -> Seen:
        value, severity, _, stamp, _ = self.client.call("get", self._name(name))
        return Seen(value, severity, stamp)

    def put(self, name: str, value: Any, callback: bool = True, channel: int = 0) -> int:
        """Put; a CA server takes one put with callback at a time from each channel."""
        handle: int = self.client.call("put", self._name(name) + SAME_FIELD[channel], value, callback)
        return handle

    def over(self, put: int) -> bool:
        return bool(self.client.call("over", put))

    def refused(self, put: int) -> bool:
        until(lambda: self.over(put), "the put is answered")
        return bool(self.client.call("error", put))

    def heard(self, name: str) -> list[Heard]:
        return [Heard(*each) for each in self.host.call("puts", name)]

    def complete(self, name: str, index: int) -> None:
        self.host.call("complete", name, index)

    def monitor(self, name: str) -> None:
        self.client.call("monitor", name)
        until(lambda: self.client.call("seen", name), f"first event of {name}")

    def seen(self, name: str) -> list[Seen]:
        return [Seen(*each) for each in self.client.call("seen", name)]

    def traces(self, name: str) -> list[Trace]:
        found: list[Trace] = self.host.call("traces", name)
        return found

    def watch(self, name: str) -> None:
        self.host.call("watch", name)

    def unwatch(self, name: str) -> None:
        self.host.call("unwatch", name)

    def watched(self, name: str) -> list[Reading]:
        found: list[Reading] = self.host.call("watched", name)
        return found

    def close(self) -> None:
        self.client.close()
        self.host.close()


def _seen(reading: Reading) -> Seen:
    severity = reading.severity if reading.connected else Severity.INVALID
    return Seen(reading.value, int(severity), reading.timestamp)
