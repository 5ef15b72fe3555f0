"""When a put may keep the GIL."""

from __future__ import annotations

import pytest

from iocmng.ioc.locksets import LockSets, python_stays_alone
from iocmng.spec import RecordSpec
from iocmng.spec.defaults import host_records
from iocmng.values import PortType


def record(name: str, *, writable: bool = False, **fields: str) -> RecordSpec:
    kind = "ao" if writable else "ai"
    return RecordSpec(
        name=name, type=PortType.FLOAT, record_type=kind, writable=writable, fields=tuple(fields.items())
    )


def test_records_without_links_and_the_hosts_own_are_alone() -> None:
    assert python_stays_alone(
        [record("A", HIHI="5"), record("B", writable=True), *host_records("P").values()]
    )


@pytest.mark.parametrize(
    "records",
    [
        [record("A", FLNK="B"), record("B", writable=True)],
        [record("A", SDIS="B.VAL CP MS"), record("B", writable=True)],
        [record("A"), record("B", writable=True, FLNK="A")],
        [record("A"), record("B", writable=True, SIOL="ELSEWHERE")],
    ],
)
def test_a_link_to_or_from_a_writable_record_is_not(records: list[RecordSpec]) -> None:
    assert not python_stays_alone(records)


def test_links_among_native_records_do_no_harm() -> None:
    assert python_stays_alone([record("A", FLNK="B"), record("B"), record("C", writable=True)])


def test_records_that_arrive_later_count_with_those_that_are_there() -> None:
    locks = LockSets()
    locks.add([record("A", FLNK="LATER NPP"), record("B")])
    assert locks.python_stays_alone
    locks.add([record("C", FLNK="B")])
    assert locks.python_stays_alone
    locks.add([record("LATER", writable=True)])
    assert not locks.python_stays_alone
