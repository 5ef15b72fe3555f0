"""Kinds and numbers of spare records, what a name is bound to, and the beacons that tell clients of new names."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import pytest

from iocmng.errors import RecordError, SparesShort
from iocmng.host.spares import spare_counts, tasks_that_fit
from iocmng.ioc.beacons import CA_PAUSES, PVA_PAUSES, Announcer, ca_beacon
from iocmng.ioc.spares import Pool, check_counts
from iocmng.settings.site import SpareSettings
from iocmng.spec import Mode, RecordSpec
from iocmng.spec.defaults import Wiring, host_records, job_defaults, task_defaults
from iocmng.spec.spares import KINDS, Shape, kind_of, lacking_of, needed, setting_of, shape_of_kind, shortage
from iocmng.values import DType, PortType

AI = RecordSpec(name="P:AI", type=PortType.FLOAT, record_type="ai")
ARRAY = RecordSpec(name="P:A", type=PortType.ARRAY, record_type="waveform", dtype=DType.INT32, length=10)
TEXT = RecordSpec(name="P:T", type=PortType.STRING, record_type="lso", writable=True, length=100)


def test_the_default_settings_do_for_sixteen_instances_of_each_sort() -> None:
    counts = spare_counts(SpareSettings())
    assert set(counts) == set(KINDS)
    links = Wiring(inputs=("A",), outputs=("B",))
    for one in (
        task_defaults("P:I", Mode.CONTINUOUS, links),
        task_defaults("P:I", Mode.TRIGGERED),
        job_defaults("P:I"),
    ):
        for kind, count in needed(one.values()).items():
            assert counts[kind] >= 16 * count
    assert tasks_that_fit(counts) >= 16
    assert 500 < sum(counts.values()) < 1500


def test_the_numbers_of_the_settings_come_on_top() -> None:
    settings = SpareSettings.model_validate(
        {"instances": 0, "ai": 7, "longin": 5, "arrays": {"float64": 3, "string": 0}}
    )
    counts = spare_counts(settings)
    assert (counts["ai"], counts["longin"], counts["waveform:float64"], counts["waveform:string"]) == (
        7,
        5,
        3,
        0,
    )
    assert (
        spare_counts(settings.model_copy(update={"instances": 2}))["bo"]
        == counts["bo"] + 2 * needed(task_defaults("P:I", Mode.TRIGGERED).values())["bo"]
    )


def test_how_many_tasks_fit_is_decided_by_the_kind_that_ends_first() -> None:
    one = needed(task_defaults("P:I", Mode.CONTINUOUS).values())
    free = {kind: 10 * count for kind, count in one.items()}
    assert tasks_that_fit(free) == 10
    assert tasks_that_fit({**free, "lsi": one["lsi"] * 4 - 1}) == 3
    assert tasks_that_fit({}) == 0


def test_few_spares_are_minor() -> None:
    fields = dict(host_records("P")["SPARES_FREE"].fields)
    assert fields == {"LOW": "4", "LSV": "MINOR"}


def test_a_bigger_record_serves_a_smaller_spec() -> None:
    shape = Shape.of(TEXT)
    assert shape.fits(replace(TEXT, length=100))
    assert shape.fits(replace(TEXT, length=5))
    assert not shape.fits(replace(TEXT, length=101))
    assert not shape.fits(replace(TEXT, record_type="lsi", writable=False))
    array = Shape.of(ARRAY)
    assert array.fits(replace(ARRAY, writable=True, length=1))
    assert not array.fits(replace(ARRAY, dtype=DType.INT16))
    assert Shape.of(AI).fits(replace(AI, unit="V", fields=(("HIHI", "1"),)))
    assert not Shape.of(AI).fits(replace(AI, record_type="ao", writable=True))


def test_what_no_spare_can_become_is_counted_apart() -> None:
    specs = [AI, replace(AI, name="P:B"), replace(ARRAY, length=11), replace(ARRAY, name="P:C", length=11),
             replace(TEXT, length=256), replace(AI, record_type="calc")]  # fmt: skip
    free = dict.fromkeys(KINDS, 9) | {"ai": 1}
    lacking = lacking_of(specs, free, 10)
    assert lacking == {"ai": (2, 1), "waveform:int32[11]": (2, 0), "lso[256]": (1, 0), "calc": (1, 0)}
    error = shortage(lacking, for_whom="pump")
    assert "for pump: ai: 2 needed, 1 free" in error.detail
    assert "spares.ai, spares.array_length in" in error.hint
    assert "--restart-host" in error.hint
    assert shortage({"calc": (1, 0)}).hint.startswith("restart the host")
    assert lacking_of([AI], {"ai": 1}, 10) == {}


def test_each_kind_has_a_setting() -> None:
    settings = SpareSettings()
    for kind in KINDS:
        section, _, key = setting_of(kind).removeprefix("spares.").partition(".")
        assert hasattr(getattr(settings, section), key) if key else hasattr(settings, section)
        assert shape_of_kind(kind, 5).room in (0, 255, 5)
    with pytest.raises(KeyError):
        shape_of_kind("calc", 5)
    with pytest.raises(RecordError, match="waveform:float63"):
        check_counts({"ai": 1, "waveform:float63": 2})


def test_a_name_keeps_its_records_and_takes_no_more_than_it_needs() -> None:
    pool: Pool[str] = Pool()
    pool.array_length = 10
    for number in range(2):
        pool.add("ai", f"ai{number}")
    pool.add("longin", "longin0")
    with pytest.raises(SparesShort):
        pool.choose([replace(AI, name=f"P:{number}") for number in range(3)], source="x")
    assert pool.free() == {"ai": 2, "longin": 1}
    ((_, record, is_new),) = pool.choose([AI], source="x")
    assert is_new
    pool.bind(AI.name, Shape.of(AI), record)
    assert pool.choose([replace(AI, unit="V")], source="x") == [(replace(AI, unit="V"), "ai0", False)]
    other = replace(AI, type=PortType.INT, record_type="longin")
    assert pool.needs_new(other)
    assert not pool.needs_new(replace(other, name="P:NEVER"))
    ((_, record, is_new),) = pool.choose([other], source="x")
    pool.bind(AI.name, Shape.of(other), record)
    assert pool.of(AI.name) == ("ai0", "longin0")
    assert pool.free() == {"ai": 1, "longin": 0}
    assert not pool.needs_new(other)
    assert not pool.needs_new(AI)
    assert kind_of(ARRAY) == kind_of(replace(ARRAY, writable=True)) == "waveform:int32"


def test_a_burst_of_beacons_goes_out_for_each_announcement_and_not_for_more_than_one_that_waits() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as ca,
        socket.socket(type=socket.SOCK_DGRAM) as pva,
    ):
        for each in (ca, pva):
            each.bind(("127.0.0.1", 0))
            each.settimeout(10.0)
        announcer = Announcer(lambda: [ca.getsockname()], lambda: [pva.getsockname()])
        announcer.use(5064, 5075)
        for _ in range(5):
            announcer.announce()
        heard = [ca.recv(100) for _ in range(2 * len(CA_PAUSES))]
        numbers = [struct.unpack(">HHHHII", each)[4] for each in heard]
        assert numbers == list(range(numbers[0], numbers[0] + len(heard)))
        assert numbers[0] > 2**20
        assert heard[0] == ca_beacon(numbers[0], 5064)
        assert list(CA_PAUSES) == sorted(CA_PAUSES, reverse=True)
        beacons = [pva.recv(100) for _ in range(2 * len(PVA_PAUSES))]
        assert len({each[8:20] for each in beacons}) == len(beacons)
        assert {each[:4] for each in beacons} == {b"\xca\x02\xc0\x00"}
        ca.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            ca.recv(100)
