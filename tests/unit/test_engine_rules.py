"""Rules over time: `for`, `clear_for`, hysteresis, and what each does when its inputs are unknown."""

from __future__ import annotations

import pytest
from support.logic_spec import Bench, instance, port

from iocmng.errors import BadInput
from iocmng.spec import OnInvalid, RuleSpec
from iocmng.values import Reading, Severity, Status

P, T = port("p", link=True, unit="bar"), port("t", link=True)
TRIP = port("trip", "bool")


def bench(*ports, defaults=None, **rule) -> Bench:
    rule = {"id": "over", "condition": "p > 5", "outputs": {"trip": True}, **rule}
    outputs = ports or (TRIP,)
    return Bench(
        instance(
            P,
            T,
            *outputs,
            rules=(RuleSpec(**rule),),
            defaults={"trip": False} if defaults is None else defaults,
        )
    )


class TestTime:
    def test_for_has_to_pass_without_a_break(self):
        one = bench(hold_for=3.0)
        assert one.step(0, p=6.0).deadline == 3.0
        one.step(2, p=4.0)
        assert one.step(2.5, p=6.0).deadline == 5.5
        assert one.step(5).writes == ()
        one.step(5.5)
        assert one.value("trip") is True
        assert one.last.deadline is None

    def test_the_deadline_is_reached_exactly(self):
        one = bench(hold_for=0.2)
        deadline = one.step(0.1, p=6.0).deadline
        one.step(deadline)
        assert one.value("trip") is True

    def test_clear_for_and_clear_when(self):
        one = bench(clear_when="p < 3", clear_for=1.0)
        one.step(0, p=6.0)
        one.step(1, p=4.0)
        assert one.value("trip") is True
        assert one.step(2, p=2.0).deadline == 3.0
        one.step(3)
        assert one.value("trip") is False
        one.step(4, p=4.0)
        assert one.value("trip") is False

    def test_it_does_not_end_while_its_condition_holds(self):
        one = bench(clear_when="t > 0")
        one.step(0, p=6.0, t=1.0)
        one.step(1)
        assert one.value("trip") is True
        one.step(2, p=1.0)
        assert one.value("trip") is False

    def test_the_clock_of_for_stops_while_the_condition_is_unknown(self):
        one = bench(hold_for=3.0)
        one.step(0, p=6.0)
        assert one.step(1, p=None).deadline is None
        assert one.severity("trip") is Severity.INVALID
        one.step(10)
        assert one.step(11, p=6.0).deadline == 13.0
        assert one.severity("trip") is Severity.NO_ALARM
        one.step(13)
        assert one.value("trip") is True

    def test_nothing_happens_when_nothing_changes(self):
        one = bench()
        one.step(0, p=6.0)
        again = one.step(1)
        assert again == type(again)()


class TestUnknown:
    def test_undecided_until_its_inputs_are_known(self):
        one = bench()
        step = one.step(0, p=None)
        (write,) = step.writes
        assert (write.port, write.value, write.severity, write.status) == (
            "trip",
            None,
            Severity.INVALID,
            Status.UDF,
        )
        assert write.reason == "p (not connected)"
        assert one.views()[0].state == "undecided"
        assert one.events() == []
        one.step(5)
        assert one.events() == [("unknown", "over")]
        one.step(6, p=1.0)
        assert (one.value("trip"), one.severity("trip")) == (False, Severity.NO_ALARM)
        assert one.events() == [("known", "over")]

    def test_undecided_shows_fail_safe(self):
        one = bench(port("trip", "bool", fail_safe=True))
        one.step(0, p=None)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.INVALID)
        one.step(1, p=1.0)
        assert (one.value("trip"), one.severity("trip")) == (False, Severity.NO_ALARM)

    def test_actuators_are_left_alone_while_undecided(self):
        one = bench(actuators={"p": 0})
        assert one.step(0, p=None).commands == ()
        assert one.step(9).commands == ()

    @pytest.mark.parametrize("active", [True, False])
    def test_hold_keeps_the_decision_and_says_so(self, active):
        one = bench()
        one.step(0, p=6.0 if active else 1.0)
        step = one.step(1, p=None)
        assert [(write.value, write.severity, write.status) for write in step.writes] == [
            (None, Severity.INVALID, Status.LINK)
        ]
        assert one.value("trip") is active
        assert one.views()[0].held
        assert one.why("over") == "unknown: p (not connected); the last decision stands"
        assert one.events() == [("unknown", "over")]
        one.step(100)
        assert one.value("trip") is active

    def test_trip_acts_as_if_true_after_for(self):
        one = bench(on_invalid=OnInvalid.TRIP, hold_for=2.0)
        one.step(0, p=1.0)
        assert one.step(1, p=None).deadline == 3.0
        assert one.severity("trip") is Severity.INVALID
        one.step(3)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)
        assert one.events() == [("active", "over")]
        assert "on_invalid: trip" in one.why("over")
        one.step(4, p=1.0)
        assert one.value("trip") is False

    def test_trip_waits_for_settle_after_a_start(self):
        one = bench(on_invalid=OnInvalid.TRIP, settle=5.0)
        assert one.step(0, p=None).deadline == 5.0
        assert one.severity("trip") is Severity.INVALID
        one.step(5)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)

    def test_trip_does_not_wait_once_its_inputs_were_known(self):
        one = bench(on_invalid=OnInvalid.TRIP, settle=5.0)
        one.step(0, p=1.0)
        one.step(1, p=None)
        assert one.value("trip") is True

    def test_ignore_uses_the_last_values(self):
        one = bench(on_invalid=OnInvalid.IGNORE, condition="p + t > 5")
        one.step(0, p=None, t=1.0)
        assert one.severity("trip") is Severity.INVALID
        one.step(1, p=4.0)
        one.step(2, p=None)
        assert (one.value("trip"), one.severity("trip")) == (False, Severity.NO_ALARM)
        assert one.why("over") == "unknown: p (not connected); decided from the last values"
        one.step(3, t=2.0)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)

    def test_what_is_known_decides(self):
        one = bench(condition="p > 5 or t > 80")
        one.step(0, p=6.0, t=None)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)
        assert one.why("over") == "p = 6 bar: p > 5 holds"
        one.step(1, p=1.0)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.INVALID)

    @pytest.mark.parametrize(
        ("reading", "cause"),
        [
            (Reading(None), "p (no value yet)"),
            (Reading(6.0, connected=False), "p (not connected)"),
            (Reading(6.0, Severity.INVALID, Status.TIMEOUT, message="older than 5 s"), "p (older than 5 s)"),
            (Reading(6.0, Severity.INVALID, Status.UDF), "p (INVALID)"),
            (Reading(float("nan")), "p (NaN)"),
        ],
    )
    def test_why_a_value_is_unknown(self, reading, cause):
        one = bench()
        one.step(0, p=1.0)
        one.step(1, p=reading)
        assert one.shown["trip"].reason == cause
        assert one.why("over").startswith(f"unknown: {cause}")

    def test_alarms_are_known(self):
        one = bench()
        one.step(0, p=Reading(6.0, Severity.MAJOR, Status.HIHI))
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)


