"""Records that come and go in a host that serves, seen by real clients in other processes."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hosts import own_world
from support.records_bench import until
from support.records_remote import Remote

from iocmng.ioc.beacons import ca_beacon, pva_beacon
from iocmng.links.ca_wire import ChannelAccess
from iocmng.links.pva_wire import PvAccess
from iocmng.runtime.ports import Endpoints
from iocmng.spec import RecordSpec
from iocmng.values import DType, PortType

SUPPORT = Path(__file__).parents[1] / "support"
AI = RecordSpec(
    name="A:AI", type=PortType.FLOAT, record_type="ai", unit="mm", description="Where it is", value=1.5,
    fields=(("PREC", "2"), ("HOPR", "50"), ("LOPR", "-50"), ("HIHI", "20"), ("HHSV", "MAJOR")),
    info=(("archive", "monitor"), ("Q:form", "Engineering")),
)  # fmt: skip
STATE = RecordSpec(
    name="A:STATE", type=PortType.ENUM, record_type="mbbi", labels=("Off", "Low", "High"), value=1
)
ARRAY = RecordSpec(name="A:ARRAY", type=PortType.ARRAY, record_type="waveform", dtype=DType.FLOAT64, length=10,
                   writable=True)  # fmt: skip
RUN = RecordSpec(name="A:RUN", type=PortType.BOOL, record_type="bo", labels=("Idle", "Run"), writable=True, value=False,
                 completes=True)  # fmt: skip
SPARES = {"ai": 20, "mbbi": 5, "waveform:float64": 5, "bo": 5, "ao": 5}
INVALID = 3


class World:
    def __init__(self, directory: Path, program: Path = SUPPORT / "records_host.py") -> None:
        self.beacons = {name: socket.socket(type=socket.SOCK_DGRAM) for name in ("ca", "pva")}
        for each in self.beacons.values():
            each.bind(("127.0.0.1", 0))
            each.settimeout(10.0)
        ca, pva = (f"127.0.0.1:{each.getsockname()[1]}" for each in self.beacons.values())
        self.env = {**os.environ, **own_world(directory), "EPICS_CAS_BEACON_ADDR_LIST": ca,
                    "EPICS_PVAS_BEACON_ADDR_LIST": pva, "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
                    "EPICS_PVAS_AUTO_BEACON_ADDR_LIST": "NO"}  # fmt: skip
        self.host = Remote(program, str(directory / "state"), "", env=self.env)
        self.host.call("reserve", SPARES, 4096)
        native = RecordSpec(name="A:NATIVE", type=PortType.FLOAT, record_type="ai", value=1.0)
        self.host.call("load", [native], "native")
        self.endpoints: Endpoints = self.host.call("start")
        self._clients: dict[str, Remote] = {}

    def client(self, provider: str) -> Remote:
        """A client of which the host has not heard before, or the one that there is."""
        if provider not in self._clients:
            self._clients[provider] = Remote(SUPPORT / "records_client.py", provider, env=self.env)
        return self._clients[provider]

    def channel(self, name: str) -> tuple[bool, bool]:
        """Whether the servers of CA and PVA know a name."""
        deadline = time.monotonic() + 10.0
        with (
            ChannelAccess(("127.0.0.1", self.endpoints.ca_port), deadline) as ca,
            PvAccess(("127.0.0.1", self.endpoints.pva_port), deadline) as pva,
        ):
            return ca.channel(name) is not None, pva.channel(name) is not None

    def shown(self, name: str) -> bytes | None:
        """What a field says over CA."""
        with ChannelAccess(("127.0.0.1", self.endpoints.ca_port), time.monotonic() + 10.0) as server:
            channel = server.channel(name)
            return None if channel is None else server.read(channel)

    def close(self) -> None:
        for each in (*self._clients.values(), self.host):
            each.close()
        for listening in self.beacons.values():
            listening.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("arrivals"))
    yield made
    made.close()


def _arrive(world: World, *specs: RecordSpec) -> None:
    assert world.host.call("arrive", list(specs), "plugin") is None


def test_clients_that_come_later_find_everything_about_what_arrived(world: World) -> None:
    _arrive(world, AI, STATE, ARRAY, RUN)
    world.host.call("publish", AI.name, 20.0)
    ca, pva = world.client("ca"), world.client("pva")
    assert ca.call("get", AI.name)[:2] == (20.0, 2)
    found = ca.call("metadata", AI.name)
    assert (found["units"], found["precision"]) == ("mm", 2)
    assert (found["upper_disp_limit"], found["upper_alarm_limit"]) == (50.0, 20.0)
    assert [each.rstrip("\0") for each in map(_text, ca.call("metadata", STATE.name)["enum_strs"])] == [
        *STATE.labels
    ]
    assert ca.call("get", f"{AI.name}.NAME")[0] == AI.name
    assert ca.call("get", f"{ARRAY.name}.NELM")[0] == 10
    found = pva.call("metadata", AI.name)
    assert found["display"]["units"] == "mm"
    assert found["display"]["description"] == "Where it is"
    assert found["display"]["form"]["index"] == 6
    assert found["valueAlarm"]["highAlarmLimit"] == 20.0
    assert pva.call("metadata", STATE.name)["value"]["choices"] == [*STATE.labels]
    for spare in (":ai:0", ":ai:19", ":plain:ai", ".hidden"):
        assert world.channel(spare) == (False, False)


def _text(coded: str | bytes) -> str:
    return coded.decode() if isinstance(coded, bytes) else coded


def test_who_is_connected_follows_a_hundred_rounds_and_neither_spares_nor_memory_are_used_up(
    world: World,
) -> None:
    specs = [replace(each, name=f"{each.name}:ROUNDS") for each in (AI, STATE, ARRAY, RUN)]
    _arrive(world, *specs)
    clients = [world.client("ca"), world.client("pva")]
    for client in clients:
        client.call("monitor", specs[0].name)
        until(lambda client=client: client.call("seen", specs[0].name), "the first value")
    world.host.call("watch", specs[0].name)
    free = world.host.call("spares")
    world.host.call("rounds", 20, specs, "plugin")
    before = world.host.call("resident")
    world.host.call("rounds", 80, specs, "plugin")
    assert world.host.call("resident") - before < 500_000
    assert world.host.call("spares") == free
    for client in clients:
        assert client.call("seen", specs[0].name)[-1][1] == INVALID
    world.host.call("publish", specs[0].name, 7.5)
    for client in clients:
        until(lambda client=client: client.call("seen", specs[0].name)[-1][:2] == (7.5, 0), "it follows")
    until(lambda: world.host.call("watched", specs[0].name)[-1].value == 7.5, "who watches inside follows")
    world.host.call("unwatch", specs[0].name)


def test_a_thread_that_was_given_up_cannot_write_to_what_has_gone(world: World) -> None:
    spec = replace(AI, name="A:STUBBORN")
    for number in range(1, 6):
        _arrive(world, spec)
        world.host.call("hammer", spec.name)
        world.host.call("depart", [spec.name])
        until(lambda number=number: world.host.call("refused", spec.name) == number, "it is refused")
        _arrive(world, spec)
        assert world.host.call("read", spec.name).severity == INVALID
        assert world.client("ca").call("get", spec.name)[1] == INVALID


def test_puts_go_on_while_records_are_linked_and_dressed(world: World) -> None:
    target = RecordSpec(name="A:TARGET", type=PortType.FLOAT, record_type="ao", writable=True, value=0.0)
    linked = replace(AI, name="A:LINKED", fields=(("FLNK", target.name),))
    _arrive(world, target)
    _arrive(world, linked)
    world.host.call("hammer", linked.name)
    client = world.client("ca")
    for number in range(20):
        put = client.call("put", target.name, float(number))
        _arrive(world, target)
        until(lambda put=put: client.call("over", put), "the put is answered")
    world.host.call("depart", [linked.name, target.name])
    until(lambda: world.host.call("refused", linked.name) == 1, "it is refused")


def test_searches_go_on_while_names_come_and_go(world: World) -> None:
    names = [f"A:SEARCHED:{number}" for number in range(8)]
    specs = [replace(AI, name=name) for name in names]
    _arrive(world, *specs)
    over = threading.Event()
    message = struct.pack(">HHHHII", 0, 0, 0, 13, 0, 0) + b"".join(
        struct.pack(">HHHHII", 6, 16, 5, 13, number, number) + name.encode().ljust(16, b"\0")
        for number, name in enumerate(names)
    )

    def search() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as asking:
            while not over.is_set():
                asking.sendto(message, ("127.0.0.1", world.endpoints.ca_port))

    searching = [threading.Thread(target=search) for _ in range(2)]
    for thread in searching:
        thread.start()
    world.host.call("rounds", 100, specs, "plugin")
    over.set()
    for thread in searching:
        thread.join(10.0)
    assert world.channel(names[0]) == (True, True)
    world.host.call("depart", names)
    assert world.channel(names[0]) == (False, False)


def test_an_announcement_looks_like_what_the_servers_send_themselves(world: World) -> None:
    ca, pva = world.beacons["ca"], world.beacons["pva"]
    own = ca.recv(100)
    assert own[:8] == ca_beacon(0, world.endpoints.ca_port)[:8]
    of_server = pva.recv(100)
    mine = pva_beacon(bytes(12), 0, world.endpoints.pva_port)
    assert len(of_server) == len(mine)
    assert of_server[24:] == mine[24:]
    began = time.monotonic()
    world.host.call("announce")
    assert time.monotonic() - began < 5.0
    until(lambda: _number(ca.recv(100)) > 2**29, "the burst")
    guids: set[bytes] = set()
    until(lambda: guids.add(pva.recv(100)[8:20]) or len(guids - {of_server[8:20]}) == 3, "fresh identities")


def _number(beacon: bytes) -> int:
    return int.from_bytes(beacon[8:12], "big")


def test_where_names_cannot_be_hidden_they_answer_invalid_and_the_host_says_so(tmp_path: Path) -> None:
    program = tmp_path / "other_layout.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(SUPPORT)!r})\n"
        "import asyncio, pathlib, records_host\n"
        "import iocmng.ioc.arrivals as arrivals\n"
        "arrivals.layout_problem = lambda *_: 'a name lies otherwise'\n"
        "asyncio.run(records_host.main(int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]))\n"
    )
    world = World(tmp_path, program)
    try:
        assert "a name lies otherwise" in " ".join(world.endpoints.notes)
        _arrive(world, AI)
        world.host.call("publish", AI.name, 2.0)
        world.host.call("depart", [AI.name])
        assert world.shown(f"{AI.name}.SEVR") == b"INVALID"
        assert world.shown(AI.name) == b"2.00"
        with pytest.raises(Exception, match="cannot be hidden"):
            _arrive(world, replace(AI, record_type="longin", type=PortType.INT, fields=(), value=3))
        _arrive(world, AI)
        world.host.call("publish", AI.name, 3.0)
        assert world.shown(f"{AI.name}.SEVR") == b"NO_ALARM"
    finally:
        world.close()
