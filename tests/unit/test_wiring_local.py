"""Links to PVs of the same host: what records show, what a client may put, records that come and go."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from support.wiring_bench import instance, polled, port

from iocmng.errors import LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.runtime.wiring import LocalPvs, Routed, Wiring
from iocmng.spec import RecordSpec
from iocmng.testing.clock import VirtualClock
from iocmng.testing.links import FakeLinks
from iocmng.testing.records import FakeRecords
from iocmng.values import PortType, Reading, Severity, Status

LIMITS = (("HIGH", "10"), ("HSV", "MINOR"))
SPECS = (
    RecordSpec(name="H:OUT", type=PortType.FLOAT, record_type="ai", fields=LIMITS),
    RecordSpec(
        name="H:SET", type=PortType.FLOAT, record_type="ao", writable=True, value=1.0,
        fields=(("DRVL", "-5"), ("DRVH", "5")),
    ),
    RecordSpec(
        name="H:STATE", type=PortType.ENUM, record_type="mbbo", writable=True, value=1, labels=("Off", "On", "Ready")
    ),
)  # fmt: skip


@pytest.fixture
def here() -> Iterator[SimpleNamespace]:
    clock = VirtualClock()
    records, links = FakeRecords(clock), FakeLinks(clock.time, clock)
    records.load(SPECS, source="test")
    local = LocalPvs(records, lambda name, value: records.record(name).assign(value))
    routed = Routed(local, links)
    wiring = Wiring(routed, clock)
    yield SimpleNamespace(
        clock=clock, records=records, links=links, local=local, routed=routed, wiring=wiring
    )
    wiring.close()
    routed.close()


def test_unknown_until_the_records_are_served(here: SimpleNamespace) -> None:
    got: list[Reading] = []
    undo = here.local.listen("ca://H:SET", got.append)
    assert [(reading.value, reading.connected) for reading in got] == [(None, False)]
    with pytest.raises(LinkTimeout):
        here.local.get("H:SET")
    here.records.start()
    assert (got[-1].value, got[-1].connected) == (1.0, True)
    assert here.local.get("pva://H:SET").value == 1.0
    undo()
    here.records.record("H:SET").assign(2.0)
    assert got[-1].value == 1.0


class TestServed:
    @pytest.fixture(autouse=True)
    def served(self, here: SimpleNamespace) -> None:
        here.records.start()

    def test_an_input_shows_what_the_record_shows(self, here: SimpleNamespace) -> None:
        inputs = here.wiring.inputs(instance(port("p", "pva://H:OUT")), lambda name: None)
        assert inputs.reading("p").status is Status.UDF
        assert inputs.view("p").local
        assert inputs.connected == {"p": True}
        here.records.record("H:OUT").publish(12.0, timestamp=1_600_000_000.25)
        reading = inputs.reading("p")
        assert (reading.value, reading.severity, reading.status) == (12.0, Severity.MINOR, Status.HIGH)
        assert reading.timestamp == 1_600_000_000.25
        assert here.links.listeners("pva://H:OUT") == 0

    def test_polled_too(self, here: SimpleNamespace) -> None:
        inputs = here.wiring.inputs(instance(polled("p", "ca://H:SET")), lambda name: None)
        done: list[bool] = []
        inputs.poll(lambda: done.append(True))
        assert done == [True]
        assert inputs.reading("p").value == 1.0

    def test_labels_are_told_and_understood(self, here: SimpleNamespace) -> None:
        inputs = here.wiring.inputs(
            instance(port("s", "ca://H:STATE", type=PortType.STRING), port("p", "ca://H:STATE")),
            lambda name: None,
        )
        assert [inputs.reading(name).value for name in "sp"] == ["On", 1.0]
        here.local.put("H:STATE", "Ready")
        assert [inputs.reading(name).value for name in "sp"] == ["Ready", 2.0]

    def test_a_put_obeys_what_a_clients_would(self, here: SimpleNamespace) -> None:
        outputs = here.wiring.outputs(instance(port("o", "ca://H:SET", output=True)), lambda: None)
        outputs.forward("o", 99.0)
        assert here.local.get("H:SET").value == 5.0
        with pytest.raises(LinkRefused, match="may not write"):
            here.local.put("H:OUT", 1.0)
        for value in ("Nonsense", 7, None):
            with pytest.raises(LinkValueError, match="H:STATE"):
                here.local.put("H:STATE", value)
        outcomes: list[object] = []
        here.local.send("H:OUT", 1.0, outcomes.append)
        here.local.send("H:SET", math.pi, outcomes.append)
        here.local.post("H:OUT", 1.0)
        assert isinstance(outcomes[0], LinkRefused)
        assert outcomes[1:] == [None]

    def test_a_read_only_target_is_a_complaint(self, here: SimpleNamespace) -> None:
        outputs = here.wiring.outputs(instance(port("o", "ca://H:OUT", output=True)), lambda: None)
        outputs.forward("o", 1.0)
        assert "o: ca://H:OUT: clients may not write it" in outputs.complaint

    def test_what_is_not_there(self, here: SimpleNamespace) -> None:
        with pytest.raises(LinkError, match="no PV of this host"):
            here.local.get("H:NONE")
        (outcome,) = here.local.get_many(["ca://H:NONE"])
        assert isinstance(outcome, LinkError)

    def test_monitors_call_back_in_a_thread_of_their_own(self, here: SimpleNamespace) -> None:
        got, called = list[tuple[object, str]](), threading.Event()

        def callback(reading: Reading) -> None:
            got.append((reading.value, threading.current_thread().name))
            if reading.value == 2.0:
                called.set()

        undo = here.local.monitor("ca://H:SET", callback)
        here.records.record("H:SET").assign(2.0)
        assert called.wait(10)
        assert got == [(1.0, "local callbacks"), (2.0, "local callbacks")]
        undo()

    def test_fields_and_foreign_names_are_remote(self, here: SimpleNamespace) -> None:
        here.links.serve("ca://H:OUT.HIGH", 10.0)
        here.links.serve("pva://OTHER", 3.0)
        assert here.routed.get("ca://H:OUT.HIGH").value == 10.0
        outcomes = here.routed.get_many(["pva://OTHER", "ca://H:SET", "ca://NOBODY"])
        assert [getattr(outcome, "value", None) for outcome in outcomes] == [3.0, 1.0, None]
        here.routed.put("pva://OTHER", 4.0)
        here.routed.post("pva://OTHER", 5.0)
        assert here.links.puts == [("pva://OTHER", 4.0), ("pva://OTHER", 5.0)]
        assert not here.routed.is_local("ca://H:OUT.HIGH")

    @pytest.mark.parametrize("name", ["H:SET.VAL", "ca://H:SET.VAL$", "H:SET$"])
    def test_other_names_of_a_value_are_local(self, here: SimpleNamespace, name: str) -> None:
        here.routed.put(name, 2.0)
        assert here.records.record("H:SET").read().value == 2.0

    def test_fields_of_own_records_are_written_where_access_security_holds(
        self, here: SimpleNamespace
    ) -> None:
        here.links.serve("pva://H:OUT.HIGH", 10.0)
        here.routed.put("ca://H:OUT.HIGH", 11.0)
        here.routed.send("ca://H:OUT.HIGH", 12.0, lambda error: None)
        assert [pv for pv, _ in here.links.puts] == ["pva://H:OUT.HIGH"] * 2


class _Coming:
    """Records of which one is there only at times."""

    def __init__(self, records: FakeRecords) -> None:
        self._records = records
        self.hidden: set[str] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._records, name)

    def record(self, name: str) -> object:
        if name in self.hidden:
            raise KeyError(name)
        return self._records.record(name)


def test_links_follow_records_that_come_and_go(here: SimpleNamespace) -> None:
    here.records.start()
    coming = _Coming(here.records)
    local = LocalPvs(coming, lambda name, value: here.records.record(name).assign(value))  # type: ignore[arg-type]
    routed = Routed(local, here.links)
    wiring = Wiring(routed, here.clock)
    coming.hidden.add("H:SET")
    inputs = wiring.inputs(instance(port("p", "ca://H:SET")), lambda name: None)
    outputs = wiring.outputs(instance(port("o", "ca://H:SET", output=True)), lambda: None)
    outputs.forward("o", 3.0)
    assert not inputs.reading("p").connected
    coming.hidden.clear()
    routed.rebind(["H:SET", "H:UNUSED"])
    assert inputs.reading("p").value == 3.0
    assert inputs.view("p").local
    assert here.links.listeners("ca://H:SET") == 0
    coming.hidden.add("H:SET")
    routed.rebind(["H:SET"])
    assert (inputs.reading("p").value, inputs.connected) == (3.0, {"p": False})
    here.records.record("H:SET").assign(4.0)
    assert inputs.reading("p").value == 3.0
    here.links.serve("ca://H:SET", 5.0)
    assert here.links.puts == [("ca://H:SET", 3.0)]
    inputs.close()
    outputs.close()
    assert here.links.listeners("ca://H:SET") == 0
    wiring.close()
