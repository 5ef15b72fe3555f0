"""Whatever the other side does in between: targets end with the latest value, sources are seen as they are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from support.wiring_bench import WiringBench, polled, port

from iocmng.spec import RuleSpec

X = "ca://X"
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("value"), st.integers(0, 3)),
        st.sampled_from([("drop",), ("come",), ("hang",), ("go on",), ("refuse",), ("allow",)]),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 0.7, 5.0, 40.0])),
    ),
    max_size=25,
)


def play(bench: WiringBench, event: tuple[object, ...]) -> None:
    """Let the target do something."""
    match event:
        case ("drop",):
            bench.links.disconnect(X)
        case ("come",) if not bench.links.connected(X):
            bench.links.serve(X, -1.0)
        case ("hang",):
            bench.links.hang(X)
        case ("go on",):
            bench.links.go_on(X)
        case ("refuse",):
            bench.links.refuse(X)
        case ("allow",):
            bench.links.refuse(X, refuses=False)
        case ("wait", float(seconds)):
            bench.step(seconds)


def settle(bench: WiringBench) -> None:
    """Let everything be well again, for longer than the longest pause between attempts."""
    bench.links.refuse(X, refuses=False)
    bench.links.go_on(X)
    if not bench.links.connected(X):
        bench.links.serve(X, -1.0)
    bench.step(31.0)


@given(EVENTS)
def test_a_target_ends_with_the_latest_value_and_gets_none_twice(events: list[tuple[object, ...]]) -> None:
    bench = WiringBench()
    try:
        outputs = bench.outputs(port("o", X, output=True), timeout=2.0)
        latest, came = None, 0
        for event in events:
            if event[0] == "value":
                latest = float(event[1])  # type: ignore[arg-type]
                outputs.forward("o", latest)
            came += event[0] in ("come", "go on")
            play(bench, event)
        settle(bench)
        assert not outputs.view("o").pending
        assert outputs.complaint == ""
        written = [value for _, value in bench.links.puts]
        if latest is None:
            assert written == []
        else:
            assert bench.links.get(X).value == latest
        # Only a target that was away or silent may get a value that it has had.
        again = sum(one == other for one, other in pairwise(written))
        assert again <= came + 2
    finally:
        bench.close()


@given(EVENTS, st.booleans())
def test_a_command_stands_until_it_is_withdrawn(events: list[tuple[object, ...]], withdrawn: bool) -> None:
    bench = WiringBench()
    try:
        rule = RuleSpec(id="r", condition="1", actuators={"v": 1})
        outputs = bench.outputs(port("v", X), rules=[rule], timeout=2.0)
        commanded = None
        for event in events:
            if event[0] == "value":
                commanded = float(event[1])  # type: ignore[arg-type]
                outputs.command("v", commanded)
            play(bench, event)
        if withdrawn:
            outputs.withdraw("v")
            bench.links.disconnect(X)
            bench.step(3.0)
            bench.links.puts.clear()
        settle(bench)
        assert not outputs.view("v").pending
        if withdrawn:
            assert bench.links.puts == []
        elif commanded is not None:
            assert bench.links.get(X).value == commanded
    finally:
        bench.close()


@given(EVENTS)
def test_inputs_end_with_what_their_source_says(events: list[tuple[object, ...]]) -> None:
    bench = WiringBench()
    try:
        inputs = bench.inputs(
            port("s", X, max_age=3.0), polled("p", X), port("t", X, trigger=True), timeout=2.0
        )
        latest = -1.0
        for event in events:
            if event[0] == "value":
                latest = float(event[1])  # type: ignore[arg-type]
                bench.links.serve(X, latest)
            else:
                latest = -1.0 if event[0] == "come" and not bench.links.connected(X) else latest
                play(bench, event)
            inputs.poll(lambda: None)
        if not bench.links.connected(X):
            latest = -1.0
        settle(bench)
        bench.poll(inputs)
        assert {inputs.reading(name).value for name in "spt"} == {latest}
        assert all(inputs.reading(name).ok for name in "spt")
        assert inputs.complaint == ""
        ends = dict(inputs.take_changed())
        assert {reading.value for reading in ends.values()} == {latest}
    finally:
        bench.close()