class TestFailing:
    @pytest.mark.parametrize(
        ("condition", "inputs", "words"),
        [
            ("t / p > 1", {"p": 0.0, "t": 1.0}, "division by zero"),
            ("log(p) > 1", {"p": -1.0, "t": 0.0}, "math domain error"),
            ("latest(last([p], 0)) > 1", {"p": 1.0, "t": 0.0}, "empty"),
            ("p > 'x'", {"p": 1.0, "t": 0.0}, "not supported"),
            ("'high' if p else 'low'", {"p": 1.0, "t": 0.0}, "no truth value"),
        ],
    )
    def test_is_unknown_told_once_and_counted(self, condition, inputs, words):
        one = bench(condition=condition)
        one.step(0, **inputs)
        assert one.events() == [("failed", "over")]
        assert words in one.last.events[0].text
        assert words in one.shown["trip"].reason
        assert one.severity("trip") is Severity.INVALID
        one.step(1)
        assert (one.events(), one.last.writes) == ([], ())
        assert one.state.unknowns == {"over": 2}
        one.program.reset(one.state)
        assert one.state.unknowns == {}

    def test_different_failures_in_a_row_are_one(self):
        rule = RuleSpec(id="over", condition="boom(p)", outputs={"trip": True})
        one = Bench(instance(P, TRIP, rules=(rule,)), functions={"boom": _raise})
        one.step(0, p=1.0)
        one.step(1, p=2.0)
        assert one.last.writes == ()
        assert one.events() == []
        assert one.state.unknowns == {"over": 2}

    def test_what_fails_does_not_matter_where_the_rest_decides(self):
        one = bench(condition="1 / p > 3 or t > 5")
        one.step(0, p=0.0, t=6.0)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)
        assert one.state.unknowns == {}

    def test_a_guard_keeps_it_from_failing(self):
        one = bench(condition="p != 0 and 1 / p > 3")
        one.step(0, p=0.0)
        assert (one.value("trip"), one.severity("trip")) == (False, Severity.NO_ALARM)

    def test_a_rule_that_recovers(self):
        one = bench(condition="1 / p > 3")
        one.step(0, p=0.0)
        one.step(1, p=0.1)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)
        assert one.events() == [("known", "over"), ("active", "over")]


def _raise(value: float) -> float:
    raise RuntimeError(f"no such thing: {value}")


