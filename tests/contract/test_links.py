"""One suite for the clients of Channel Access and PV Access and for the fake in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from links_bench import FakeSource, Recorder, RemoteClient, Source, free_ports, values, wait_for

from iocmng.errors import LinkError, LinkRefused, LinkTimeout, LinkValueError
from iocmng.testing.links import FakeLinks
from iocmng.values import Reading, Severity, Status


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Iterator[SimpleNamespace]:
    environment = free_ports()
    source = Source(tmp_path_factory.mktemp("source"), environment)
    clients = {provider: RemoteClient(provider, environment) for provider in ("ca", "pva")}
    yield SimpleNamespace(source=source, **clients)
    exits = {provider: client.end() for provider, client in clients.items()}
    source.go_on()
    source.kill()
    assert exits == {"ca": 0, "pva": 0}


@pytest.fixture(params=["ca", "pva", "fake"])
def bench(request) -> SimpleNamespace:
    """A source and a client of it."""
    if request.param == "fake":
        links = FakeLinks()
        return SimpleNamespace(source=FakeSource(links), client=Recorder(links), fake=True, key="key")
    real = request.getfixturevalue("real")
    client = getattr(real, request.param)
    return SimpleNamespace(source=real.source, client=client, fake=False, key=request.node.name, real=real)


class TestGet:
    @pytest.mark.parametrize(
        ("name", "expected"), [("INT", 7), ("STRING", "beam on"), ("BOOL", 1), ("ENUM", 1)]
    )
    def test_scalars(self, bench, name, expected):
        bench.source.set(name, expected)
        reading = wait_for(lambda: _with_value(bench, name, expected))
        assert type(reading.value) is type(expected)
        assert reading.ok
        assert abs(reading.timestamp - time.time()) < 60

    @pytest.mark.parametrize(
        ("name", "index", "label"), [("ENUM", 2, "Hold"), ("BOOL", 1, "Open"), ("INT", 7, "")]
    )
    def test_the_label_of_a_state(self, bench, name, index, label):
        bench.source.set(name, index)
        assert wait_for(lambda: _with_value(bench, name, index)).label == label
        bench.client.watch(bench.key, bench.source.pv(name))
        wait_for(lambda: values(bench.client, bench.key) == [index])
        assert bench.client.events(bench.key)[-1].label == label
        bench.client.unwatch(bench.key)

    def test_arrays_are_read_only(self, bench):
        numbers = bench.client.get(bench.source.pv("ARRAY")).value
        assert isinstance(numbers, np.ndarray)
        assert list(numbers) == [1.0, 2.0, 3.0]
        texts = bench.client.get(bench.source.pv("NAMES")).value
        assert texts.tolist() == ["one", "two"]
        if not bench.fake:
            bench.client.watch(bench.key, bench.source.pv("ARRAY"))
            assert wait_for(lambda: values(bench.client, bench.key))[0].tolist() == [1.0, 2.0, 3.0]

    def test_severity_and_status(self, bench):
        bench.source.set("FLOAT", 150.0)
        reading = wait_for(lambda: _with_value(bench, "FLOAT", 150.0))
        assert (reading.severity, reading.status) == (Severity.MAJOR, Status.HIHI)
        bench.source.set("FLOAT", 1.5)
        assert wait_for(lambda: _with_value(bench, "FLOAT", 1.5)).severity is Severity.NO_ALARM

    def test_a_pv_that_nobody_serves(self, bench):
        with pytest.raises(LinkTimeout, match="NOBODY") as caught:
            bench.client.get("NOBODY", timeout=0.5)
        assert isinstance(caught.value, TimeoutError)

    def test_dead_ones_do_not_delay_the_others(self, bench):
        dead = [f"DEAD{number}" for number in range(8)]
        live = bench.source.pv("INT")
        outcomes, seconds = bench.client.timed_get_many([*dead[:4], live, *dead[4:]], timeout=1.0)
        assert [isinstance(outcome, LinkTimeout) for outcome in outcomes] == [*[True] * 4, False, *[True] * 4]
        assert isinstance(outcomes[4], Reading)
        assert outcomes[4].ok
        assert seconds < 5.0


def _with_value(bench, name: str, value: object) -> Reading | None:
    reading = bench.client.get(bench.source.pv(name))
    return reading if reading.value == value else None


class TestPut:
    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("TARGET", 2.5, 2.5),
            ("TARGET", 3, 3.0),
            ("TARGET", np.float32(0.5), 0.5),
            ("TARGET", "4.25", 4.25),
            ("INT", True, 1),
            ("INT", 7, 7),
            ("STRING", "off", "off"),
            ("STRING", "beam on", "beam on"),
            ("BOOL", False, 0),
            ("BOOL", "Open", 1),
            ("ENUM", "Hold", 2),
            ("ENUM", 1, 1),
        ],
    )
    def test_scalars(self, bench, name, value, expected):
        bench.client.put(bench.source.pv(name), value)
        assert bench.client.get(bench.source.pv(name)).value == expected

    def test_arrays(self, bench):
        for value in ([4.0, 5.0], np.array([1.0, 2.0, 3.0])):
            bench.client.put(bench.source.pv("ARRAY"), value)
            assert list(bench.client.get(bench.source.pv("ARRAY")).value) == list(value)
        bench.client.put(bench.source.pv("NAMES"), ["one", "two"])
        assert list(bench.client.get(bench.source.pv("NAMES")).value) == ["one", "two"]

    def test_to_the_end_of_processing(self, bench):
        bench.client.put(bench.source.pv("TARGET"), 9.5, wait=True)
        assert bench.client.get(bench.source.pv("TARGET")).value == 9.5

    def test_refused(self, bench):
        with pytest.raises(LinkRefused, match="READONLY"):
            bench.client.put(bench.source.pv("READONLY"), 1.0)
        assert bench.client.get(bench.source.pv("READONLY")).value == 4.5

    @pytest.mark.parametrize(("name", "value"), [("ENUM", "Nonsense"), ("TARGET", "many"), ("TARGET", None)])
    def test_a_value_that_the_pv_cannot_take(self, bench, name, value):
        with pytest.raises((LinkValueError, LinkError)) as caught:
            bench.client.put(bench.source.pv(name), value)
        assert not isinstance(caught.value, LinkTimeout)
        assert bench.client.get(bench.source.pv(name)).connected

    def test_nobody_there(self, bench):
        with pytest.raises(LinkTimeout, match="NOBODY"):
            bench.client.put("NOBODY", 1, timeout=0.5)

    def test_posted_values_end_with_the_latest(self, bench):
        pv = bench.source.pv("TARGET")
        bench.client.post(pv, -1.0)
        wait_for(lambda: bench.client.get(pv).value == -1.0)
        bench.client.watch(bench.key, pv)
        wait_for(lambda: values(bench.client, bench.key))
        seconds = bench.client.timed_posts(pv, [float(number) for number in range(200)])
        assert seconds < 5.0
        wait_for(lambda: values(bench.client, bench.key)[-1] == 199.0)
        seen = values(bench.client, bench.key)
        assert seen == sorted(seen)
        bench.client.unwatch(bench.key)

    def test_a_post_that_cannot_be_written_is_silent(self, bench):
        bench.client.post("NOBODY", 1, timeout=0.2)
        bench.client.post(bench.source.pv("READONLY"), 1.0)
        bench.client.post(bench.source.pv("ENUM"), "Nonsense")
        assert bench.client.get(bench.source.pv("READONLY")).value == 4.5


class TestMonitor:
    def test_first_what_is_known_then_every_change_in_order(self, bench):
        bench.client.put(bench.source.pv("TARGET"), 0.0)
        bench.client.watch(bench.key, bench.source.pv("TARGET"))
        wait_for(lambda: values(bench.client, bench.key) == [0.0])
        for number in range(1, 21):
            bench.client.put(bench.source.pv("TARGET"), float(number))
        wait_for(lambda: values(bench.client, bench.key)[-1] == 20.0)
        assert values(bench.client, bench.key) == [float(number) for number in range(21)]
        bench.client.unwatch(bench.key)

    def test_not_connected_is_told_at_once(self, bench):
        bench.client.watch(bench.key, "NOBODY")
        (reading,) = wait_for(lambda: bench.client.events(bench.key))
        assert (reading.value, reading.connected, reading.severity) == (None, False, Severity.INVALID)
        bench.client.unwatch(bench.key)

    def test_a_second_subscriber_gets_the_present_value_and_a_failing_one_hurts_nobody(self, bench):
        pv = bench.source.pv("TARGET")
        bench.client.put(pv, 1.0)
        bench.client.watch(f"{bench.key}-fails", pv, fails=not bench.fake)
        wait_for(lambda: values(bench.client, f"{bench.key}-fails"))
        bench.client.watch(f"{bench.key}-second", pv)
        wait_for(lambda: values(bench.client, f"{bench.key}-second") == [1.0])
        bench.client.put(pv, 2.0)
        for key in (f"{bench.key}-fails", f"{bench.key}-second"):
            wait_for(lambda key=key: values(bench.client, key)[-1] == 2.0)
            bench.client.unwatch(key)

    def test_after_the_undo_nothing_comes(self, bench):
        pv = bench.source.pv("TARGET")
        bench.client.watch(f"{bench.key}-ended", pv)
        bench.client.watch(f"{bench.key}-goes-on", pv)
        wait_for(lambda: values(bench.client, f"{bench.key}-goes-on"))
        wait_for(lambda: values(bench.client, f"{bench.key}-ended"))
        bench.client.unwatch(f"{bench.key}-ended")
        seen = len(bench.client.events(f"{bench.key}-ended"))
        bench.client.put(pv, 77.0)
        wait_for(lambda: values(bench.client, f"{bench.key}-goes-on")[-1] == 77.0)
        assert len(bench.client.events(f"{bench.key}-ended")) == seen
        bench.client.unwatch(f"{bench.key}-goes-on")

    def test_a_subscription_made_again_starts_with_the_present_value(self, bench):
        pv = bench.source.pv("TARGET")
        for number in range(3):
            bench.client.put(pv, float(number))
            bench.client.watch(f"{bench.key}-{number}", pv)
            wait_for(lambda number=number: values(bench.client, f"{bench.key}-{number}") == [float(number)])
            bench.client.unwatch(f"{bench.key}-{number}")


class TestWithoutWaiting:
    def test_questions_are_answered_and_dead_ones_delay_nobody(self, bench):
        live = bench.source.pv("STRING")
        bench.client.put(live, "beam on")
        answers, seconds = bench.client.asked(["DEAD1", live, "DEAD2"], timeout=1.0)
        assert answers[live].value == "beam on"
        assert all(isinstance(answers[name], LinkError) for name in ("DEAD1", "DEAD2"))
        assert seconds < 0.5

    def test_a_pv_known_not_to_be_connected_is_answered_at_once(self, bench):
        bench.client.watch(bench.key, "NOBODY")
        try:
            start = time.monotonic()
            answers, _ = bench.client.asked(["NOBODY"], timeout=3.0)
            assert isinstance(answers["NOBODY"], LinkError)
            first = time.monotonic() - start
            start = time.monotonic()
            answers, _ = bench.client.asked(["NOBODY"], timeout=30.0)
            assert isinstance(answers["NOBODY"], LinkError)
            assert not isinstance(answers["NOBODY"], LinkTimeout)
            assert first < 20.0
            assert time.monotonic() - start < 10.0
        finally:
            bench.client.unwatch(bench.key)

    def test_values_are_sent_in_order_and_all_are_told(self, bench):
        pv = bench.source.pv("TARGET")
        assert bench.client.sent(pv, [1.0, 2.0, 3.0]) == [None] * 3
        assert bench.client.get(pv).value == 3.0
        (refused,) = bench.client.sent(bench.source.pv("READONLY"), [1.0])
        assert isinstance(refused, LinkRefused)
        (late,) = bench.client.sent("NOBODY", [1.0], timeout=0.3)
        assert isinstance(late, LinkTimeout)
        (wrong,) = bench.client.sent(bench.source.pv("TARGET"), [None])
        assert isinstance(wrong, (LinkValueError, LinkError))

    def test_listeners_get_what_subscribers_get(self, bench):
        pv = bench.source.pv("TARGET")
        bench.client.put(pv, 0.0)
        bench.client.watch(bench.key, pv, directly=True)
        wait_for(lambda: values(bench.client, bench.key) == [0.0])
        bench.client.watch(f"{bench.key}-second", pv, directly=True, fails=not bench.fake)
        for number in range(1, 6):
            bench.client.put(pv, float(number))
        wait_for(lambda: values(bench.client, bench.key)[-1] == 5.0)
        assert values(bench.client, bench.key) == [float(number) for number in range(6)]
        wait_for(lambda: values(bench.client, f"{bench.key}-second")[-1] == 5.0)
        if not bench.fake:
            assert not any(name.endswith("callbacks") for name in bench.client.threads(bench.key))
        bench.client.unwatch(f"{bench.key}-second")
        bench.client.unwatch(bench.key)
        seen = len(bench.client.events(bench.key))
        bench.client.put(pv, 6.0)
        assert bench.client.get(pv).value == 6.0
        assert len(bench.client.events(bench.key)) == seen


@pytest.fixture(params=["ca", "pva"])
def wired(request, real) -> SimpleNamespace:
    """Only the real ones."""
    client = getattr(real, request.param)
    return SimpleNamespace(source=real.source, client=client, key=request.node.name, real=real)


def test_callbacks_run_in_a_thread_of_the_client_and_a_slow_one_gets_the_latest(wired):
    pv = wired.source.pv("TARGET")
    wired.client.put(pv, 0.0)
    wired.client.watch(wired.key, pv, delay=0.01)
    wait_for(lambda: values(wired.client, wired.key))
    for number in range(1, 60):
        wired.client.put(pv, float(number))
    wait_for(lambda: values(wired.client, wired.key)[-1] == 59.0)
    assert all(name.endswith("callbacks") for name in wired.client.threads(wired.key))
    wired.client.unwatch(wired.key)


def test_schemes_choose_the_provider_in_one_batch(real):
    real.ca.put(real.source.pv("INT"), 7)
    real.ca.put(real.source.pv("STRING"), "beam on")
    pvs = [f"{scheme}://{real.source.pv(name)}" for scheme in ("ca", "pva") for name in ("INT", "STRING")]
    outcomes, _ = real.pva.timed_get_many([*pvs, "ca://DEAD"], timeout=2.0)
    assert [outcome.value for outcome in outcomes[:4]] == [7, "beam on", 7, "beam on"]
    assert isinstance(outcomes[4], LinkTimeout)


def test_long_texts_over_channel_access(real):
    name = real.source.pv("TEXT")
    words = "a text that is longer than forty characters of Channel Access"
    real.ca.put(f"{name}.VAL$", words)
    assert real.ca.get(f"{name}.VAL$").value == words
    assert real.pva.get(name).value == words
    with pytest.raises(LinkValueError, match="39"):
        real.ca.put(name, words)


def test_empty_arrays(wired):
    pv = wired.source.pv("INTS")
    wired.source.set("INTS", [])
    reading = wait_for(lambda: not len((found := wired.client.get(pv)).value) and found)
    assert reading.value.dtype == np.int32
    wired.source.set("INTS", [1, 2, 3])
    wait_for(lambda: wired.client.get(pv).value.tolist() == [1, 2, 3])


def test_a_text_into_an_array_of_characters(real):
    name = real.source.pv("BYTES")
    for client in (real.ca, real.pva):
        client.put(name, "path/of a file")
        assert client.get(name).value.tobytes().split(b"\0", 1)[0] == b"path/of a file"


def test_more_than_the_pv_holds(real):
    with pytest.raises(LinkValueError, match="17 elements, the PV holds 16"):
        real.ca.put(real.source.pv("ARRAY"), [0.0] * 17)


def test_whole_numbers_of_64_bits(real):
    name = real.source.pv("BIG")
    real.pva.put(name, 2**41 + 1)
    assert real.pva.get(name).value == 2**41 + 1
    assert real.ca.get(name).value == 2**41 + 1


def test_after_close_everything_is_refused():
    links = FakeLinks()
    links.close()
    with pytest.raises(LinkError, match="closed"):
        links.get("X")
