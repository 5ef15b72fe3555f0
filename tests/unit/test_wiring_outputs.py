"""Linked outputs and actuators: order, latest wins, retries, reconnects, on fake PVs and a virtual clock."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from support.wiring_bench import WiringBench, polled, port

from iocmng.errors import LinkError, LinkRefused
from iocmng.spec import RuleSpec
from iocmng.values import PortType

S, I, B, E, A = PortType.STRING, PortType.INT, PortType.BOOL, PortType.ENUM, PortType.ARRAY  # noqa: E741
X = "ca://X"


@pytest.fixture
def bench() -> Iterator[WiringBench]:
    bench = WiringBench()
    yield bench
    bench.close()


def written(bench: WiringBench, pv: str = X) -> list[object]:
    return [value for name, value in bench.links.puts if name == pv]


class TestForward:
    def test_every_change_in_order_and_no_value_twice(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True))
        for value in (1.0, 1.0, 2.0, math.nan, math.nan, 1.0):
            outputs.forward("o", value)
        assert [str(value) for value in written(bench)] == ["1.0", "2.0", "nan", "1.0"]
        view = outputs.view("o")
        assert (view.updates, view.failures, view.pending, view.connected) == (4, 0, False, True)
        assert outputs.complaint == ""

    def test_the_latest_value_wins_while_the_target_is_slow(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True), timeout=60.0)
        bench.links.hang(X)
        for number in range(1, 6):
            outputs.forward("o", float(number))
        assert outputs.view("o").pending
        bench.links.go_on(X)
        assert written(bench) == [1.0, 5.0]
        assert outputs.view("o").dropped == 3
        assert not outputs.view("o").pending

    def test_a_value_that_returns_to_what_is_under_way_is_not_written_again(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True), timeout=60.0)
        bench.links.hang(X)
        for value in (1.0, 2.0, 1.0):
            outputs.forward("o", value)
        bench.links.go_on(X)
        assert written(bench) == [1.0]

    def test_a_target_that_is_not_there_gets_the_latest_when_it_comes(self, bench: WiringBench) -> None:
        outputs = bench.outputs(port("o", X, output=True))
        outputs.forward("o", 1.0)
        outputs.forward("o", 2.0)
        assert outputs.connected == {"o": False}
        assert outputs.complaint == "o: X not connected"
        assert bench.links.sent == []
        told = bench.told
        bench.links.serve(X, 0.0)
        assert written(bench) == [2.0]
        assert bench.told > told
        assert outputs.complaint == ""

    def test_refusals_are_shown_and_tried_again_less_and_less_often(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        bench.links.refuse(X)
        outputs = bench.outputs(port("o", X, output=True))
        outputs.forward("o", 1.0)
        assert "write access denied" in outputs.complaint
        assert bench.told
        times = []
        for _ in range(1200):
            bench.step(0.1)
            if len(bench.links.sent) > len(times) + 1:
                times.append(bench.clock.monotonic())
        assert times[:6] == pytest.approx([0.5, 1.5, 3.5, 7.5, 15.5, 31.5], abs=0.2)
        assert times[7] - times[6] == pytest.approx(30.0, abs=0.2)
        assert outputs.view("o").failures == len(times) + 1
        bench.links.refuse(X, refuses=False)
        bench.step(30.0)
        assert written(bench) == [1.0]
        assert outputs.complaint == ""

    def test_a_hanging_target_is_tried_again(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True), timeout=2.0)
        bench.links.hang(X)
        outputs.forward("o", 1.0)
        bench.step(2.1)
        assert "did not answer within 2 s" in outputs.complaint
        assert outputs.view("o").pending
        bench.step(0.5)
        assert len(bench.links.sent) == 2
        bench.links.go_on(X)
        assert written(bench) == [1.0]

    def test_a_value_that_the_target_cannot_take_waits_for_another_or_a_reconnect(
        self, bench: WiringBench
    ) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True, type=S))
        outputs.forward("o", "many")
        bench.step(120.0)
        assert len(bench.links.sent) == 1
        assert "cannot put 'many'" in outputs.complaint
        outputs.forward("o", "4.5")
        assert written(bench) == [4.5]
        assert outputs.complaint == ""

    @pytest.mark.parametrize("reassert", [True, False])
    def test_a_target_that_comes_back_gets_its_value_again(self, bench: WiringBench, reassert: bool) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True, reassert=reassert))
        outputs.forward("o", 1.0)
        bench.links.disconnect(X)
        assert outputs.connected == {"o": False}
        bench.links.serve(X, 0.0)
        assert written(bench) == [1.0] * (2 if reassert else 1)

    def test_what_was_forwarded_in_the_outage_arrives_after_it(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True, reassert=False))
        outputs.forward("o", 1.0)
        bench.links.disconnect(X)
        outputs.forward("o", 2.0)
        bench.links.serve(X, 0.0)
        assert written(bench) == [1.0, 2.0]

    def test_a_reset_tries_again_at_once(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        bench.links.refuse(X)
        outputs = bench.outputs(port("o", X, output=True))
        outputs.forward("o", 1.0)
        bench.links.refuse(X, refuses=False)
        outputs.recheck()
        assert written(bench) == [1.0]
        bench.step(60.0)
        assert written(bench) == [1.0]


class TestCommands:
    def rule(self, name: str) -> RuleSpec:
        return RuleSpec(id="r", condition="1", actuators={name: 1})

    def test_written_at_once_again_after_a_reconnect_until_withdrawn(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0)
        outputs = bench.outputs(port("v", X), rules=[self.rule("v")])
        assert outputs.connected == {}
        outputs.command("v", 1)
        assert written(bench) == [1]
        bench.links.disconnect(X)
        assert outputs.complaint == "v: X not connected"
        bench.links.serve(X, 0)
        assert written(bench) == [1, 1]
        outputs.withdraw("v")
        bench.links.disconnect(X)
        bench.links.serve(X, 0)
        assert written(bench) == [1, 1]

    def test_each_command_is_written_also_an_equal_one(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0)
        outputs = bench.outputs(port("v", X), rules=[self.rule("v")])
        for _ in range(3):
            outputs.command("v", 1)
        assert written(bench) == [1, 1, 1]

    def test_retried_until_accepted_and_not_after_it_was_withdrawn(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0)
        bench.links.refuse(X)
        outputs = bench.outputs(port("v", X), rules=[self.rule("v")])
        outputs.command("v", 1)
        bench.step(2.0)
        assert len(bench.links.sent) == 3
        outputs.withdraw("v")
        assert outputs.complaint == ""
        bench.step(60.0)
        assert len(bench.links.sent) == 3

    def test_one_under_way_when_it_is_withdrawn_is_not_tried_again(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0)
        outputs = bench.outputs(port("v", X), rules=[self.rule("v")], timeout=1.0)
        bench.links.hang(X)
        outputs.command("v", 1)
        outputs.withdraw("v")
        bench.step(60.0)
        assert len(bench.links.sent) == 1
        assert not outputs.view("v").pending

    def test_a_target_that_is_not_there_yet_and_a_port_that_no_rule_names(self, bench: WiringBench) -> None:
        outputs = bench.outputs(port("v", X))
        assert bench.links.listeners(X) == 0
        outputs.command("v", 1)
        assert outputs.complaint == "v: X not connected"
        bench.links.serve(X, 0)
        assert written(bench) == [1]

    def test_a_command_stands_beside_what_the_port_forwards(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0)
        outputs = bench.outputs(port("o", X, output=True), rules=[self.rule("o")])
        outputs.forward("o", 5)
        outputs.command("o", 1)
        bench.links.disconnect(X)
        bench.links.serve(X, 0)
        outputs.withdraw("o")
        bench.links.disconnect(X)
        bench.links.serve(X, 0)
        assert written(bench) == [5, 1, 1, 5]


class TestValues:
    @pytest.mark.parametrize(
        ("type_", "value", "target", "labels", "expected"),
        [
            (E, 2, 0, ("Idle", "Ramping", "Hold"), 2),
            (E, 2, "", (), "Hold"),
            (E, 2, 0.0, (), 2.0),
            (B, True, 0, ("Closed", "Open"), 1),
            (B, True, "", (), "On"),
            (B, True, 0.0, (), 1.0),
            (S, "Open", 0, ("Closed", "Open"), 1),
            (PortType.FLOAT, 2.5, "", (), "2.5"),
            (PortType.FLOAT, 2.0, 0, (), 2),
            (I, 7, 0.0, (), 7.0),
        ],
    )
    def test_as_the_target_takes_it(
        self,
        bench: WiringBench,
        type_: PortType,
        value: object,
        target: object,
        labels: tuple[str, ...],
        expected: object,
    ) -> None:
        bench.links.serve(X, target, labels=labels)  # type: ignore[arg-type]
        outputs = bench.outputs(port("o", X, output=True, type=type_))
        outputs.forward("o", value)  # type: ignore[arg-type]
        assert written(bench) == [expected]
        assert type(written(bench)[0]) is type(expected)

    def test_arrays_are_compared_element_by_element(self, bench: WiringBench) -> None:
        bench.links.serve(X, np.zeros(2))
        outputs = bench.outputs(port("o", X, output=True, type=A))
        for value in ([1.0, math.nan], [1.0, math.nan], [1.0, 2.0]):
            outputs.forward("o", np.array(value))
        assert [float(value[0]) for value in written(bench)] == [1.0, 1.0]  # type: ignore[index]
        assert len(bench.links.sent) == 2


class TestPut:
    def test_waits_and_raises(self, bench: WiringBench) -> None:
        outputs = bench.outputs(polled("p", X))
        with pytest.raises(LinkError):
            outputs.put("p", 1.0, 0.1)
        bench.links.serve(X, 0.0)
        outputs.put("p", 1.0, 1.0)
        assert written(bench) == [1.0]
        bench.links.refuse(X)
        with pytest.raises(LinkRefused):
            outputs.put("p", 2.0, 1.0)

    def test_a_port_forwards_again_what_somebody_put_over(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True))
        outputs.forward("o", 1.0)
        outputs.put("o", 0.0, 1.0)
        outputs.forward("o", 1.0)
        assert written(bench) == [1.0, 0.0, 1.0]


class TestClose:
    def test_values_under_way_get_their_time(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True), port("gone", "ca://Y", output=True), timeout=60.0)
        bench.links.hang(X)
        outputs.forward("o", 1.0)
        outputs.forward("o", 2.0)
        outputs.forward("gone", 1.0)
        over = bench.aside(lambda: outputs.close(5.0))
        bench.step(4.0)
        assert not over()
        bench.links.go_on(X)
        bench.step()
        assert over()
        assert written(bench) == [1.0, 2.0]
        assert bench.links.listeners(X) == 0

    def test_and_no_more_than_that(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True), timeout=60.0)
        bench.links.hang(X)
        outputs.forward("o", 1.0)
        over = bench.aside(lambda: outputs.close(5.0))
        bench.step(5.1)
        assert over()
        told = bench.told
        bench.links.disconnect(X)
        assert bench.told == told

    def test_nothing_waits_when_all_is_written(self, bench: WiringBench) -> None:
        bench.links.serve(X, 0.0)
        outputs = bench.outputs(port("o", X, output=True))
        outputs.forward("o", 1.0)
        outputs.close(60.0)
        outputs.forward("o", 2.0)
        assert written(bench) == [1.0]
