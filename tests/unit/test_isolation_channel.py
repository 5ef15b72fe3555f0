"""What crosses between host and worker arrives as it was, in whatever pieces."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocmng.config import parse_config
from iocmng.runtime.isolation.channel import (
    MAX_MESSAGE,
    ChannelError,
    Frames,
    encode,
    from_reading,
    to_reading,
)
from iocmng.runtime.isolation.greeting import Greeting, greeting
from iocmng.spec import InstanceSpec, Kind, LogicSpec, PluginRef
from iocmng.spec.build import describe
from iocmng.values import Reading, Severity, Status

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)
FEW = settings(max_examples=25, deadline=None)
DTYPES = ["float64", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def crossed(thing: Any) -> Any:
    ((word, found),) = Frames().feed(encode(["x", thing]))
    assert word == "x"
    return found


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return type(one) is type(other) and one == other


@FEW
@given(PLAIN)
def test_plain_values_arrive_as_they_were(thing: Any) -> None:
    assert same(thing, crossed(thing))


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, math.nan, -0.0, 2**63, -(2**63) - 1, 2**200, "\ud800", "\0"]
)
def test_values_that_other_codecs_lose(value: Any) -> None:
    found = crossed(value)
    assert same(value, found)
    if value == 0.0 and isinstance(value, float):
        assert math.copysign(1.0, found) == -1.0


@FEW
@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(min_value=0, max_value=127), max_size=20),
    st.booleans(),
)
def test_arrays_keep_their_type_and_shape(dtype: str, values: list[int], square: bool) -> None:
    array = np.array(values * (4 if square else 1), dtype=dtype)
    if square:
        array = array.reshape(4, -1)
    found = crossed(array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)
    found[...] = 1


def test_arrays_of_texts_and_of_what_is_not_finite() -> None:
    texts = np.array(["", "µm", "a" * 39], dtype="U39")
    assert np.array_equal(crossed(texts), texts)
    odd = np.array([math.nan, math.inf, -0.0])
    assert np.array_equal(crossed(odd), odd, equal_nan=True)
    assert crossed(np.array([], dtype="U39")).shape == (0,)
    mixed = np.array(["a", None], dtype=object)
    assert list(crossed(mixed)) == ["a", None]


def test_numpys_scalars_are_plain_numbers() -> None:
    assert crossed([np.float32(1.5), np.int64(3), np.bool_(True), np.array(2.0)]) == [1.5, 3, True, 2.0]


@FEW
@given(st.lists(PLAIN, min_size=1, max_size=5), st.data())
def test_torn_frames_are_put_together(things: list[Any], data: st.DataObject) -> None:
    stream = b"".join(encode(["n", thing]) for thing in things)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    frames = Frames()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += [thing for _, thing in frames.feed(stream[begin:end])]
    assert same(things, found)


@pytest.mark.parametrize(
    "stream",
    [
        (MAX_MESSAGE + 1).to_bytes(4, "big"),
        (1).to_bytes(4, "big") + b"\xc1",
        (2).to_bytes(4, "big") + b"\x01\x02",
        (1).to_bytes(4, "big") + b"\x05",
        (1).to_bytes(4, "big") + b"\x90",
        (6).to_bytes(4, "big") + b"\x92\xa1x\xd4\x63\x00",
    ],
)
def test_what_is_no_message_is_refused(stream: bytes) -> None:
    with pytest.raises(ChannelError):
        Frames().feed(stream)


@FEW
@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_refused(stream: bytes) -> None:
    try:
        found = Frames().feed(len(stream).to_bytes(4, "big") + stream)
    except ChannelError:
        return
    assert all(isinstance(message[0], str) for message in found)


def test_what_cannot_cross_is_named() -> None:
    with pytest.raises(TypeError, match="a object cannot cross to another process"):
        encode(["x", object()])
    assert crossed({1, 2}) in ([1, 2], [2, 1])


def test_after_a_refusal_the_next_message_is_whole() -> None:
    with pytest.raises(TypeError):
        encode(["x", [1, 2, object()]])
    assert crossed(5) == 5


@FEW
@given(st.floats(), st.sampled_from(Severity), st.sampled_from(Status), st.text(max_size=5))
def test_readings_keep_their_quality(value: float, severity: Severity, status: Status, text: str) -> None:
    reading = Reading(value, severity, status, 1.5, connected=False, message=text, label="On")
    found = to_reading(crossed(from_reading(reading)))
    assert same(value, found.value)
    assert (found.severity, found.status, found.timestamp) == (severity, status, 1.5)
    assert (found.connected, found.message, found.label) == (False, text, "On")
    assert isinstance(found.severity, Severity)


def described(text: str) -> InstanceSpec:
    loaded = parse_config(text, "c.yaml")
    assert loaded.config is not None
    plugin = PluginRef(name="p", target="iocmng_dir_p:P", folder="/plugins/p", origin="directory")
    spec, _ = describe(loaded.config, plugin, kind=Kind.TASK, name="p", host_prefix="H", class_name="P")
    assert spec is not None
    return spec


def test_a_description_arrives_as_it_was_without_its_logic() -> None:
    spec = described(
        """
        isolation: process
        memory_limit: 100
        parameters: {interval: 0.5, curve: [1.5, .nan, {a: null}]}
        arguments:
          inputs: {A: {type: float, link: "X:Y", alarm: {high: 3}}, E: {type: enum, labels: [a, b]}}
          outputs: {F: {type: float, value: 2, fail_safe: 1, link: "ca://X:Z"}, S: {type: string}}
        transforms: [{output: F, expression: "A + 1"}]
        supervision: {on_stall: restart}
        """
    )
    sent = greeting(spec, {"interval": 0.5}, 0.25, counters={"cycles": 3})
    found = Greeting.of(crossed(sent.item()))
    assert found.wired
    assert found.spec.logic == LogicSpec()
    assert repr(found.spec.ports) == repr(spec.ports)
    assert found.spec.defaults == spec.defaults
    assert found.spec.supervision == spec.supervision
    assert found.spec.plugin == spec.plugin
    assert found.spec.isolation is spec.isolation
    assert repr(found.spec.parameters) == repr(dict(spec.parameters))
    assert (found.counters, found.beat, found.values) == ({"cycles": 3}, 0.25, {"interval": 0.5})


def test_dates_of_a_config_stay_dates() -> None:
    assert crossed(datetime.date(2026, 1, 2)) == datetime.date(2026, 1, 2)


def test_neither_messages_nor_a_worker_import_what_is_heavy() -> None:
    program = (
        "import sys, iocmng.worker.main as worker; "
        "from iocmng.runtime.isolation.channel import Frames, encode; Frames().feed(encode(['x', 1.5, 'a'])); "
        "heavy = {'numpy', 'p4p', 'epics', 'softioc', 'cothread', 'fastapi', 'pydantic', 'yaml'}; "
        "print(*heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("", "")
