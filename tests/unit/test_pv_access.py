"""PVs wherever they are: which a name means, and how their clients are asked without holding up the loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from support.specs import task_spec

from iocmng.errors import BadInput, LinkError, LinkRefused, LinkTimeout, LinkValueError, NotFound
from iocmng.host.own_pvs import OwnPvs
from iocmng.host.pv_access import HostPvs
from iocmng.names import Provider
from iocmng.runtime.clock import RealClock
from iocmng.runtime.control import PvAccess
from iocmng.runtime.events import EventBus
from iocmng.spec import InstanceSpec
from iocmng.testing.links import FakeLinks
from iocmng.testing.records import FakeRecords
from iocmng.values import Severity, Status
from iocmng.wire import Actor, EventKind, PvReading, to_plain

ALICE = Actor("alice", "127.0.0.1", "http")


@dataclass
class _Instance:
    spec: InstanceSpec

    @property
    def name(self) -> str:
        return self.spec.name


@dataclass
class Bench:
    """A host's PVs (one task `pump`, TEST:PUMP:LIMIT and others) over fake records and fake clients."""

    links: FakeLinks = field(default_factory=FakeLinks)
    records: FakeRecords = field(default_factory=lambda: FakeRecords(RealClock()))
    events: EventBus = field(default_factory=lambda: EventBus(RealClock()))
    puts: list[tuple[str, Any, Actor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        spec = task_spec("pump")
        self.records.load(spec.records, source="pump")
        self.records.start()
        self.own = OwnPvs([_Instance(spec)], (), "TEST")
        self.access: PvAccess = HostPvs(
            self.links,
            Provider.PVA,
            own=self.own,
            records=self.records,
            put_own=lambda name, value, actor: self.puts.append((name, value, actor)),
            events=self.events,
        )

    def get(self, pv: str, timeout: float = 5.0) -> PvReading:
        return asyncio.run(_now(lambda: self.access.get(pv, timeout)))

    def put(self, pv: str, value: Any, timeout: float = 5.0) -> None:
        asyncio.run(_now(lambda: self.access.put(pv, value, timeout, ALICE)))


async def _now(begin: Callable[[], Awaitable[Any]]) -> Any:
    return await begin()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("RING:PRESSURE", "pva://RING:PRESSURE"),
        ("ca://RING:PRESSURE", "ca://RING:PRESSURE"),
        ("TEST:PUMP:LIMIT", "TEST:PUMP:LIMIT"),
        ("ca://TEST:PUMP:LIMIT", "TEST:PUMP:LIMIT"),
        ("TEST:PUMP:LIMIT.EGU", "pva://TEST:PUMP:LIMIT.EGU"),
        ("ca://TEST:PUMP:LIMIT.EGU", "ca://TEST:PUMP:LIMIT.EGU"),
        ("ca://TEST:PUMP:LIMIT.VAL", "TEST:PUMP:LIMIT"),
        ("TEST:PUMP:STATUS.VAL$", "TEST:PUMP:STATUS"),
        ("TEST:PUMP:STATUS$", "TEST:PUMP:STATUS"),
        ("PUMP:LIMIT", "pva://PUMP:LIMIT"),
        ("pump:LIMIT", "pva://pump:LIMIT"),
        ("TEST:PUMPING:X", "pva://TEST:PUMPING:X"),
    ],
)
def test_what_a_name_means(bench: Bench, name: str, address: str) -> None:
    assert bench.access.address(name) == address


@pytest.mark.parametrize("name", ["TEST:PUMP:LIMITS", "ca://TEST:PUMP:LIMITS", "TEST:PUMP:LIMITS.EGU"])
def test_a_name_that_only_this_host_could_have_is_not_looked_for_elsewhere(bench: Bench, name: str) -> None:
    with pytest.raises(NotFound, match="TEST:PUMP:LIMITS") as unknown:
        bench.access.address(name)
    assert "did you mean 'TEST:PUMP:LIMIT'?" in unknown.value.hint
    assert unknown.value.error_code == "no-such-port"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("pump:LIMITS", "no-such-port"),
        ("pump:LIMIT.EGU", "not-found"),
        ("TEST:PUMP:LIMIT.EGU", "not-found"),
        ("TEST:HOST:UPTIMES", "no-such-port"),
        ("PUMP:LIMITS", "not-found"),
        ("RING:PRESSURE", "not-found"),
    ],
)
def test_an_unknown_name_says_whether_somebody_else_may_have_it(bench: Bench, name: str, code: str) -> None:
    with pytest.raises(NotFound) as unknown:
        bench.own.get(name)
    assert unknown.value.error_code == code


@pytest.mark.parametrize(
    "name", ["TEST:PUMP:LIMIT", "PUMP:LIMIT", "pump:LIMIT", "pump:LIMIT.VAL", "pump:LIMIT$"]
)
def test_the_forms_of_an_own_name(bench: Bench, name: str) -> None:
    assert bench.own.get(name).name == "TEST:PUMP:LIMIT"


def test_a_value_comes_with_its_quality(bench: Bench) -> None:
    bench.links.serve("ca://RING:T", 21.5, Severity.MAJOR, Status.HIHI)
    found = bench.get("ca://RING:T")
    assert (found.pv_name, found.address, found.local) == ("ca://RING:T", "ca://RING:T", False)
    assert (found.value, found.type, found.severity, found.status) == (21.5, "float", "MAJOR", "HIHI")


