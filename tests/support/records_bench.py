"""One view of records for the contract suite: the fake, and SoftIoc seen by clients in other processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from hosts import own_world
from support.records_remote import Remote

from iocmng.errors import SparesShort
from iocmng.links.ca_wire import ChannelAccess
from iocmng.links.pva_wire import PvAccess
from iocmng.runtime.ports import Put, Trace
from iocmng.spec import RecordSpec
from iocmng.testing.clock import VirtualClock
from iocmng.testing.records import Completion, FakeRecords, PutRefused
from iocmng.values import Reading, Severity

HERE = Path(__file__).parent
DEADLINE = 10.0
ARRAY_LENGTH = 16
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
    def spares(self) -> Mapping[str, int]: ...
    def lacking(self, specs: Sequence[RecordSpec]) -> Mapping[str, tuple[int, int]]: ...
    def needs_new(self, spec: RecordSpec) -> bool: ...
    def arrive(self, *specs: RecordSpec, source: str = "arrived") -> None: ...
    def depart(self, *names: str) -> None: ...
    def findable(self, name: str) -> bool: ...
    def hold(self, name: str) -> None: ...
    def publish_held(self, name: str, value: Any) -> None: ...
    def assign_held(self, name: str, value: Any) -> None: ...


class FakeBench:
    def __init__(self, specs: Sequence[RecordSpec], spares: Mapping[str, int] = MappingProxyType({})) -> None:
        self._records = FakeRecords(VirtualClock())
        self._records.load(specs, source="contract")
        self._records.reserve(spares, array_length=ARRAY_LENGTH)
        self._held: dict[str, Any] = {}
        self._records.start()
        self._puts: list[Put] = []
        self._traces: list[Trace] = []
        self._seen: dict[str, list[Seen]] = {}
        self._watched: dict[str, list[Reading]] = {}
        self._undo: dict[str, Callable[[], None]] = {}
        self._listened: set[str] = set()
        self._listen(specs)
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
        except KeyError as error:
            return PutRefused(str(error))

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

    def spares(self) -> Mapping[str, int]:
        return self._records.spares()

    def lacking(self, specs: Sequence[RecordSpec]) -> Mapping[str, tuple[int, int]]:
        return self._records.lacking(specs)

    def needs_new(self, spec: RecordSpec) -> bool:
        return self._records.needs_new(spec)

    def arrive(self, *specs: RecordSpec, source: str = "arrived") -> None:
        self._records.arrive(specs, source=source)
        self._listen(specs)

    def depart(self, *names: str) -> None:
        self._records.depart(names)

    def findable(self, name: str) -> bool:
        try:
            self._records.record(name)
        except KeyError:
            return False
        return True

    def hold(self, name: str) -> None:
        self._held[name] = self._records.record(name)

    def publish_held(self, name: str, value: Any) -> None:
        self._held[name].publish(value)

    def assign_held(self, name: str, value: Any) -> None:
        self._held[name].assign(value)

    def _listen(self, specs: Sequence[RecordSpec]) -> None:
        for spec in specs:
            if spec.writable and spec.name not in self._listened:
                self._listened.add(spec.name)
                self._records.on_put(spec.name, self._puts.append)

    def close(self) -> None:
        pass


class RealBench:
    """SoftIoc in one process, one client of it in another."""

    def __init__(
        self,
        specs: Sequence[RecordSpec],
        provider: str,
        directory: Path,
        spares: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.env = {**os.environ, **own_world(directory)}
        self._provider = provider
        self._long: set[str] = set()
        self._listened: set[str] = set()
        self.host = Remote(HERE / "records_host.py", str(directory / "state"), "", env=self.env)
        self.host.call("load", specs, "contract")
        self.host.call("reserve", dict(spares), ARRAY_LENGTH)
        endpoints = self.host.call("start")
        self._port = endpoints.ca_port if provider == "ca" else endpoints.pva_port
        self._meet(specs)
        self.client = Remote(HERE / "records_client.py", provider, env=self.env)

    def _meet(self, specs: Sequence[RecordSpec]) -> None:
        for spec in specs:
            if self._provider == "ca" and spec.record_type in ("lsi", "lso"):
                self._long.add(spec.name)
            if spec.writable and spec.name not in self._listened:
                self._listened.add(spec.name)
                self.host.call("listen", spec.name)

    def spares(self) -> Mapping[str, int]:
        found: dict[str, int] = self.host.call("spares")
        return found

    def lacking(self, specs: Sequence[RecordSpec]) -> Mapping[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = self.host.call("lacking", list(specs))
        return found

    def needs_new(self, spec: RecordSpec) -> bool:
        return bool(self.host.call("needs_new", spec))

    def arrive(self, *specs: RecordSpec, source: str = "arrived") -> None:
        if short := self.host.call("arrive", list(specs), source):
            raise SparesShort(short[0], hint=short[1], lacking=short[2])
        self._meet(specs)

    def depart(self, *names: str) -> None:
        self.host.call("depart", list(names))

    def findable(self, name: str) -> bool:
        """Whether a client that connects now gets a channel, asked of the server itself."""
        address, deadline = ("127.0.0.1", self._port), time.monotonic() + DEADLINE
        server: ChannelAccess | PvAccess
        server = ChannelAccess(address, deadline) if self._provider == "ca" else PvAccess(address, deadline)
        with server:
            return server.channel(name) is not None

    def hold(self, name: str) -> None:
        self.host.call("hold", name)

    def publish_held(self, name: str, value: Any) -> None:
        self.host.call("publish_held", name, value)

    def assign_held(self, name: str, value: Any) -> None:
        self.host.call("assign_held", name, value)

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