class TestDerivedNames:
    def test_ok_and_severity_are_always_known(self):
        one = bench(condition="not p_ok or p_severity > 1")
        one.step(0, p=None)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)
        one.step(1, p=Reading(1.0, Severity.MINOR))
        assert one.value("trip") is False
        one.step(2, p=Reading(1.0, Severity.MAJOR))
        assert one.value("trip") is True
        one.step(3, p=float("nan"))
        assert one.value("trip") is True

    def test_age_comes_with_a_deadline(self):
        one = bench(condition="p_age > 5")
        assert one.program.ages == {"p"}
        one.step(0, p=None)
        assert one.value("trip") is True, "what was never read is infinitely old"
        one.ages["p"] = 1.0
        deadline = one.step(10, p=1.0).deadline
        assert one.value("trip") is False
        assert deadline == pytest.approx(14.0, abs=0.01)
        one.ages["p"] = 1.0 + deadline - 10
        one.step(deadline)
        assert one.value("trip") is True
        assert one.last.deadline is None

    def test_age_in_arithmetic_is_looked_at_twice_a_second(self):
        one = bench(condition="p_age * 2 > 5")
        one.ages["p"] = 1.0
        assert one.step(10, p=1.0).deadline == 10.5

    def test_parameters_may_change(self):
        one = Bench(
            instance(
                P,
                TRIP,
                rules=(RuleSpec(id="over", condition="p > limit", outputs={"trip": True}),),
                defaults={"trip": False},
                parameters={"limit": 5},
            )
        )
        one.step(0, p=6.0)
        assert one.value("trip") is True
        one.parameters["limit"] = 7
        one.step(1)
        assert one.value("trip") is False


class TestCompile:
    @pytest.mark.parametrize(
        ("rule", "words"),
        [
            ({"condition": "p ="}, "rule over: condition: 1:"),
            ({"condition": "p > 1 and\n q > 1"}, "rule over: condition: 2:2: name is not declared: 'q'"),
            (
                {"condition": "p > 1", "clear_when": "mena(p)"},
                "rule over: clear_when: 1:1: function is not registered",
            ),
            ({"condition": "p > 1", "outputs": {"x": 1}}, "there is no output 'x'"),
        ],
    )
    def test_bad_expressions_name_rule_and_position(self, rule, words):
        with pytest.raises(BadInput) as caught:
            bench(**rule)
        assert words in caught.value.detail

    def test_a_transform_is_the_only_writer(self):
        with pytest.raises(BadInput, match="another writer"):
            Bench(instance(P, TRIP, transforms={"trip": "p > 5"}, defaults={"trip": False}))

    def test_what_a_program_reads_and_writes(self):
        rule = RuleSpec(id="a", condition="mean(p_buf) > 1 and t_age < 5", outputs={"trip": True}, group="g")
        program = Bench(instance(P, T, TRIP, port("y"), rules=(rule,), transforms={"y": "p"})).program
        assert program.reads == {"p"}
        assert program.buffers == {"p"}
        assert program.ages == {"t"}
        assert program.writes == {"trip", "y", "g_FIRST"}


class TestExplain:
    def test_a_view_tells_since_when_and_how_long_yet(self):
        one = bench(hold_for=3.0, clear_for=2.0, message="hot", actuators={"t": 0})
        one.step(0, p=1.0)
        (view,) = one.views()
        assert (view.state, view.value, view.since, view.pending, view.fired) == (
            "inactive",
            False,
            1e9,
            None,
            0,
        )
        one.step(1, p=6.5)
        one.now = 2.2
        (view,) = one.views()
        assert (view.value, view.pending) == (True, pytest.approx(1.8))
        assert view.reason == "p = 6.5 bar: p > 5 holds (for 1.2 of 3 s)"
        one.step(4)
        (view,) = one.views()
        assert (view.state, view.since, view.fired) == ("active", 1e9 + 4, 1)
        assert (view.outputs, view.actuators, view.message) == ({"trip": True}, {"t": 0}, "hot")
        one.step(5, p=1.0)
        assert one.why("over") == "p = 1 bar: p > 5 does not hold (clears after 0 of 2 s)"
        one.step(6, p=None)
        assert one.why("over").endswith("the last decision stands (clears after 1 of 2 s, clock stopped)")

    @pytest.mark.parametrize(
        ("condition", "inputs", "reason"),
        [
            ("p > 5 and t > 1", {"p": 6.0, "t": 2.0}, "p = 6 bar, t = 2: p > 5 and t > 1 hold"),
            ("p > 5 and t > 1", {"p": 6.0, "t": 0.0}, "t = 0: t > 1 does not hold"),
            ("p > 5 or t > 1", {"p": 6.0, "t": None}, "p = 6 bar: p > 5 holds"),
            ("p > 5 or t > 1", {"p": 1.0, "t": 0.0}, "p = 1 bar, t = 0: neither p > 5 nor t > 1 holds"),
            ("p > 5 and (t > 1 or p > 6)", {"p": 7.0, "t": 0.0}, "p = 7 bar: p > 5 and p > 6 hold"),
            ("not p_ok", {"p": None}, "p_ok = False: not p_ok holds"),
            ("True", {}, "True holds"),
        ],
    )
    def test_the_terms_that_decide_are_named(self, condition, inputs, reason):
        one = bench(condition=condition)
        one.step(0, **{"p": None, "t": None, **inputs})
        assert one.why("over") == reason

    def test_before_the_first_evaluation(self):
        assert bench().views()[0].reason == "unknown: not evaluated yet"