@pytest.mark.parametrize(
    ("value", "kind", "plain"),
    [
        (True, "bool", True),
        (3, "int", 3),
        (math.inf, "float", "Infinity"),
        ("open", "string", "open"),
        (np.array([1.5, math.nan]), "array", [1.5, "NaN"]),
        (np.array(["a", "b"]), "array", ["a", "b"]),
    ],
)
def test_every_kind_of_value_travels(bench: Bench, value: Any, kind: str, plain: Any) -> None:
    bench.links.serve("pva://X", value)
    found = bench.get("X")
    assert found.type == kind
    assert to_plain(found)["value"] == plain


def test_a_pv_of_this_host_is_read_from_its_record(bench: Bench) -> None:
    bench.records.record("TEST:PUMP:PRESSURE").publish(2.0)
    found = bench.get("ca://TEST:PUMP:PRESSURE")
    assert (found.value, found.local, found.type, found.severity) == (2.0, True, "float", "NO_ALARM")
    assert bench.links.asked == []


def test_one_that_does_not_answer_is_a_timeout(bench: Bench) -> None:
    with pytest.raises(LinkTimeout, match=r"pva://NOWHERE did not answer within 0\.05 s"):
        bench.get("NOWHERE", timeout=0.05)
    assert bench.links.listeners("pva://NOWHERE") == 0


def test_one_that_is_away_is_waited_for_until_it_comes_back(bench: Bench) -> None:
    bench.links.serve("pva://X", 1.0)
    bench.links.disconnect("pva://X")

    async def main() -> PvReading:
        asking = asyncio.create_task(bench.access.get("X", 20.0))
        while not bench.links.listeners("pva://X"):
            await asyncio.sleep(0)
        bench.links.serve("pva://X", 2.0)
        return await asking

    assert asyncio.run(main()).value == 2.0
    assert bench.links.listeners("pva://X") == 0


def test_a_client_that_says_nothing_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iocmng.host.pv_access.SLACK", 0.01)
    monkeypatch.setattr(bench.links, "ask", lambda pv, answer, *, timeout: None)
    with pytest.raises(LinkTimeout):
        bench.get("X", timeout=0.01)


def test_an_answer_after_the_end_hurts_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    late: list[Callable[[Any], None]] = []
    monkeypatch.setattr("iocmng.host.pv_access.SLACK", 0.0)
    monkeypatch.setattr(bench.links, "ask", lambda pv, answer, *, timeout: late.append(answer))
    with pytest.raises(LinkTimeout):
        bench.get("X", timeout=0.01)
    late[0](LinkError("too late"))


def test_closed_clients_say_so(bench: Bench) -> None:
    bench.links.close()
    with pytest.raises(LinkError, match="closed"):
        bench.get("X")


def test_a_put_is_told_to_the_audit_with_who_made_it(bench: Bench) -> None:
    bench.links.serve("ca://RING:VALVE", 0, labels=["Closed", "Open"])
    bench.put("ca://RING:VALVE", "Open")
    assert bench.links.puts == [("ca://RING:VALVE", 1)]
    (event,) = bench.events.since(0)
    assert (event.kind, event.text, event.actor) == (EventKind.AUDIT, "put ca://RING:VALVE: 'Open'", ALICE)


def test_a_refused_put_is_not_told(bench: Bench) -> None:
    bench.links.serve("pva://X", 0)
    bench.links.refuse("pva://X")
    with pytest.raises(LinkRefused):
        bench.put("X", 1)
    bench.links.refuse("pva://X", False)
    with pytest.raises(LinkValueError):
        bench.put("X", "much")
    assert not list(bench.events.since(0))


@pytest.mark.parametrize("value", [None, {}, [], [[1]], [1, None], {"a": 1}])
def test_what_no_pv_can_take_is_refused_here(bench: Bench, value: Any) -> None:
    bench.links.serve("pva://X", 0)
    with pytest.raises(BadInput, match="cannot take"):
        bench.put("X", value)
    assert bench.links.puts == []


def test_a_field_of_an_own_record_is_written_where_access_security_looks(bench: Bench) -> None:
    for scheme in ("ca://", "pva://"):
        bench.links.serve(f"{scheme}TEST:PUMP:LIMIT.HIGH", 5.0)
    bench.put("ca://TEST:PUMP:LIMIT.HIGH", 6.0)
    assert bench.links.puts == [("pva://TEST:PUMP:LIMIT.HIGH", 6.0)]


def test_a_put_to_a_pv_of_this_host_stays_inside(bench: Bench) -> None:
    bench.put("pva://TEST:PUMP:LIMIT", "NaN")
    ((name, value, actor),) = bench.puts
    assert (name, actor) == ("TEST:PUMP:LIMIT", ALICE)
    assert math.isnan(value)
    assert bench.links.puts == []


@pytest.mark.parametrize("name", ["pva://X", "TEST:PUMP:PRESSURE"])
def test_a_monitor_tells_now_and_after_each_change_until_it_ends(bench: Bench, name: str) -> None:
    def change(value: float) -> None:
        if name.startswith("pva"):
            bench.links.serve(name, value)
        else:
            bench.records.record(name).publish(value)

    change(1.0)
    told: list[PvReading] = []
    undo = bench.access.monitor(name, told.append)
    change(2.0)
    undo()
    change(3.0)
    assert [reading.value for reading in told] == [1.0, 2.0]
    assert {reading.address for reading in told} == {name}
