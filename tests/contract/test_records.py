"""Every RecordPort behaves alike: the fake of the test kit, and SoftIoc seen over CA and over PVA."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from support.records_bench import Bench, FakeBench, Heard, RealBench, until

from iocmng.errors import RecordError
from iocmng.spec import RecordSpec
from iocmng.values import DType, PortType, Severity, Status

F, N, B, S, E, A = (
    PortType.FLOAT, PortType.INT, PortType.BOOL, PortType.STRING, PortType.ENUM, PortType.ARRAY
)  # fmt: skip
LABELS = ("Red", "Green", "Blue")
LIMITS = (
    ("LOLO", "-20"), ("LLSV", "MAJOR"), ("LOW", "-10"), ("LSV", "MINOR"),
    ("HIGH", "10"), ("HSV", "MINOR"), ("HIHI", "20"), ("HHSV", "MAJOR"),
)  # fmt: skip

OUTPUTS = {
    "ai": (F, 2.5, -1e300),
    "longin": (N, -7, 2**31 - 1),
    "int64in": (N, 2**40, -(2**40)),
    "bi": (B, True, False),
    "mbbi": (E, 2, 1),
    "stringin": (S, "short", "x" * 39),
    "lsi": (S, "long " * 40, ""),
}
INPUTS = {
    "ao": (F, 2.5, -3.25),
    "longout": (N, -7, 12),
    "int64out": (N, 2**40, 5),
    "bo": (B, True, False),
    "mbbo": (E, 2, 1),
    "stringout": (S, "short", "other"),
    "lso": (S, "long " * 40, "brief"),
}
ARRAYS = {
    DType.FLOAT64: [1.5, -2.0], DType.FLOAT32: [0.5, 4.0], DType.INT8: [1, 127], DType.UINT8: [0, 255],
    DType.INT16: [-5, 5], DType.UINT16: [0, 65535], DType.INT32: [-9, 9], DType.UINT32: [0, 2**32 - 1],
    DType.INT64: [-(2**40), 2**40], DType.UINT64: [0, 2**40], DType.STRING: ["a", "bc"],
}  # fmt: skip


def _spec(name: str, port_type: PortType, record_type: str, **more: object) -> RecordSpec:
    length = {"lsi": 255, "lso": 255, "stringin": 39, "stringout": 39}.get(record_type, 1)
    labels = {B: ("Off", "On"), E: LABELS}.get(port_type, ())
    return RecordSpec(**{"name": name, "type": port_type, "record_type": record_type, "length": length,
                         "labels": labels, **more})  # type: ignore[arg-type]  # fmt: skip


def _array(name: str, dtype: DType, **more: object) -> RecordSpec:
    return _spec(name, A, "waveform", dtype=dtype, length=8, **more)


SPECS = [
    *(_spec(f"C:OUT:{kind}", each[0], kind) for kind, each in OUTPUTS.items()),
    *(_spec(f"C:IN:{kind}", each[0], kind, writable=True) for kind, each in INPUTS.items()),
    *(_spec(f"C:SET:{kind}", each[0], kind, writable=True, value=each[1]) for kind, each in INPUTS.items()),
    *(_spec(f"C:RO:{kind}", each[0], kind) for kind, each in OUTPUTS.items()),
    *(_array(f"C:ARR:{dtype}", dtype) for dtype in ARRAYS),
    *(_array(f"C:ARRIN:{dtype}", dtype, writable=True) for dtype in (DType.FLOAT64, DType.INT32)),
    _array("C:ARRSET", DType.FLOAT64, writable=True, value=np.array([1.0, 2.0])),
    _array("C:RO:ARR", DType.FLOAT64),
    _spec("C:FIRST", F, "ai", value=4.5),
    _spec("C:FIRST:TEXT", S, "lsi", value="to begin with"),
    _spec("C:LIMITS", F, "ai", fields=LIMITS),
    _spec("C:LIMITS:INT", N, "longin", fields=LIMITS),
    _spec("C:HYST", F, "ai", fields=(("HIGH", "10"), ("HSV", "MINOR"), ("HYST", "2"))),
    _spec("C:STATE", E, "mbbi", fields=(("TWSV", "MAJOR"),)),
    _spec("C:BIT", B, "bi", fields=(("OSV", "MINOR"),)),
    _spec("C:DEADBAND", F, "ai", fields=(("MDEL", "1"),)),
    _spec("C:QUALITY", F, "ai"),
    _spec("C:SAME", F, "ai"),
    _spec("C:NAN", F, "ai"),
    _spec("C:CLAMP:ao", F, "ao", writable=True, value=0.0, fields=(("DRVL", "-5"), ("DRVH", "5"))),
    _spec("C:CLAMP:longout", N, "longout", writable=True, value=0, fields=(("DRVL", "-5"), ("DRVH", "5"))),
    _spec("C:CLAMP:int64out", N, "int64out", writable=True, value=0, fields=(("DRVL", "-5"), ("DRVH", "5"))),
    _spec("C:REPEAT", B, "bo", writable=True, value=False),
    _spec("C:WATCH", F, "ai", fields=LIMITS),
    _spec("C:WATCH:IN", F, "ao", writable=True, value=1.0, fields=(("DRVL", "-5"), ("DRVH", "5"))),
    _spec("C:WATCH:TEXT", S, "lsi"),
    _array("C:WATCH:ARR", DType.FLOAT64),
    _spec("C:ASSIGN", F, "ao", writable=True, value=1.0),
    _spec("C:ILLEGAL", E, "mbbo", writable=True, value=1),
    *(_spec(f"C:RUN:{name}", B, "bo", writable=True, value=False, completes=True)
      for name in ("ONE", "QUEUE", "PLAIN", "ZERO", "SEEN")),
    _spec("C:TRACE", E, "mbbo", writable=True, value=0),
    _spec("C:FINITE", F, "ao", writable=True, value=3.5),
    _spec("C:FINITE:LIMITED", F, "ao", writable=True, value=3.5, fields=(("DRVL", "0"), ("DRVH", "10"))),
    _spec("C:ORDER", N, "longout", writable=True, value=0),
]  # fmt: skip


@pytest.fixture(scope="module", params=["fake", "ca", "pva"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench: Bench
    if request.param == "fake":
        bench = FakeBench(SPECS)
    else:
        bench = RealBench(SPECS, request.param, tmp_path_factory.mktemp(request.param))
    yield bench
    bench.close()


def _put(bench: Bench, name: str, value: object) -> None:
    put = bench.put(name, value)
    until(lambda: bench.over(put), f"the put to {name} is answered")


def _heard(bench: Bench, name: str, count: int) -> list[Heard]:
    until(lambda: len(bench.heard(name)) >= count, f"the handler of {name} gets {count} puts")
    return bench.heard(name)


def _same(found: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        return list(found) == wanted  # type: ignore[call-overload]
    return bool(found == wanted)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_an_output_is_invalid_until_its_first_publish_and_shows_each_value(bench: Bench, kind: str) -> None:
    name, (_, *values) = f"C:OUT:{kind}", OUTPUTS[kind]
    if bench.read(name).timestamp < 1e9:
        assert bench.get(name).severity == Severity.INVALID
        assert bench.read(name).status is Status.UDF
    for value in values:
        bench.publish(name, value)
        seen = bench.get(name)
        assert _same(seen.value, value)
        assert seen.severity == Severity.NO_ALARM
        assert bench.read(name).value == value
        assert type(bench.read(name).value) is type(value)


@pytest.mark.parametrize("dtype", ARRAYS)
def test_an_array_of_each_element_type(bench: Bench, dtype: DType) -> None:
    name, elements = f"C:ARR:{dtype}", ARRAYS[dtype]
    element = "U39" if dtype is DType.STRING else dtype.value
    for value in (elements, elements * 4, []):
        bench.publish(name, np.array(value, dtype=element))
        assert list(bench.read(name).value) == value  # type: ignore[arg-type]
        if value:
            assert _same(bench.get(name).value, value)
        assert bench.get(name).severity == Severity.NO_ALARM


@pytest.mark.parametrize("kind", INPUTS)
def test_an_input_without_value_is_invalid_until_the_first_put(bench: Bench, kind: str) -> None:
    name, (_, *values) = f"C:IN:{kind}", INPUTS[kind]
    if not bench.heard(name):
        assert bench.get(name).severity == Severity.INVALID
    for value in values:
        before = len(bench.heard(name))
        _put(bench, name, value)
        heard = _heard(bench, name, before + 1)[before:]
        assert [each.value for each in heard] == [value]
        assert type(heard[0].value) is type(value)
        assert bench.get(name)[:2] == (value, Severity.NO_ALARM)


@pytest.mark.parametrize("kind", INPUTS)
def test_an_input_with_a_value_begins_with_it(bench: Bench, kind: str) -> None:
    seen = bench.get(f"C:SET:{kind}")
    assert seen[:2] == (INPUTS[kind][1], Severity.NO_ALARM)
    assert seen.time > 1e9


def test_array_inputs(bench: Bench) -> None:
    assert list(bench.get("C:ARRSET").value) == [1.0, 2.0]
    for dtype in (DType.FLOAT64, DType.INT32):
        name = f"C:ARRIN:{dtype}"
        _put(bench, name, np.array([3, 4, 5], dtype=dtype.value))
        (heard,) = _heard(bench, name, 1)
        assert heard.value.dtype == np.dtype(dtype.value)
        assert list(heard.value) == [3, 4, 5]


def test_first_values_of_outputs_are_shown_invalid(bench: Bench) -> None:
    assert bench.get("C:FIRST")[:2] == (4.5, Severity.INVALID)
    assert bench.get("C:FIRST:TEXT")[:2] == ("to begin with", Severity.INVALID)


@pytest.mark.parametrize("kind", [*OUTPUTS, "ARR"])
def test_clients_cannot_write_an_output(bench: Bench, kind: str) -> None:
    name = f"C:RO:{kind}"
    value = np.array([1.0]) if kind == "ARR" else OUTPUTS[kind][1]
    bench.publish(name, value, Severity.MINOR, Status.SOFT, "kept", 1_500_000_000.5)
    before = bench.read(name)
    assert bench.refused(bench.put(name, np.array([2.0]) if kind == "ARR" else OUTPUTS[kind][2]))
    after = bench.read(name)
    assert np.array_equal(after.value, before.value)  # type: ignore[arg-type]
    assert (after.severity, after.status, after.timestamp, after.message) == (
        Severity.MINOR, Status.SOFT, 1_500_000_000.5, "kept",
    )  # fmt: skip
    assert bench.get(name).time == pytest.approx(1_500_000_000.5)


def test_severity_status_reason_and_time_come_with_the_value(bench: Bench) -> None:
    bench.publish("C:QUALITY", 3.0, Severity.MAJOR, Status.COMM, "pump does not answer", 1_600_000_000.25)
    reading = bench.read("C:QUALITY")
    assert (reading.value, reading.severity, reading.status) == (3.0, Severity.MAJOR, Status.COMM)
    assert (reading.message, reading.timestamp) == ("pump does not answer", 1_600_000_000.25)
    assert bench.get("C:QUALITY") == (3.0, Severity.MAJOR, pytest.approx(1_600_000_000.25))
    bench.publish("C:QUALITY", 3.0)
    reading = bench.read("C:QUALITY")
    assert (reading.severity, reading.status, reading.message) == (Severity.NO_ALARM, Status.NO_ALARM, "")
    assert reading.timestamp > 1_600_000_001


def test_an_alarm_is_told_of_when_the_value_stays_and_an_equal_publish_only_moves_the_time(
    bench: Bench,
) -> None:
    bench.publish("C:SAME", 1.0)
    bench.monitor("C:SAME")
    bench.publish("C:SAME", 1.0, Severity.INVALID, Status.COMM, "gone")
    until(lambda: bench.seen("C:SAME")[-1][:2] == (1.0, Severity.INVALID), "INVALID is told")
    bench.publish("C:SAME", 1.0)
    until(lambda: bench.seen("C:SAME")[-1][:2] == (1.0, Severity.NO_ALARM), "NO_ALARM is told")
    bench.publish("C:SAME", 1.0, timestamp=1_700_000_000.0)
    assert bench.get("C:SAME").time == 1_700_000_000.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_are_invalid(bench: Bench, value: float) -> None:
    bench.publish("C:NAN", value)
    seen = bench.get("C:NAN")
    assert seen.severity == Severity.INVALID
    assert math.isnan(seen.value) if math.isnan(value) else seen.value == value
    bench.publish("C:NAN", 1.0)
    assert bench.get("C:NAN")[:2] == (1.0, Severity.NO_ALARM)


@pytest.mark.parametrize("name", ["C:LIMITS", "C:LIMITS:INT"])
@pytest.mark.parametrize(
    ("value", "severity", "status"),
    [
        (-20, Severity.MAJOR, Status.LOLO),
        (-10, Severity.MINOR, Status.LOW),
        (0, Severity.NO_ALARM, Status.NO_ALARM),
        (10, Severity.MINOR, Status.HIGH),
        (25, Severity.MAJOR, Status.HIHI),
    ],
)
def test_limits_of_the_record_work(
    bench: Bench, name: str, value: int, severity: Severity, status: Status
) -> None:
    bench.publish(name, value if name.endswith("INT") else float(value))
    reading = bench.read(name)
    assert (reading.severity, reading.status) == (severity, status)


def test_the_worse_of_limit_and_publisher_wins(bench: Bench) -> None:
    bench.publish("C:LIMITS", 12.0, Severity.MAJOR, Status.COMM, "link")
    assert bench.read("C:LIMITS").status is Status.COMM
    bench.publish("C:LIMITS", 22.0, Severity.MINOR, Status.COMM, "link")
    assert (bench.read("C:LIMITS").status, bench.read("C:LIMITS").message) == (Status.HIHI, "")
    bench.publish("C:LIMITS", 12.0, Severity.MINOR, Status.COMM, "link")
    assert bench.read("C:LIMITS").status is Status.COMM


def test_hysteresis_holds_a_limit(bench: Bench) -> None:
    found = []
    for value in (5.0, 10.0, 9.0, 7.0, 9.0):
        bench.publish("C:HYST", value)
        found.append(bench.read("C:HYST").severity)
    none, minor = Severity.NO_ALARM, Severity.MINOR
    assert found == [none, minor, minor, none, none]


def test_states_have_severities(bench: Bench) -> None:
    bench.publish("C:STATE", 2)
    assert (bench.read("C:STATE").severity, bench.read("C:STATE").status) == (Severity.MAJOR, Status.STATE)
    bench.publish("C:STATE", 0)
    assert bench.read("C:STATE").severity is Severity.NO_ALARM
    bench.publish("C:BIT", True)
    assert bench.read("C:BIT").severity is Severity.MINOR


def test_changes_within_the_deadband_are_not_told(bench: Bench) -> None:
    bench.publish("C:DEADBAND", 10.0)
    bench.monitor("C:DEADBAND")
    for value in (10.5, 11.0, 12.0, 12.5, 14.0):
        bench.publish("C:DEADBAND", value)
    until(lambda: bench.seen("C:DEADBAND")[-1].value == 14.0, "the last value")
    assert [seen.value for seen in bench.seen("C:DEADBAND")][-3:] == [10.0, 12.0, 14.0]
    assert bench.read("C:DEADBAND").value == 14.0


@pytest.mark.parametrize("kind", ["ao", "longout", "int64out"])
def test_drive_limits_clamp(bench: Bench, kind: str) -> None:
    name = f"C:CLAMP:{kind}"
    _put(bench, name, 99)
    _put(bench, name, -99)
    heard = _heard(bench, name, 2)
    assert [each.value for each in heard] == [5, -5]
    assert bench.get(name).value == -5
    bench.assign(name, 77)
    assert bench.get(name).value == 5


def test_a_put_of_the_present_value_reaches_the_handler(bench: Bench) -> None:
    for _ in range(3):
        _put(bench, "C:REPEAT", True)
    heard = _heard(bench, "C:REPEAT", 3)
    assert {each.value for each in heard} == {True}
    assert {each.via for each in heard} == {"pv"}
    assert all(each.user for each in heard)


def test_puts_come_in_order_and_none_is_lost(bench: Bench) -> None:
    puts = [bench.put("C:ORDER", value, callback=True) for value in range(50)]
    until(lambda: all(bench.over(put) for put in puts), "all puts are answered")
    heard = _heard(bench, "C:ORDER", 50)
    assert sorted(each.value for each in heard) == list(range(50))


def test_assign_is_seen_by_subscribers_and_not_by_the_handler(bench: Bench) -> None:
    bench.monitor("C:ASSIGN")
    bench.assign("C:ASSIGN", 8.5)
    until(lambda: bench.seen("C:ASSIGN")[-1].value == 8.5, "the value is told")
    _put(bench, "C:ASSIGN", 9.5)
    until(lambda: bench.heard("C:ASSIGN"), "the handler")
    assert [each.value for each in bench.heard("C:ASSIGN")] == [9.5]


def test_a_value_without_label_is_refused_and_changes_nothing(bench: Bench) -> None:
    _put(bench, "C:ILLEGAL", 9)
    _put(bench, "C:ILLEGAL", 2)
    until(lambda: bench.heard("C:ILLEGAL"), "the handler")
    assert [each.value for each in bench.heard("C:ILLEGAL")] == [2]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_input_keeps_its_value_when_a_client_puts_what_is_no_number(bench: Bench, value: float) -> None:
    name = "C:FINITE"
    before = len(bench.heard(name))
    _put(bench, name, 4.5)
    _put(bench, name, value)
    until(lambda: bench.get(name)[:2] == (4.5, Severity.NO_ALARM), "the last value, without alarm")
    _put(bench, name, 4.5)
    _put(bench, name, 5.5)
    until(lambda: len(bench.heard(name)) >= before + 3, "the handler")
    assert [each.value for each in bench.heard(name)[before:]] == [4.5, 4.5, 5.5]


def test_limits_hold_what_is_no_number(bench: Bench) -> None:
    name = "C:FINITE:LIMITED"
    _put(bench, name, math.inf)
    _put(bench, name, math.nan)
    until(lambda: bench.get(name)[:2] == (10.0, Severity.NO_ALARM), "the highest value, without alarm")


def test_publish_and_assign_are_for_one_kind_each(bench: Bench) -> None:
    with pytest.raises(RecordError, match="assign"):
        bench.publish("C:SET:ao", 1.0)
    with pytest.raises(RecordError, match="publish"):
        bench.assign("C:OUT:ai", 1.0)
    with pytest.raises(KeyError):
        bench.read("C:NOT:THERE")


def test_a_put_with_callback_is_answered_when_it_is_completed(bench: Bench) -> None:
    put = bench.put("C:RUN:ONE", True)
    until(lambda: bench.heard("C:RUN:ONE"), "the handler")
    assert bench.read("C:RUN:ONE").value is True
    assert not bench.over(put)
    bench.complete("C:RUN:ONE", 0)
    bench.complete("C:RUN:ONE", 0)
    until(lambda: bench.over(put), "the put is answered")
    until(lambda: bench.read("C:RUN:ONE").value is False, "the record goes back")
    second = bench.put("C:RUN:ONE", True)
    until(lambda: len(bench.heard("C:RUN:ONE")) == 2, "the second put")
    bench.complete("C:RUN:ONE", 0)
    assert bench.read("C:RUN:ONE").value is True
    bench.complete("C:RUN:ONE", 1)
    until(lambda: bench.over(second), "the second put is answered")


def test_subscribers_see_a_run_begin_and_end(bench: Bench) -> None:
    bench.monitor("C:RUN:SEEN")
    bench.put("C:RUN:SEEN", True, callback=False)
    until(lambda: bench.heard("C:RUN:SEEN"), "the handler")
    until(lambda: [seen.value for seen in bench.seen("C:RUN:SEEN")] == [0, 1], "1 is told")
    bench.complete("C:RUN:SEEN", 0)
    until(lambda: [seen.value for seen in bench.seen("C:RUN:SEEN")] == [0, 1, 0], "0 is told")
    assert bench.seen("C:RUN:SEEN")[1].time > 1e9


def test_puts_with_callback_wait_for_their_own_run_and_say_how_many_are_ahead(bench: Bench) -> None:
    puts = []
    for expected in range(3):
        puts.append(bench.put("C:RUN:QUEUE", True, channel=expected))
        if not expected:
            until(lambda: bench.heard("C:RUN:QUEUE"), "the first is heard")
    for index in range(3):
        heard = until(
            lambda index=index: len(found := bench.heard("C:RUN:QUEUE")) == index + 1 and found,
            f"put {index}",
        )
        assert not any(bench.over(put) for put in puts[index + 1 :])
        assert heard[index].value is True
        assert not heard[index].ignored
        bench.complete("C:RUN:QUEUE", index)
    until(lambda: all(bench.over(put) for put in puts), "all are answered")
    assert sorted(each.ahead for each in bench.heard("C:RUN:QUEUE")) == [0, 1, 2]
    assert all(each.user for each in bench.heard("C:RUN:QUEUE"))


def test_a_plain_put_during_a_run_changes_nothing_and_is_told(bench: Bench) -> None:
    name = "C:RUN:PLAIN"
    put = bench.put(name, True)
    until(lambda: bench.heard(name), "the first is heard")
    late = bench.put(name, True, callback=False)
    heard = _heard(bench, name, 2)
    assert heard[1].ignored
    assert heard[1].ahead == 1
    until(lambda: bench.over(late), "it is answered at once")
    assert not bench.over(put)
    bench.complete(name, 0)
    until(lambda: bench.over(put), "the first is answered")
    until(lambda: bench.read(name).value is False, "the record goes back")
    again = bench.put(name, True)
    until(lambda: len(bench.heard(name)) == 3, "a new run")
    assert not bench.heard(name)[2].ignored
    bench.complete(name, 2)
    until(lambda: bench.over(again), "the new run is answered")


def test_a_put_of_zero_needs_no_completion(bench: Bench) -> None:
    _put(bench, "C:RUN:ZERO", False)
    (heard,) = _heard(bench, "C:RUN:ZERO", 1)
    assert heard.value is False


def test_puts_are_traced_with_who_and_what_was_before(bench: Bench) -> None:
    _put(bench, "C:TRACE", 2)
    (trace,) = until(lambda: bench.traces("C:TRACE"), "the trace")
    assert (trace.old, trace.new) == ("Red", "Blue")
    assert trace.actor.user
    assert trace.actor.origin
    assert trace.actor.via == "pv"
    bench.assign("C:TRACE", 1)
    assert len(bench.traces("C:TRACE")) == 1


def test_who_watches_gets_the_present_reading_and_each_change_of_value_or_quality(bench: Bench) -> None:
    name = "C:WATCH"
    bench.publish(name, 1.0)
    bench.watch(name)
    until(lambda: [each.value for each in bench.watched(name)] == [1.0], "the present value")
    for value, severity in ((2.0, Severity.NO_ALARM), (12.0, Severity.MINOR), (3.0, Severity.NO_ALARM)):
        bench.publish(name, value)
        last = until(
            lambda value=value: (found := bench.watched(name)[-1]).value == value and found, "it is told"
        )
        assert (last.severity, last.connected) == (severity, True)
    bench.publish(name, 3.0, Severity.INVALID, Status.COMM, "gone", 1_600_000_000.25)
    last = until(lambda: not (found := bench.watched(name)[-1]).ok and found, "the quality is told")
    assert (last.value, last.status, last.message, last.timestamp) == (
        3.0,
        Status.COMM,
        "gone",
        1_600_000_000.25,
    )
    assert len(bench.watched(name)) == 5
    bench.unwatch(name)
    bench.publish(name, 9.0)
    bench.watch(name)
    until(lambda: bench.watched(name)[-1].value == 9.0, "a second watch begins with the present value")
    assert len(bench.watched(name)) == 6
    bench.unwatch(name)


def test_who_watches_an_input_gets_what_clients_and_the_host_wrote_with_limits_applied(bench: Bench) -> None:
    name = "C:WATCH:IN"
    bench.watch(name)
    until(lambda: bench.watched(name), "the present value")
    _put(bench, name, 99.0)
    until(lambda: bench.watched(name)[-1].value == 5.0, "the put of a client")
    bench.assign(name, 2.0)
    until(lambda: bench.watched(name)[-1].value == 2.0, "the value from inside")
    bench.unwatch(name)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("C:WATCH:TEXT", ("long " * 30, "long " * 31)),
        ("C:WATCH:ARR", (np.array([1.0]), np.array([1.0, 2.0]))),
    ],
)
def test_long_texts_and_arrays_can_be_watched(bench: Bench, name: str, values: tuple[object, object]) -> None:
    bench.watch(name)
    for value in values:
        bench.publish(name, value)
        until(
            lambda value=value: any(np.array_equal(told.value, value) for told in bench.watched(name)[-1:]),
            "it is told",
        )
    bench.unwatch(name)


def test_nobody_can_watch_what_is_not_there(bench: Bench) -> None:
    with pytest.raises(KeyError):
        bench.watch("C:NOT:THERE")
