"""Links and clients against IOCs in other processes: all types, and sources and targets that hang or start again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from links_bench import (
    FakeSource,
    Recorder,
    RemoteClient,
    Source,
    last_if,
    two_worlds,
    values,
    wait_for,
)
from support.wiring_bench import instance, polled, port

from iocmng.errors import LinkTimeout
from iocmng.runtime.wiring.inputs import PATIENCE
from iocmng.spec import InstanceSpec
from iocmng.testing.links import FakeLinks
from iocmng.values import PortType, Reading, Severity, Status

TYPES = {
    "FLOAT": (PortType.FLOAT, 1.5),
    "INT": (PortType.INT, 7),
    "BOOL": (PortType.BOOL, True),
    "ENUM": (PortType.ENUM, 1),
    "STRING": (PortType.STRING, "beam on"),
    "ARRAY": (PortType.ARRAY, [1.0, 2.0, 3.0]),
}
PROVIDERS = ("ca", "pva")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    first, second, both = two_worlds()
    source = Source(tmp_path_factory.mktemp("source"), first)
    steady = Source(tmp_path_factory.mktemp("steady"), second, "STEADY")
    clients = [RemoteClient(provider, both) for provider in PROVIDERS]
    yield SimpleNamespace(source=source, steady=steady, clients=clients)
    exits = [client.end() for client in clients]
    source.go_on()
    source.kill()
    steady.kill()
    assert exits == [0, 0]


@pytest.fixture
def wire(real: SimpleNamespace) -> Iterator[Any]:
    """Give both clients an instance, made for their provider."""

    def begin(make: Any) -> SimpleNamespace:
        for client, provider in zip(real.clients, PROVIDERS, strict=True):
            client.wire(make(provider))
        return real

    yield begin
    for client in real.clients:
        client.unwire()


def everywhere(provider: str) -> InstanceSpec:
    """Subscribed (`s_`), polled (`p_`) and written (`o_`) PVs of every type."""
    ports = []
    for name, (kind, _) in TYPES.items():
        pv = f"{provider}://SRC:{name}"
        ports += [port(f"s_{name}", pv, type=kind), polled(f"p_{name}", pv, type=kind)]
        ports.append(port(f"o_{name}", f"{provider}://STEADY:{name}", type=kind, output=True))
    text = port("label", f"{provider}://SRC:ENUM", type=PortType.STRING)
    name = port("o_label", f"{provider}://STEADY:TEXT", type=PortType.ENUM, output=True)
    return instance(*ports, text, name)


def test_all_types_both_ways(wire: Any) -> None:
    real = wire(everywhere)
    for name, (_, value) in TYPES.items():
        real.source.set(name, value)
    names = [f"{how}_{name}" for how in "sp" for name in TYPES]
    for client in real.clients:

        def all_there(client: Any = client) -> bool:
            client.polled()
            readings = client.readings([*names, "label"])
            return all(reading.ok for reading in readings.values()) and all(
                np.array_equal(readings[f"{how}_{name}"].value, expected)
                for name, (_, expected) in TYPES.items()
                for how in "sp"
            )

        wait_for(all_there)
        assert client.readings(["label"])["label"].value == "Ramping"
    for number, client in enumerate(real.clients):
        values = {"FLOAT": 2.5 + number, "INT": 40 + number, "BOOL": bool(number), "ENUM": 2 - number,
                  "STRING": f"off {number}", "ARRAY": np.array([9.0, float(number)])}  # fmt: skip
        for name, value in values.items():
            client.forward(f"o_{name}", value)
        client.forward("o_label", 2 - number)
        for name, value in values.items():
            wait_for(
                lambda name=name, value=value, client=client: np.array_equal(
                    client.get(f"STEADY:{name}").value, value
                )
            )
        wait_for(
            lambda client=client, number=number: (
                client.get("STEADY:TEXT").value == ("Hold", "Ramping")[number]
            )
        )
        assert client.wiring_complaints() == ("", "")


VALVE = {"ca": (PortType.INT, 3), "pva": (PortType.STRING, "open")}


def outage(provider: str) -> InstanceSpec:
    """Inputs from a source that will fail and from a steady one, an output and an actuator at the one that will."""
    source, steady = f"{provider}://SRC:", f"{provider}://STEADY:"
    return instance(
        port("s", f"{source}FLOAT", max_age=1.0),
        polled("p", f"{source}FLOAT"),
        port("s_steady", f"{steady}FLOAT", max_age=1.0),
        polled("p_steady", f"{steady}FLOAT"),
        port("o", f"{source}TARGET" if provider == "ca" else f"{source}BIG", output=True),
        port("valve", f"{source}INT" if provider == "ca" else f"{source}STRING", type=VALVE[provider][0]),
        timeout=2.0,
    )


ALL = ["s", "p", "s_steady", "p_steady"]


def written(client: Any, number: int) -> tuple[object, object]:
    pvs = (("SRC:TARGET", "SRC:INT"), ("SRC:BIG", "SRC:STRING"))[number]
    # One that does not answer yet has no value; whoever waits asks again.
    first, second = client.get_many(pvs, timeout=2.0)
    return getattr(first, "value", None), getattr(second, "value", None)


def test_a_source_that_hangs_or_starts_again(wire: Any) -> None:
    real = wire(outage)

    def well(client: Any) -> bool:
        client.polled()
        return all(reading.ok for reading in client.readings(ALL).values())

    for client, provider in zip(real.clients, PROVIDERS, strict=True):
        wait_for(lambda client=client: well(client))
        client.forward("o", 5.0)
        client.command("valve", VALVE[provider][1])
    for number, client in enumerate(real.clients):
        wait_for(lambda client=client, number=number: written(client, number) == (5.0, (3, "open")[number]))

    # A quiet source stays valid: nothing changes for more than the age that is allowed.
    time.sleep(1.5)
    for client in real.clients:
        assert all(reading.ok for reading in client.readings(["s", "s_steady"]).values())

    real.source.hang()
    try:
        for client in real.clients:
            client.forward("o", 6.0)
            waits = [client.polled() for _ in range(3)]
            # Nothing depends on absolute speed: the bound is far below the timeout of a read.
            assert max(waits) < PATIENCE + 1.0
            late = wait_for(
                lambda client=client: (found := client.readings(["s"])["s"]) and not found.ok and found
            )
            assert late.status in (Status.TIMEOUT, Status.COMM)
            assert late.value == 1.5
        for client in real.clients:
            wait_for(lambda client=client: client.polled() and not client.readings(["p"])["p"].ok)
            readings = client.readings(ALL)
            assert readings["s_steady"].ok
            assert readings["p_steady"].ok
            complaints = client.wiring_complaints()
            assert complaints[0].startswith("s: SRC:FLOAT")
            assert "steady" not in complaints[0]
    finally:
        real.source.go_on()
    for number, client in enumerate(real.clients):
        wait_for(lambda client=client: well(client), 60.0)
        wait_for(lambda client=client, number=number: written(client, number)[0] == 6.0, 60.0)

    real.source.kill()
    for client in real.clients:
        wait_for(lambda client=client: not client.readings(["s"])["s"].connected, 60.0)
        client.forward("o", 7.0)
    real.source.start()
    for number, client in enumerate(real.clients):
        wait_for(lambda client=client: well(client), 60.0)
        wait_for(
            lambda client=client, number=number: written(client, number) == (7.0, (3, "open")[number]), 60.0
        )
        assert client.wiring_complaints() == ("", "")


def recovered(real: SimpleNamespace) -> bool:
    """Whether both clients read the source again."""
    pvs = [real.source.pv(name) for name in (*TYPES, "TARGET", "READONLY")]
    outcomes = [outcome for client in real.clients for outcome in client.get_many(pvs, timeout=1.0)]
    return all(isinstance(outcome, Reading) for outcome in outcomes)


@pytest.fixture(params=["real", "fake"])
def served(request) -> SimpleNamespace:
    """A source and all clients of it: an outage takes as long for both as for one."""
    if request.param == "fake":
        links = FakeLinks()
        return SimpleNamespace(source=FakeSource(links), clients=[Recorder(links)], recovered=lambda: True)
    real = request.getfixturevalue("real")
    return SimpleNamespace(source=real.source, clients=real.clients, recovered=lambda: recovered(real))


def test_a_source_that_dies_and_comes_back(served, request):
    source, key, pv = served.source, request.node.name, served.source.pv("FLOAT")
    source.set("FLOAT", 5.0)
    for client in served.clients:
        wait_for(lambda client=client: client.get(pv).value == 5.0)
        client.watch(key, pv)
        wait_for(lambda client=client: values(client, key) == [5.0])
    source.kill()
    for client in served.clients:
        lost = wait_for(lambda client=client: last_if(client, key, connected=False))
        assert (lost.value, lost.severity, lost.status) == (5.0, Severity.INVALID, Status.COMM)
        with pytest.raises(LinkTimeout):
            client.get(pv, timeout=0.5)
        client.post(pv, 66.0, timeout=0.1)
    source.start()
    for client in served.clients:
        back = wait_for(lambda client=client: last_if(client, key, connected=True), 60.0)
        assert back.value == 1.5
        assert back.ok
        assert client.get(pv).value == 1.5
        client.unwatch(key)
    wait_for(served.recovered, 60.0)


def test_a_source_that_hangs_is_noticed_and_recovers(real, request):
    key, pv, clients = request.node.name, real.source.pv("TARGET"), real.clients
    for client in clients:
        client.put(pv, 1.0)
        client.watch(key, pv)
        wait_for(lambda client=client: values(client, key))
    real.source.hang()
    try:
        for client in clients:
            with pytest.raises(LinkTimeout):
                client.get(pv, timeout=0.5)
            with pytest.raises(LinkTimeout):
                client.put(pv, 2.0, timeout=0.5)
            assert client.timed_posts(pv, [float(number) for number in range(1000)]) < 5.0
        for client in clients:
            lost = wait_for(lambda client=client: last_if(client, key, connected=False), 60.0)
            assert lost.severity is Severity.INVALID
    finally:
        real.source.go_on()
    for number, client in enumerate(clients):
        wait_for(lambda client=client: last_if(client, key, connected=True), 60.0)
        client.put(pv, 3.0 + number)
        # What the other client has posted meanwhile may come after it.
        wait_for(lambda client=client, number=number: 3.0 + number in values(client, key), 60.0)
        client.unwatch(key)
    wait_for(lambda: recovered(real), 60.0)
