"""Records that come and go while clients are served: the fake of the test kit, and SoftIoc over CA and over PVA."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from support.records_bench import ARRAY_LENGTH, Bench, FakeBench, RealBench, until

from iocmng.errors import RecordError, SparesShort
from iocmng.spec import RecordSpec
from iocmng.values import DType, PortType, Severity, Status

F, N, B, S, E, A = (
    PortType.FLOAT, PortType.INT, PortType.BOOL, PortType.STRING, PortType.ENUM, PortType.ARRAY
)  # fmt: skip
INVALID, GOOD = Severity.INVALID, Severity.NO_ALARM
OUTPUTS = {
    "ai": (F, 2.5), "longin": (N, -7), "int64in": (N, 2**40), "bi": (B, True), "mbbi": (E, 2),
    "stringin": (S, "short"), "lsi": (S, "long " * 40), "waveform:float64": (A, [1.5, -2.0]),
    "waveform:string": (A, ["a", "bc"]),
}  # fmt: skip
INPUTS = {
    "ao": (F, 2.5, -3.0), "longout": (N, -7, 9), "int64out": (N, 2**40, 2), "bo": (B, True, False),
    "mbbo": (E, 2, 1), "stringout": (S, "short", "other"), "lso": (S, "long " * 40, "brief"),
    "waveform:int32": (A, [1, 2], [3, 4, 5]),
}  # fmt: skip
PLENTY = dict.fromkeys((*OUTPUTS, *INPUTS), 12)
NATIVE = RecordSpec(
    name="C:NATIVE", type=F, record_type="ai", unit="V", value=1.0,
    fields=(("HIHI", "20"), ("HHSV", "MAJOR"), ("PREC", "2")),
)  # fmt: skip

_numbers = count(1)


@pytest.fixture(scope="module", params=["fake", "ca", "pva"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench: Bench
    if request.param == "fake":
        bench = FakeBench([NATIVE], PLENTY)
    else:
        bench = RealBench([NATIVE], request.param, tmp_path_factory.mktemp(request.param), PLENTY)
    yield bench
    bench.close()


@pytest.fixture
def name() -> str:
    """A name that nothing had before: a record stays bound to its name."""
    return f"C:{next(_numbers)}"


def _spec(name: str, kind: str = "ai", **more: object) -> RecordSpec:
    record_type, _, dtype = kind.partition(":")
    port_type = (OUTPUTS.get(kind) or INPUTS[kind])[0]
    lengths = {"lsi": 255, "lso": 255, "stringin": 39, "stringout": 39, "waveform": 8}
    labels = {B: ("Off", "On"), E: ("Red", "Green", "Blue")}.get(port_type, ())
    return RecordSpec(**{
        "name": name, "type": port_type, "record_type": record_type, "labels": labels, "writable": kind in INPUTS,
        "length": lengths.get(record_type, 1), "dtype": DType(dtype) if dtype else None, **more,
    })  # type: ignore[arg-type]  # fmt: skip


def _value(kind: str, value: object) -> object:
    if not kind.startswith("waveform"):
        return value
    dtype = kind.partition(":")[2]
    return np.array(value, dtype="U39" if dtype == "string" else dtype)


def _shows(bench: Bench, name: str, value: object, severity: Severity) -> bool:
    seen = bench.seen(name)[-1]
    return bool(np.array_equal(seen.value, value) and seen.severity == severity)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", OUTPUTS)
def test_an_output_arrives_invalid_and_shows_what_is_published(bench: Bench, kind: str, name: str) -> None:
    value = _value(kind, OUTPUTS[kind][1])
    free = bench.spares()[kind]
    spec = _spec(name, kind, value=value)
    assert not bench.findable(name)
    assert not bench.needs_new(spec)
    assert bench.lacking([spec]) == {}
    bench.arrive(spec)
    assert bench.findable(name)
    assert bench.spares()[kind] == free - 1
    seen = bench.get(name)
    assert np.array_equal(seen.value, value)  # type: ignore[arg-type]
    assert seen.severity == INVALID
    assert bench.read(name).status is Status.UDF
    bench.publish(name, value)
    assert bench.get(name).severity == GOOD
    assert bench.refused(bench.put(name, value))


@pytest.mark.parametrize("kind", INPUTS)
def test_an_input_arrives_with_its_value_and_hears_of_puts(bench: Bench, kind: str, name: str) -> None:
    first, then = (_value(kind, each) for each in INPUTS[kind][1:])
    bench.arrive(_spec(name, kind, value=first))
    seen = bench.get(name)
    assert np.array_equal(seen.value, first)  # type: ignore[arg-type]
    assert seen.severity == GOOD
    assert bench.heard(name) == []
    put = bench.put(name, then)
    until(lambda: bench.over(put), "the put is answered")
    (heard,) = until(lambda: bench.heard(name), "the handler hears of it")
    assert np.array_equal(heard.value, then)
    (trace,) = until(lambda: [*bench.traces(name), *bench.traces(f"{name}.VAL$")], "the audit hears of it")
    assert trace.actor.user
    bench.assign(name, first)
    until(lambda: np.array_equal(bench.get(name).value, first), "what was assigned")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["ao", "mbbo", "lso"])
def test_an_input_without_a_value_arrives_invalid(bench: Bench, kind: str, name: str) -> None:
    bench.arrive(_spec(name, kind))
    assert bench.get(name).severity == INVALID
    bench.put(name, INPUTS[kind][1])
    until(lambda: bench.get(name)[:2] == (INPUTS[kind][1], GOOD), "the put")


def test_limits_labels_and_deadbands_work_on_what_arrived(bench: Bench, name: str) -> None:
    limits = (("HIHI", "20.25"), ("HHSV", "MAJOR"), ("MDEL", "1"))
    bench.arrive(_spec(name, fields=limits), _spec(f"{name}:IN", "ao", value=0.0,
                                                    fields=(("DRVL", "-5"), ("DRVH", "5"))))  # fmt: skip
    bench.publish(name, 20.25)
    assert (bench.read(name).severity, bench.read(name).status) == (Severity.MAJOR, Status.HIHI)
    put = bench.put(f"{name}:IN", 99.0)
    until(lambda: bench.over(put), "the put is answered")
    assert bench.get(f"{name}:IN").value == 5.0


def test_a_client_that_is_connected_follows_its_record_away_and_back(bench: Bench, name: str) -> None:
    spec = _spec(name, fields=(("HIHI", "20"), ("HHSV", "MAJOR")))
    bench.arrive(spec)
    bench.publish(name, 5.0)
    bench.monitor(name)
    until(lambda: _shows(bench, name, 5.0, GOOD), "the value")
    free = bench.spares()
    bench.hold(name)
    bench.depart(name)
    until(lambda: _shows(bench, name, 5.0, INVALID), "it is INVALID")
    assert not bench.findable(name)
    assert bench.spares() == free
    with pytest.raises(KeyError):
        bench.read(name)
    with pytest.raises(RecordError, match="served no more"):
        bench.publish_held(name, 7.0)
    assert not bench.needs_new(spec)
    bench.arrive(spec, source="another")
    assert bench.findable(name)
    assert bench.spares() == free
    with pytest.raises(RecordError, match="served no more"):
        bench.publish_held(name, 7.0)
    assert bench.get(name)[:2] == (5.0, INVALID)
    bench.publish(name, 21.0)
    until(lambda: _shows(bench, name, 21.0, Severity.MAJOR), "the value of who came back")
    bench.depart(name, "C:NOBODY")
    bench.depart(name)


def test_what_is_dressed_again_loses_what_its_new_spec_does_not_have(bench: Bench, name: str) -> None:
    bench.arrive(_spec(name, fields=(("HIHI", "20"), ("HHSV", "MAJOR")), unit="V"))
    bench.depart(name)
    bench.arrive(_spec(name))
    bench.publish(name, 30.0)
    assert bench.read(name).severity is GOOD


def test_what_is_served_is_dressed_again_in_place(bench: Bench, name: str) -> None:
    bench.arrive(_spec(name), _spec(f"{name}:IN", "ao", value=1.0))
    bench.publish(name, 30.0)
    bench.monitor(name)
    for each in (name, f"{name}:IN"):
        bench.hold(each)
    free = bench.spares()
    bench.arrive(_spec(name, fields=(("HIGH", "10"), ("HSV", "MINOR"))), _spec(f"{name}:IN", "ao", value=2.0))
    until(lambda: _shows(bench, name, 30.0, INVALID), "INVALID until it is published")
    assert bench.spares() == free
    with pytest.raises(RecordError, match="for another"):
        bench.publish_held(name, 1.0)
    with pytest.raises(RecordError, match="for another"):
        bench.assign_held(f"{name}:IN", 9.0)
    assert bench.get(f"{name}:IN")[:2] == (2.0, GOOD)
    bench.publish(name, 11.0)
    until(lambda: _shows(bench, name, 11.0, Severity.MINOR), "the new limits")


def test_another_type_is_another_record(bench: Bench, name: str) -> None:
    old, new = _spec(name), _spec(name, "longin", value=4)
    bench.arrive(old)
    bench.publish(name, 1.0)
    bench.monitor(name)
    assert bench.needs_new(new)
    assert bench.lacking([new]) == {}
    free = bench.spares()
    bench.arrive(new)
    until(lambda: _shows(bench, name, 1.0, INVALID), "clients of the old one see INVALID")
    assert bench.spares()["longin"] == free["longin"] - 1
    assert bench.read(name).value == 4
    bench.publish(name, 5)
    assert _shows(bench, name, 1.0, INVALID)
    assert not bench.needs_new(old)
    bench.arrive(old)
    assert bench.read(name).status is Status.UDF
    bench.publish(name, 2.0)
    until(lambda: _shows(bench, name, 2.0, GOOD), "the first record is back")
    assert bench.spares()["longin"] == free["longin"] - 1


def test_a_record_that_was_loaded_at_the_start_can_go_and_come_too(bench: Bench) -> None:
    bench.publish("C:NATIVE", 5.0)
    bench.monitor("C:NATIVE")
    bench.depart("C:NATIVE")
    until(lambda: _shows(bench, "C:NATIVE", 5.0, INVALID), "it is INVALID")
    assert not bench.findable("C:NATIVE")
    free = bench.spares()
    bench.arrive(replace(NATIVE, fields=(("PREC", "2"),), value=None), source="contract")
    assert bench.spares() == free
    bench.publish("C:NATIVE", 25.0)
    until(lambda: _shows(bench, "C:NATIVE", 25.0, GOOD), "the limit is gone")
    assert bench.findable("C:NATIVE")


@pytest.mark.parametrize("dtype", ["float64"])
def test_a_spare_array_serves_readers_and_writers(bench: Bench, name: str, dtype: str) -> None:
    kind = f"waveform:{dtype}"
    bench.arrive(_spec(name, kind, writable=True, value=np.array([1.0, 2.0])))
    put = bench.put(name, np.array([3.0]))
    until(lambda: bench.over(put), "the put is answered")
    until(lambda: bench.heard(name), "the handler hears of it")
    bench.arrive(_spec(name, kind))
    until(lambda: bench.refused(bench.put(name, np.array([4.0]))), "clients hear that they may not write")
    bench.publish(name, np.array([5.0]))
    assert list(bench.read(name).value) == [5.0]  # type: ignore[call-overload]
    bench.arrive(_spec(name, kind, writable=True))
    until(lambda: not bench.refused(bench.put(name, np.array([6.0]))), "clients hear that they may write")
    until(lambda: len(bench.heard(name)) == 2, "the handler is told again")


def test_less_than_fits_is_held_to_what_was_declared(bench: Bench, name: str) -> None:
    texts, arrays = f"{name}:TEXT", f"{name}:ARRAY"
    for length in (9, 4):
        bench.arrive(_spec(texts, "lso", length=length, value=""),
                     _spec(arrays, "waveform:int32", length=length, value=np.zeros(1, "int32")))  # fmt: skip
        for each, value in ((texts, "abcdefghijklm"), (arrays, np.arange(12, dtype="int32"))):
            before = len(bench.heard(each))
            put = bench.put(each, value)
            until(lambda put=put: bench.over(put), "the put is answered")
            if not bench.refused(put):
                until(lambda each=each, before=before: len(bench.heard(each)) > before, "the handler")
            assert all(len(put.value) <= length for put in bench.heard(each)[before:])
            assert len(bench.read(each).value) <= length  # type: ignore[arg-type]
    put = bench.put(arrays, np.arange(4, dtype="int32"))
    until(lambda: bench.over(put), "the put is answered")
    assert list(bench.read(arrays).value) == [0, 1, 2, 3]  # type: ignore[call-overload]
    assert bench.needs_new(_spec(arrays, "waveform:int32", length=10))
    assert not bench.needs_new(_spec(arrays, "waveform:int32", length=9))


def test_a_field_that_is_refused_undoes_everything(bench: Bench, name: str) -> None:
    known = _spec(f"{name}:KNOWN", fields=(("HIGH", "10"), ("HSV", "MINOR")))
    bench.arrive(known)
    bench.publish(known.name, 11.0)
    free = bench.spares()
    bad = [replace(known, fields=()), _spec(f"{name}:NEW", unit="V"), _spec(name, fields=(("HIHI", "high"),))]
    with pytest.raises(RecordError, match=f"{name}.HIHI"):
        bench.arrive(*bad)
    assert bench.spares() == free
    assert not bench.findable(f"{name}:NEW")
    assert bench.read(known.name).severity is Severity.MINOR
    bench.publish(known.name, 12.0)
    assert bench.read(known.name).severity is Severity.MINOR
    bench.arrive(_spec(f"{name}:NEW"))
    bench.publish(f"{name}:NEW", 99.0)
    assert bench.read(f"{name}:NEW").severity is GOOD


def test_too_few_spares_are_told_with_numbers_and_settings_and_change_nothing(
    bench: Bench, name: str
) -> None:
    free = bench.spares()
    specs = [_spec(f"{name}:{number}", "mbbi") for number in range(free["mbbi"] + 2)]
    specs += [_spec(f"{name}:LONG", "waveform:float64", length=ARRAY_LENGTH + 1), _spec(f"{name}:OK")]
    lacking = {
        "mbbi": (free["mbbi"] + 2, free["mbbi"]),
        f"waveform:float64[{ARRAY_LENGTH + 1}]": (1, 0),
    }
    assert bench.lacking(specs) == lacking
    with pytest.raises(SparesShort, match=f"mbbi: {free['mbbi'] + 2} needed, {free['mbbi']} free") as raised:
        bench.arrive(*specs)
    assert raised.value.lacking == lacking
    assert "spares.array_length, spares.mbbi" in raised.value.hint
    assert bench.spares() == free
    assert not bench.findable(f"{name}:OK")
    never = [
        _spec(f"{name}:TEXT", "lsi", length=300),
        replace(NATIVE, name=f"{name}:CALC", record_type="calc"),
        _spec(f"{name}:FIXED", "ao", writable=False),
        _spec(f"{name}:INT8", "waveform:float64", dtype=DType.INT8),
    ]
    assert bench.lacking(never) == {
        "lsi[300]": (1, 0),
        "calc": (1, 0),
        "ao:ro": (1, 0),
        "waveform:int8": (1, 0),
    }


def test_a_name_of_another_source_is_not_taken(bench: Bench, name: str) -> None:
    bench.arrive(_spec(name), source="one")
    with pytest.raises(RecordError, match="exists already in one"):
        bench.arrive(_spec(name), source="other")
    with pytest.raises(RecordError, match="exists already in contract"):
        bench.arrive(NATIVE, source="other")
    with pytest.raises(RecordError, match="exists already"):
        bench.arrive(_spec(f"{name}:TWICE"), _spec(f"{name}:TWICE"))
    assert not bench.findable(f"{name}:TWICE")


def test_runs_that_are_pending_when_their_record_goes_are_completed(bench: Bench, name: str) -> None:
    run = _spec(name, "bo", value=False, completes=True)
    bench.arrive(run)
    first = bench.put(name, True)
    until(lambda: bench.heard(name), "the first is heard")
    waiting = bench.put(name, True, channel=1)
    bench.monitor(name)
    bench.depart(name)
    until(lambda: bench.over(first) and bench.over(waiting), "all who wait are answered")
    until(lambda: _shows(bench, name, False, INVALID), "it is INVALID")
    late = bench.put(name, True)
    until(lambda: bench.over(late), "a later one does not hang")
    assert len(bench.heard(name)) == 1
    bench.complete(name, 0)
    bench.arrive(run)
    until(lambda: _shows(bench, name, False, GOOD), "it is back")
    again = bench.put(name, True)
    until(lambda: len(bench.heard(name)) == 2, "the new one is heard")
    bench.complete(name, 0)
    assert bench.read(name).value is True
    bench.complete(name, 1)
    until(lambda: bench.over(again), "it is answered")


def test_a_run_that_is_pending_when_its_record_is_dressed_again_is_completed(bench: Bench, name: str) -> None:
    run = _spec(name, "bo", value=False, completes=True)
    bench.arrive(run)
    put = bench.put(name, True)
    until(lambda: bench.heard(name), "it is heard")
    bench.arrive(run)
    until(lambda: bench.over(put), "it is answered")
    until(lambda: bench.get(name)[:2] == (False, GOOD), "the record goes back")


def test_who_watches_follows_whichever_record_has_the_name(bench: Bench, name: str) -> None:
    bench.arrive(_spec(name))
    bench.publish(name, 1.0)
    bench.watch(name)
    until(lambda: bench.watched(name), "the present value")
    bench.depart(name)
    known = len(bench.watched(name))
    bench.arrive(_spec(name, "longin", value=3))
    until(lambda: [each.value for each in bench.watched(name)[known:]] == [3], "what the new record shows")
    assert bench.watched(name)[-1].severity is INVALID
    bench.publish(name, 4)
    until(lambda: (last := bench.watched(name)[-1]).value == 4 and last.ok, "what it publishes")
    bench.depart(name)
    bench.unwatch(name)
    before = bench.watched(name)
    bench.arrive(_spec(name))
    bench.publish(name, 9.0)
    assert bench.watched(name) == before
