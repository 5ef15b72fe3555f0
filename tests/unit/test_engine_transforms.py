"""What transforms compute, with which quality, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from support.logic_spec import Bench, instance, port

from iocmng.logic import Samples
from iocmng.values import Reading, Severity, Status

P, T = port("p", link=True), port("t", link=True)


class TestTransforms:
    def test_in_order_with_quality(self):
        one = Bench(instance(P, T, port("y"), port("z"), transforms={"y": "p * 2", "z": "y + t"}))
        one.step(0, p=Reading(1.0, Severity.MINOR), t=Reading(3.0, Severity.MAJOR))
        assert [(w.port, w.value, w.severity, w.status, w.reason) for w in one.last.writes] == [
            ("y", 2.0, Severity.MINOR, Status.LINK, "p is MINOR"),
            ("z", 5.0, Severity.MAJOR, Status.LINK, "t is MAJOR"),
        ]
        one.step(1, p=1.0)
        assert [(w.port, w.value, w.severity) for w in one.last.writes] == [("y", None, Severity.NO_ALARM)]

    def test_unknown_leaves_the_last_value(self):
        one = Bench(instance(P, port("y"), transforms={"y": "p * 2"}))
        one.step(0, p=1.0)
        one.step(1, p=None)
        assert one.last.writes[0].value is None
        assert (one.value("y"), one.severity("y"), one.shown["y"].status) == (
            2.0,
            Severity.INVALID,
            Status.CALC,
        )
        assert one.shown["y"].reason == "p (not connected)"

    def test_failing_is_told_once_and_counted(self):
        one = Bench(instance(P, port("y"), transforms={"y": "1 / p"}))
        one.step(0, p=0.0)
        assert one.events() == [("failed", "y")]
        assert one.last.message is not None
        assert "division by zero" in one.last.message
        one.step(1)
        assert (one.events(), one.state.unknowns) == ([], {"y": 2})
        one.step(2, p=2.0)
        assert (one.value("y"), one.events(), one.last.message) == (0.5, [("known", "y")], "")

    @pytest.mark.parametrize(
        ("kind", "expression", "value", "words"),
        [
            ("int", "p / 2", 3.0, "not a whole number"),
            ("float", "p * 1e308 * 10", 3.0, "value is inf"),
            ("float", "'x'", 3.0, "needs a number"),
            ("string", "'x' if p > 2 else 'y'", 3.0, None),
            ("bool", "p", 3.0, None),
            ("int", "p", 3.0, None),
        ],
    )
    def test_results_have_to_fit(self, kind, expression, value, words):
        one = Bench(instance(P, port("y", kind), transforms={"y": expression}))
        one.step(0, p=value)
        if words is None:
            assert one.severity("y") is Severity.NO_ALARM
        else:
            assert one.severity("y") is Severity.INVALID
            assert words in one.shown["y"].reason

    def test_an_enum_is_its_index_and_takes_labels(self):
        mode = port("mode", "enum", labels=("OFF", "ON", "BAD"), link=True)
        spec = instance(
            mode, port("state", "enum", labels=("A", "B")), transforms={"state": "'B' if mode == 1 else 'A'"}
        )
        one = Bench(spec)
        one.step(0, mode=1)
        assert one.value("state") == 1

    def test_buffers(self):
        ring = port("p", link=True, buffer_size=10)
        one = Bench(instance(ring, port("y"), port("z"), transforms={"y": "mean(p_buf)", "z": "rate(p_buf)"}))
        one.step(0, p=1.0)
        assert (one.severity("y"), one.shown["y"].reason) == (Severity.INVALID, "p_buf (empty)")
        one.buffers["p"] = Samples([1.0, 3.0], [0.0, 1.0])
        one.step(1)
        assert (one.value("y"), one.value("z")) == (2.0, 2.0)
        one.buffers["p"] = Samples([1.0, float("nan"), 3.0], [0.0, 1.0, 2.0])
        one.step(1.5)
        assert (one.value("y"), one.value("z")) == (2.0, 1.0), "NaN is no value"
        one.step(2, p=None)
        assert one.severity("y") is Severity.INVALID, "what a dead source once said is no present value"

    def test_arrays(self):
        wave = port("wave", "array", link=True)
        spec = instance(
            wave,
            P,
            port("top"),
            port("half", "array"),
            port("any", "bool"),
            port("ratio", "array"),
            transforms={
                "top": "max(wave)",
                "half": "wave / 2",
                "any": "any_of(wave > 2)",
                "ratio": "wave / p",
            },
        )
        one = Bench(spec)
        one.step(0, wave=np.array([1.0, 3.0]), p=1.0)
        assert (one.value("top"), one.value("any"), list(one.value("half"))) == (3.0, True, [0.5, 1.5])
        assert one.step(1, wave=np.array([1.0, 3.0])).writes == ()
        one.step(2, p=0.0)
        assert one.severity("ratio") is Severity.INVALID, (
            "elements that divide by zero are unknown, without a warning"
        )
        one.step(3, wave=np.array([1.0, np.nan]))
        assert one.severity("top") is Severity.INVALID
        assert one.shown["top"].reason == "wave (NaN)"

    def test_what_a_plugin_registers_may_not_give_nan(self):
        one = Bench(
            instance(P, port("y", "bool"), transforms={"y": "odd(p) > 1"}),
            functions={"odd": lambda x: float("nan")},
        )
        one.step(0, p=1.0)
        assert one.severity("y") is Severity.INVALID
        assert "NaN" in one.shown["y"].reason
