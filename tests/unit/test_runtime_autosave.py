"""Autosave: every kind of value comes back, strange files cost nothing, misfits are named."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iocmng.runtime.autosave import Autosave
from iocmng.runtime.clock import RealClock
from iocmng.spec import RecordSpec
from iocmng.values import DType, PortType, Reading, Value

P = "TEST:PUMP:"


def spec(port: str, kind: PortType, record_type: str, **more: Any) -> RecordSpec:
    settings = {"autosave": True, "writable": True, **more}
    return RecordSpec(name=P + port, port=port, type=kind, record_type=record_type, **settings)


FLOAT = spec("SP", PortType.FLOAT, "ao")
INT = spec("N", PortType.INT, "longout")
INT64 = spec("BIG", PortType.INT, "int64out")
BOOL = spec("ON", PortType.BOOL, "bo", labels=("Off", "On"))
ENUM = spec("MODE", PortType.ENUM, "mbbo", labels=("idle", "fast", "slow"))
TEXT = spec("NAME", PortType.STRING, "stringout", length=39)
LONG = spec("NOTE", PortType.STRING, "lso", length=5000)
FLOATS = spec("WF", PortType.ARRAY, "waveform", length=8, dtype=DType.FLOAT64)
BYTES = spec("RAW", PortType.ARRAY, "waveform", length=8, dtype=DType.UINT8)
WIDE = spec("WIDE", PortType.ARRAY, "waveform", length=8, dtype=DType.UINT64)
TEXTS = spec("NAMES", PortType.ARRAY, "waveform", length=8, dtype=DType.STRING)
ALL = (FLOAT, INT, INT64, BOOL, ENUM, TEXT, LONG, FLOATS, BYTES, WIDE, TEXTS)


class Records:
    """What the records show, as a dictionary; counts reads."""

    def __init__(self, **values: Value) -> None:
        self.values: dict[str, Value] = {P + port: value for port, value in values.items()}
        self.reads = 0

    def __call__(self, name: str) -> Reading:
        self.reads += 1
        return Reading(self.values.get(name))


def autosave(directory: Path, **options: Any) -> Autosave:
    return Autosave(directory / "autosave", RealClock(), **options)


def saved_and_restored(directory: Path, record: RecordSpec, value: Value) -> Value | None:
    before = autosave(directory)
    before.watch("pump", [record], Records(**{record.port: value}))
    before.touch("pump")
    before.save()
    restored = autosave(directory).restore("pump", [record])
    assert restored.problems == ()
    return restored.values.get(record.name)


@pytest.mark.parametrize(
    ("record", "value"),
    [
        (FLOAT, 0.1 + 0.2),
        (FLOAT, -1.7976931348623157e308),
        (FLOAT, 5e-324),
        (FLOAT, math.inf),
        (FLOAT, -math.inf),
        (INT, -(2**31)),
        (INT64, 2**63 - 1),
        (INT64, -(2**63)),
        (BOOL, True),
        (BOOL, False),
        (ENUM, 2),
        (TEXT, "größer {} %s \\ \" '\n\t"),
        (TEXT, "NaN"),
        (TEXT, ""),
        (LONG, "x" * 5000),
    ],
)
def test_scalars_come_back_exactly(tmp_path: Path, record: RecordSpec, value: Value) -> None:
    found = saved_and_restored(tmp_path, record, value)
    assert found == value
    assert type(found) is type(value)


def test_nan_comes_back(tmp_path: Path) -> None:
    found = saved_and_restored(tmp_path, FLOAT, math.nan)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("record", "value"),
    [
        (FLOATS, np.array([1.5, math.nan, -math.inf, 0.1])),
        (FLOATS, np.array([])),
        (BYTES, np.array([0, 255, 128], dtype=np.uint8)),
        (WIDE, np.array([2**64 - 1, 0], dtype=np.uint64)),
        (TEXTS, np.array(["", "NaN", "größer"])),
    ],
)
def test_arrays_come_back_exactly(tmp_path: Path, record: RecordSpec, value: Any) -> None:
    found = saved_and_restored(tmp_path, record, value)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, value)
    assert found.dtype.kind == value.dtype.kind


def test_the_file_is_json_that_others_can_read(tmp_path: Path) -> None:
    saved_and_restored(tmp_path, FLOATS, np.array([math.nan, 1.0]))
    text = (tmp_path / "autosave" / "pump.json").read_text()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(text, parse_constant=refuse)["values"] == {P + "WF": ["NaN", 1.0]}


def test_an_enum_follows_its_label_and_not_its_number(tmp_path: Path) -> None:
    saved_and_restored(tmp_path, ENUM, 2)
    renumbered = spec("MODE", PortType.ENUM, "mbbo", labels=("off", "idle", "fast", "slow"))
    assert autosave(tmp_path).restore("pump", [renumbered]).values == {P + "MODE": 3}


@pytest.mark.parametrize(
    ("before", "value", "after", "part"),
    [
        (ENUM, 2, spec("MODE", PortType.ENUM, "mbbo", labels=("idle", "fast")), "slow"),
        (FLOAT, 2.5, spec("SP", PortType.INT, "longout"), "2.5"),
        (FLOAT, 2.5, spec("SP", PortType.STRING, "stringout", length=39), "2.5"),
        (TEXT, "hello", spec("NAME", PortType.FLOAT, "ao"), "hello"),
        (TEXT, "hello", spec("NAME", PortType.STRING, "stringout", length=3), "at most 3"),
        (INT64, 2**40, spec("BIG", PortType.INT, "longout"), "32 bits"),
        (
            FLOATS,
            np.zeros(8),
            spec("WF", PortType.ARRAY, "waveform", length=4, dtype=DType.FLOAT64),
            "at most 4",
        ),
        (
            BYTES,
            np.array([200], np.uint8),
            spec("RAW", PortType.ARRAY, "waveform", length=4, dtype=DType.INT8),
            "int8",
        ),
        (FLOAT, 2.5, spec("SP", PortType.FLOAT, "ao", fields=(("DRVL", "0"), ("DRVH", "2"))), "limits 0 … 2"),
        (FLOAT, 2.5, spec("SP", PortType.ARRAY, "waveform", length=4, dtype=DType.FLOAT64), "2.5"),
    ],
)
def test_what_no_longer_fits_is_named_and_dropped_alone(
    tmp_path: Path, before: RecordSpec, value: Value, after: RecordSpec, part: str
) -> None:
    first = autosave(tmp_path)
    first.watch("pump", [before, BOOL], Records(**{before.port: value, "ON": True}))
    first.touch("pump")
    first.save()
    restored = autosave(tmp_path).restore("pump", [after, BOOL])
    assert restored.values == {P + "ON": True}
    (problem,) = restored.problems
    assert before.name in problem
    assert part in problem


def test_a_value_within_its_limits_is_kept(tmp_path: Path) -> None:
    limited = spec("SP", PortType.FLOAT, "ao", fields=(("DRVL", "0"), ("DRVH", "2")))
    assert saved_and_restored(tmp_path, limited, 2.0) == 2.0


def test_a_pv_that_is_gone_for_one_boot_keeps_its_value(tmp_path: Path) -> None:
    first = autosave(tmp_path)
    first.watch("pump", [FLOAT, INT], Records(SP=1.5, N=7))
    first.touch("pump")
    first.save()
    without = autosave(tmp_path)
    without.restore("pump", [FLOAT])
    without.watch("pump", [FLOAT], Records(SP=2.5))
    without.touch("pump")
    without.save()
    assert autosave(tmp_path).restore("pump", [FLOAT, INT]).values == {P + "SP": 2.5, P + "N": 7}


def test_an_instance_that_was_not_restored_keeps_what_its_file_holds(tmp_path: Path) -> None:
    saved_and_restored(tmp_path, INT, 7)
    assert saved_and_restored(tmp_path, FLOAT, 1.5) == 1.5
    assert autosave(tmp_path).restore("pump", [INT]).values == {P + "N": 7}


def test_records_without_autosave_are_neither_saved_nor_restored(tmp_path: Path) -> None:
    run = spec("RUN", PortType.BOOL, "bo", labels=("Off", "On"), autosave=False)
    store = autosave(tmp_path)
    store.watch("pump", [run, FLOAT], Records(RUN=True, SP=1.0))
    store.touch("pump")
    store.save()
    assert json.loads((tmp_path / "autosave" / "pump.json").read_bytes())["values"] == {P + "SP": 1.0}
    path = tmp_path / "autosave" / "pump.json"
    path.write_text(json.dumps({"values": {P + "RUN": True}}))
    assert autosave(tmp_path).restore("pump", [run]).values == {}


def test_nothing_saved_is_no_problem(tmp_path: Path) -> None:
    restored = autosave(tmp_path).restore("pump", ALL)
    assert restored.values == {}
    assert restored.problems == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"values": []}', '{"other": 1}', "\x00\x00"])
def test_a_corrupt_file_is_set_aside_reported_and_the_backup_used(tmp_path: Path, content: str) -> None:
    store = autosave(tmp_path)
    for value in (1.0, 2.0):
        store.watch("pump", [FLOAT], Records(SP=value))
        store.touch("pump")
        store.save()
    path = tmp_path / "autosave" / "pump.json"
    path.write_text(content)
    restored = autosave(tmp_path).restore("pump", [FLOAT])
    assert restored.values == {P + "SP": 1.0}
    (problem,) = restored.problems
    assert "autosave of pump" in problem
    assert "corrupt" in problem
    assert [entry.read_text() for entry in path.parent.glob("*.corrupt-*")] == [content]


def test_one_corrupt_file_costs_other_instances_nothing(tmp_path: Path) -> None:
    store = autosave(tmp_path)
    for name in ("pump", "valve"):
        store.watch(name, [FLOAT], Records(SP=1.0))
        store.touch(name)
    store.save()
    (tmp_path / "autosave" / "pump.json").write_text("{")
    again = autosave(tmp_path)
    assert again.restore("pump", [FLOAT]).values == {}
    assert again.restore("valve", [FLOAT]).values == {P + "SP": 1.0}


def test_only_touched_instances_are_read_and_only_changed_ones_written(tmp_path: Path) -> None:
    store = autosave(tmp_path, keep=3)
    pump, valve = Records(SP=1.0), Records(SP=1.0)
    store.watch("pump", [FLOAT], pump)
    store.watch("valve", [FLOAT], valve)
    store.save()
    assert (pump.reads, valve.reads) == (0, 0)
    for _ in range(3):
        store.touch("pump")
        store.save()
    assert (pump.reads, valve.reads) == (3, 0)
    assert [entry.name for entry in (tmp_path / "autosave").iterdir()] == ["pump.json"]
    for value in (2.0, 3.0, 4.0, 5.0, 6.0):
        pump.values[P + "SP"] = value
        store.touch("pump")
        store.save()
    assert len(list((tmp_path / "autosave").iterdir())) == 4


def test_a_full_disk_is_reported_once_and_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = autosave(tmp_path)
    store.watch("pump", [FLOAT], Records(SP=1.0))
    store.touch("pump")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with caplog.at_level(logging.INFO), monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        store.save()
        store.save()
    (report,) = [record.getMessage() for record in caplog.records]
    assert "No space left" in report
    assert "pump.json" in report
    store.save()
    assert autosave(tmp_path).restore("pump", [FLOAT]).values == {P + "SP": 1.0}
    assert "saved again" in caplog.records[-1].getMessage()


def test_a_record_without_a_value_yet_is_left_out(tmp_path: Path) -> None:
    store = autosave(tmp_path)
    store.watch("pump", [FLOAT, INT], Records(N=1))
    store.touch("pump")
    store.save()
    assert autosave(tmp_path).restore("pump", [FLOAT, INT]).values == {P + "N": 1}


def test_the_thread_saves_what_is_touched_and_closing_saves_the_rest(tmp_path: Path) -> None:
    threads = threading.active_count()
    store = autosave(tmp_path, period=0.01)
    pump, valve = Records(SP=1.0), Records(SP=1.0)
    store.watch("pump", [FLOAT], pump)
    store.watch("valve", [FLOAT], valve)
    store.start()
    store.touch("pump")
    path = tmp_path / "autosave" / "pump.json"
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    pump.values[P + "SP"] = 9.0
    store.close(20)
    assert threading.active_count() == threads
    again = autosave(tmp_path)
    assert again.restore("pump", [FLOAT]).values == {P + "SP": 9.0}
    assert again.restore("valve", [FLOAT]).values == {P + "SP": 1.0}


def test_closing_without_a_thread_saves_too(tmp_path: Path) -> None:
    store = autosave(tmp_path)
    store.watch("pump", [FLOAT], Records(SP=1.0))
    store.close()
    assert autosave(tmp_path).restore("pump", [FLOAT]).values == {P + "SP": 1.0}


def test_closing_makes_no_files_of_values_that_nobody_wrote(tmp_path: Path) -> None:
    declared = spec("SP", PortType.FLOAT, "ao", value=5.0)
    store = autosave(tmp_path)
    untouched = Records(SP=5.0, N=0, ON=False, MODE=0, NAME="", WF=np.array([]))
    store.watch("pump", [declared, INT, BOOL, ENUM, TEXT, FLOATS], untouched)
    store.watch("valve", [declared], Records(SP=5.0))
    store.watch("shutter", [declared], Records(SP=6.0))
    store.touch("valve")
    store.close()
    found = {path.name: json.loads(path.read_bytes())["values"] for path in (tmp_path / "autosave").iterdir()}
    assert found == {"valve.json": {P + "SP": 5.0}, "shutter.json": {P + "SP": 6.0}}


def test_a_value_that_was_saved_once_is_kept_up_to_date_at_closing(tmp_path: Path) -> None:
    declared = spec("SP", PortType.FLOAT, "ao", value=5.0)
    saved_and_restored(tmp_path, declared, 7.0)
    store = autosave(tmp_path)
    store.restore("pump", [declared])
    store.watch("pump", [declared], Records(SP=5.0))
    store.close()
    assert autosave(tmp_path).restore("pump", [declared]).values == {P + "SP": 5.0}


def test_a_forgotten_instance_is_saved_no_more(tmp_path: Path) -> None:
    store = autosave(tmp_path)
    store.watch("pump", [FLOAT], Records(SP=1.0))
    store.touch("pump")
    store.forget("pump")
    store.save()
    assert not (tmp_path / "autosave").exists()
