"""Records that EPICS refuses cost their instance, nobody else."""

from __future__ import annotations

from iocmng.base import TaskBase
from iocmng.host.loading import RecordLoader
from iocmng.plugins.candidate import Candidate
from iocmng.spec import Kind, RecordSpec
from iocmng.testing.clock import VirtualClock
from iocmng.testing.records import FakeRecords
from iocmng.testing.subject import describe_subject
from iocmng.values import PortType

CONFIG = {"arguments": {"outputs": {"LEVEL": {"type": "float"}}}}


def loader(records: FakeRecords, complaints: list[str]) -> RecordLoader:
    return RecordLoader(records, lambda specs: None, None, complaints.append, "TEST")


def candidate(name: str) -> Candidate:
    return Candidate(describe_subject(TaskBase, Kind.TASK, CONFIG, None, name), True)


def taken(name: str) -> RecordSpec:
    return RecordSpec(name=name, type=PortType.FLOAT, record_type="ai")


def test_a_refused_instance_is_invalid_and_shows_why() -> None:
    records, complaints = FakeRecords(VirtualClock()), list[str]()
    records.load([taken("TEST:PUMP:LEVEL")], source="other")
    made = loader(records, complaints).load(candidate("pump"))
    assert not made.valid
    assert set(made.spec.defaults) == {"STATUS", "MESSAGE", "LAST_ERROR"}
    assert records.record("TEST:PUMP:STATUS").spec.port == "STATUS"
    assert made.findings[0].code == "records-refused"
    assert "TEST:PUMP:LEVEL" in made.findings[0].message
    assert complaints[0].startswith("pump: ")


def test_one_whose_status_is_refused_too_is_listed_without_records() -> None:
    records, complaints = FakeRecords(VirtualClock()), list[str]()
    records.load([taken("TEST:PUMP:STATUS")], source="other")
    made = loader(records, complaints).load(candidate("pump"))
    assert not made.valid
    assert made.spec.records == ()


def test_the_others_are_loaded() -> None:
    records, complaints = FakeRecords(VirtualClock()), list[str]()
    records.load([taken("TEST:PUMP:LEVEL")], source="other")
    both = [loader(records, complaints).load(candidate(name)) for name in ("pump", "valve")]
    assert [one.valid for one in both] == [False, True]
    assert records.record("TEST:VALVE:LEVEL").spec.port == "LEVEL"
