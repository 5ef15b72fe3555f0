"""Linked inputs: subscriptions, batches, age, buffers and what does not fit, on fake PVs and a virtual clock."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from support.wiring_bench import AgeBy, WiringBench, polled, port

from iocmng.runtime.wiring.inputs import DEPTH, FIRST_PATIENCE, PATIENCE
from iocmng.values import PortType, Severity, Status

S, I, B, E, A = PortType.STRING, PortType.INT, PortType.BOOL, PortType.ENUM, PortType.ARRAY  # noqa: E741


@pytest.fixture
def bench() -> Iterator[WiringBench]:
    bench = WiringBench()
    yield bench
    bench.close()


class TestSubscribed:
    def test_unknown_until_the_source_answers_then_every_change(self, bench: WiringBench) -> None:
        inputs = bench.inputs(port("p", "ca://X"))
        assert inputs.reading("p").value is None
        assert not inputs.reading("p").ok
        assert inputs.connected == {"p": False}
        assert inputs.complaint == "p: X not connected"
        assert inputs.age("p") == math.inf
        assert inputs.view("p").age is None
        bench.links.serve("ca://X", 2.5, Severity.MINOR, Status.HIGH)
        reading = inputs.reading("p")
        assert (reading.value, reading.severity, reading.status) == (2.5, Severity.MINOR, Status.HIGH)
        assert reading.timestamp == bench.clock.time()
        assert inputs.connected == {"p": True}
        assert inputs.complaint == ""
        assert bench.changes[-1] == "p"

    def test_an_outage_keeps_the_value_marks_it_and_ends_by_itself(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 2.5)
        inputs = bench.inputs(port("p", "ca://X"))
        bench.links.disconnect("ca://X")
        reading = inputs.reading("p")
        assert (reading.value, reading.severity, reading.connected) == (2.5, Severity.INVALID, False)
        assert "p: X" in inputs.complaint
        bench.links.reconnect("ca://X")
        assert inputs.reading("p").ok
        assert inputs.complaint == ""
        assert [reading.connected for _, reading in inputs.take_changed()] == [True]

    def test_two_ports_on_one_pv_and_a_source_that_says_invalid(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 7, Severity.INVALID, Status.READ)
        inputs = bench.inputs(port("p", "ca://X"), port("n", "ca://X", type=I))
        assert inputs.reading("p").value == 7.0
        assert inputs.reading("n").value == 7
        assert inputs.complaint == "p: X is INVALID (READ); n: X is INVALID (READ)"

    def test_trigger_inputs_keep_every_reading_others_the_latest(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 0)
        bench.links.serve("ca://Y", 0)
        inputs = bench.inputs(port("p", "ca://X", trigger=True), port("q", "ca://Y"))
        inputs.take_changed()
        for number in range(1, 4):
            bench.links.serve("ca://X", number)
            bench.links.serve("ca://Y", number)
        taken = [(name, reading.value) for name, reading in inputs.take_changed()]
        assert taken == [("p", 1.0), ("p", 2.0), ("p", 3.0), ("q", 3.0)]
        assert inputs.take_changed() == []
        assert inputs.dropped == 0

    def test_beyond_the_depth_only_the_latest_of_each_is_kept_and_counted(self, bench: WiringBench) -> None:
        inputs = bench.inputs(port("p", "ca://X", trigger=True), port("q", "ca://Y", trigger=True))
        bench.links.serve("ca://Y", 5.0)
        for number in range(DEPTH + 20):
            bench.links.serve("ca://X", float(number))
        taken = [(name, reading.value) for name, reading in inputs.take_changed()]
        assert ("q", 5.0) in taken
        assert taken[-1] == ("p", DEPTH + 19.0)
        # What was told before the first value counts too.
        assert inputs.dropped + len(taken) == DEPTH + 20 + 1 + 2
        assert inputs.view("p").dropped > 200

    def test_after_close_nothing_is_called_and_no_subscription_is_left(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(port("p", "ca://X", max_age=1.0))
        assert bench.links.listeners("ca://X") == 1
        inputs.close()
        bench.changes.clear()
        bench.links.serve("ca://X", 2.0)
        bench.step(5.0)
        assert bench.changes == []
        assert bench.links.listeners("ca://X") == 0


class TestAge:
    def test_a_quiet_healthy_source_stays_valid(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(port("p", "ca://X", max_age=4.0))
        bench.changes.clear()
        bench.step(60.0)
        assert inputs.reading("p").ok
        assert bench.changes == []
        assert 25 <= bench.links.asked.count("ca://X") <= 31

    def test_a_source_that_hangs_is_too_old_until_it_answers_again(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(port("p", "ca://X", max_age=4.0), timeout=1.0)
        bench.links.hang("ca://X")
        bench.step(3.9)
        assert inputs.reading("p").ok
        bench.changes.clear()
        bench.step(0.2)
        reading = inputs.reading("p")
        assert (reading.value, reading.severity, reading.status) == (1.0, Severity.INVALID, Status.TIMEOUT)
        assert reading.message == "older than 4 s"
        assert reading.connected
        assert bench.changes == ["p"]
        assert inputs.take_changed()[-1][1].status is Status.TIMEOUT
        assert inputs.complaint == "p: X older than 4 s"
        assert inputs.age("p") == pytest.approx(4.1)
        bench.links.go_on("ca://X")
        bench.step(2.1)
        assert inputs.reading("p").ok
        assert inputs.take_changed()[-1][1].ok

    def test_by_the_sources_own_time_stamp(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(port("p", "ca://X", max_age=4.0, age_by=AgeBy.SOURCE))
        bench.step(4.1)
        assert inputs.reading("p").status is Status.TIMEOUT
        bench.links.serve("ca://X", 1.0)
        assert inputs.reading("p").ok
        assert inputs.age("p") == 0.0

    def test_of_a_polled_input_each_answer_counts(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(polled("p", "ca://X", max_age=3.0), timeout=10.0)
        for _ in range(5):
            bench.poll(inputs)
            bench.step(2.0)
            assert inputs.reading("p").ok
        bench.links.hang("ca://X")
        bench.changes.clear()
        assert bench.poll(inputs) == pytest.approx(PATIENCE)
        bench.step(1.0)
        assert inputs.reading("p").status is Status.TIMEOUT
        assert "p" in bench.changes

    def test_an_age_never_looked_at_is_right_all_the_same(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(port("p", "ca://X", max_age=4.0))
        bench.links.disconnect("ca://X")
        bench.step(9.0)
        assert inputs.reading("p").status is Status.COMM


class TestPolled:
    def test_eight_dead_links_never_delay_a_live_one(self, bench: WiringBench) -> None:
        bench.links.serve("ca://LIVE", 1.0)
        dead = [polled(f"d{number}", f"ca://DEAD{number}") for number in range(8)]
        inputs = bench.inputs(*dead[:4], polled("live", "ca://LIVE"), *dead[4:])
        for value in (1.0, 2.0):
            bench.links.serve("ca://LIVE", value)
            assert bench.poll(inputs) == 0.0
            assert inputs.reading("live").value == value
        assert list(inputs.connected.values()) == [False] * 4 + [True] + [False] * 4
        assert inputs.complaint.count("not connected") == 8

    def test_a_hanging_source_costs_its_input_only_and_is_not_waited_for_again(
        self, bench: WiringBench
    ) -> None:
        for pv in ("ca://LIVE", "ca://HANGS"):
            bench.links.serve(pv, 1.0)
        inputs = bench.inputs(polled("live", "ca://LIVE"), polled("hangs", "ca://HANGS"), timeout=3.0)
        assert bench.poll(inputs) == 0.0
        bench.links.hang("ca://HANGS")
        bench.links.serve("ca://LIVE", 2.0)
        assert bench.poll(inputs) == pytest.approx(PATIENCE)
        assert inputs.reading("live").value == 2.0
        assert bench.links.asked.count("ca://HANGS") == 2
        for _ in range(2):
            assert bench.poll(inputs) == 0.0
        bench.step(4.0)
        reading = inputs.reading("hangs")
        assert (reading.value, reading.status, reading.connected) == (1.0, Status.TIMEOUT, False)
        bench.links.go_on("ca://HANGS")
        bench.changes.clear()
        bench.poll(inputs)
        assert inputs.reading("hangs").ok

    def test_never_two_reads_of_one_input_at_a_time_and_a_late_answer_is_told(
        self, bench: WiringBench
    ) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(polled("p", "ca://X"), timeout=30.0)
        bench.poll(inputs)
        bench.links.hang("ca://X")
        for _ in range(3):
            inputs.poll(lambda: None)
        bench.step(1.0)
        assert bench.links.asked.count("ca://X") == 2
        bench.links.serve("ca://X", 2.0)
        bench.changes.clear()
        bench.links.go_on("ca://X")
        assert inputs.reading("p").value == 2.0
        assert bench.changes == ["p"]

    def test_each_at_its_own_rate(self, bench: WiringBench) -> None:
        for pv in ("ca://X", "ca://Y"):
            bench.links.serve(pv, 1.0)
        inputs = bench.inputs(polled("p", "ca://X"), polled("q", "ca://Y", poll_rate=3.0), interval=1.0)
        for _ in range(9):
            bench.poll(inputs)
            bench.step(1.0)
        assert bench.links.asked.count("ca://X") == 9
        assert bench.links.asked.count("ca://Y") == 3

    def test_that_a_source_is_not_there_is_told_once(self, bench: WiringBench) -> None:
        inputs = bench.inputs(polled("p", "ca://X"))
        for expected in (1, 0):
            bench.poll(inputs)
            assert len(inputs.take_changed()) == expected
        assert inputs.view("p").failures == 2

    def test_a_batch_of_none_is_done_at_once(self, bench: WiringBench) -> None:
        inputs = bench.inputs(port("p", "ca://X"))
        assert bench.poll(inputs) == 0.0

    def test_code_waits_for_sources_that_answer_at_most_its_timeout(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(polled("p", "ca://X"), timeout=2.0)
        inputs.poll_wait()
        assert inputs.reading("p").value == 1.0
        bench.links.hang("ca://X")
        over = bench.aside(inputs.poll_wait)
        bench.step(1.9)
        assert not over()
        bench.step(0.2)
        assert over()
        assert not inputs.reading("p").connected
        over = bench.aside(inputs.poll_wait)
        bench.step()
        assert over()

    def test_code_waits_briefly_for_sources_that_have_never_answered(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        bench.links.hang("ca://X")
        inputs = bench.inputs(polled("p", "ca://X"), timeout=60.0)
        over = bench.aside(inputs.poll_wait)
        bench.step(FIRST_PATIENCE - 0.1)
        assert not over()
        bench.step(0.2)
        assert over()

    def test_who_waits_is_let_go_when_the_links_are_closed(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(polled("p", "ca://X"), timeout=60.0)
        inputs.poll_wait()
        bench.links.hang("ca://X")
        over = bench.aside(inputs.poll_wait)
        bench.step(1.0)
        inputs.close()
        bench.step()
        assert over()

    def test_a_recheck_asks_everything_now(self, bench: WiringBench) -> None:
        inputs = bench.inputs(polled("p", "ca://X"), port("q", "ca://Y"))
        bench.poll(inputs)
        bench.links.serve("ca://X", 1.0)
        bench.changes.clear()
        inputs.recheck()
        assert inputs.reading("p").ok
        assert bench.changes == ["p"]
        assert bench.links.asked[-2:] == ["ca://X", "ca://Y"]


class TestBuffers:
    def test_every_good_reading_oldest_first_with_rising_times(self, bench: WiringBench) -> None:
        inputs = bench.inputs(port("p", "ca://X", buffer_size=3))
        assert list(inputs.samples("p")) == []
        for number in range(5):
            bench.links.serve("ca://X", float(number))
            bench.step(0.5)
        bench.links.serve("ca://X", 9.0, Severity.INVALID, Status.READ)
        bench.links.disconnect("ca://X")
        samples = inputs.samples("p")
        assert list(samples) == [2.0, 3.0, 4.0]
        assert samples.times == (1.0, 1.5, 2.0)

    def test_a_polled_input_gets_one_for_each_read(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1.0)
        inputs = bench.inputs(polled("p", "ca://X", buffer_size=3))
        for _ in range(2):
            bench.poll(inputs)
            bench.step(1.0)
        assert list(inputs.samples("p")) == [1.0, 1.0]


class TestConversion:
    @pytest.mark.parametrize(
        ("type_", "value", "expected"),
        [
            (PortType.FLOAT, 3, 3.0),
            (I, 3.0, 3),
            (B, 1, True),
            (B, "On", True),
            (E, "Hold", 2),
            (E, 1, 1),
            (S, "text", "text"),
            (S, np.array([104, 105, 0, 7], dtype=np.int8), "hi"),
            (A, 2.5, [2.5]),
            (A, np.array([1, 2], dtype=np.int32), [1.0, 2.0]),
        ],
    )
    def test_what_fits(self, bench: WiringBench, type_: PortType, value: object, expected: object) -> None:
        bench.links.serve("ca://X", value)  # type: ignore[arg-type]
        inputs = bench.inputs(port("p", "ca://X", type=type_))
        reading = inputs.reading("p")
        assert reading.ok, reading
        assert np.array_equal(reading.value, expected)  # type: ignore[arg-type]
        if not isinstance(expected, list):
            assert type(reading.value) is type(expected)

    @pytest.mark.parametrize(
        ("type_", "good", "bad", "reason"),
        [
            (PortType.FLOAT, 1.0, "text", "needs a number; got str 'text'"),
            (PortType.FLOAT, 1.0, np.array([1.0, 2.0]), "needs a number; got ndarray"),
            (I, 1, 1.5, "is not a whole number"),
            (I, 1, 2**40, "does not fit the 32 bits"),
            (B, 1, 2, "is neither 0 nor 1"),
            (E, 1, 3, "is no index of its 3 labels"),
            (E, 1, "Nonsense", "is no label"),
            (S, "x", "x" * 40, "has 40 bytes, at most 39 fit"),
            (S, "x", 1.5, "needs text; got float 1.5"),
            (A, np.array([1.0]), np.zeros(5), "has 5 elements, at most 4 fit"),
            (A, np.array([1.0]), "text", "needs a sequence"),
        ],
    )
    def test_what_does_not_fit_is_invalid_with_the_last_value(
        self, bench: WiringBench, type_: PortType, good: object, bad: object, reason: str
    ) -> None:
        bench.links.serve("ca://X", good)  # type: ignore[arg-type]
        inputs = bench.inputs(port("p", "ca://X", type=type_, buffer_size=4))
        before = inputs.reading("p").value
        bench.links.serve("ca://X", bad)  # type: ignore[arg-type]
        reading = inputs.reading("p")
        assert (reading.severity, reading.status, reading.connected) == (Severity.INVALID, Status.LINK, True)
        assert reason in reading.message
        assert reading.message in inputs.complaint
        assert np.array_equal(reading.value, before)  # type: ignore[arg-type]
        assert len(inputs.samples("p")) == 1
        assert inputs.view("p").failures == 1
        bench.links.serve("ca://X", good)  # type: ignore[arg-type]
        assert inputs.reading("p").ok

    def test_an_enum_is_its_label_for_a_text_port_and_its_index_for_others(self, bench: WiringBench) -> None:
        bench.links.serve("ca://X", 1, labels=("Closed", "Open"))
        inputs = bench.inputs(
            port("s", "ca://X", type=S),
            port("p", "ca://X"),
            port("e", "ca://X", type=E),
            port("b", "ca://X", type=B),
        )
        assert [inputs.reading(name).value for name in "speb"] == ["Open", 1.0, 1, True]
