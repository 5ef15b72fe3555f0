"""What rules and transforms do to outputs, latches, groups, actuators and messages."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.logic_spec import Bench, instance, port

from iocmng.logic import Samples
from iocmng.spec import LatchDirection, OnInvalid, RuleSpec
from iocmng.values import Reading, Severity, Status

P, T = port("p", link=True), port("t", link=True)


def over(name: str = "over", condition: str = "p > 5", **keys) -> RuleSpec:
    return RuleSpec(id=name, condition=condition, **keys)


class TestOutputs:
    def test_written_once_with_the_final_value(self):
        rules = (over(outputs={"level": 1.0}), over("more", "p > 7", outputs={"level": 2.0}))
        one = Bench(instance(P, port("level"), rules=rules, defaults={"level": 0.0}))
        assert [write.value for write in one.step(0, p=8.0).writes] == [2.0]
        assert one.step(1, p=9.0).writes == ()
        assert [write.value for write in one.step(2, p=6.0).writes] == [1.0]
        assert [write.value for write in one.step(3, p=1.0).writes] == [0.0]

    def test_writes_come_in_the_order_of_the_logic(self):
        rules = (over(outputs={"b": True, "a": True}, message_pv="say", group="g"),)
        spec = instance(P, port("a", "bool"), port("b", "bool"), port("say", "string"), port("y"), rules=rules,
                        transforms={"y": "p"}, defaults={"a": False})  # fmt: skip
        assert [write.port for write in Bench(spec).step(0, p=6.0).writes] == [
            "y",
            "a",
            "b",
            "say",
            "g_FIRST",
        ]

    def test_without_a_default_the_declared_value_and_else_the_last_one(self):
        rules = (over(outputs={"declared": 1.0, "bare": 1.0}),)
        one = Bench(instance(P, port("declared", value=7.0), port("bare"), rules=rules))
        one.step(0, p=1.0)
        assert one.value("declared") == 7.0
        assert (one.value("bare"), one.severity("bare")) == (None, Severity.INVALID)
        one.step(1, p=6.0)
        one.step(2, p=1.0)
        assert (one.value("declared"), one.value("bare"), one.severity("bare")) == (
            7.0,
            1.0,
            Severity.NO_ALARM,
        )

    def test_an_output_with_a_default_only(self):
        one = Bench(instance(P, port("level"), defaults={"level": 3.0}))
        assert [write.value for write in one.step(0).writes] == [3.0]
        assert one.step(1).writes == ()

    def test_severity_comes_with_the_message(self):
        one = Bench(
            instance(
                P,
                port("trip", "bool"),
                rules=(over(outputs={"trip": True}, severity=Severity.MAJOR, message="hot"),),
                defaults={"trip": False},
            )
        )
        (write,) = one.step(0, p=6.0).writes
        assert (write.severity, write.status, write.reason) == (Severity.MAJOR, Status.STATE, "hot")
        one.step(1, p=1.0)
        assert one.severity("trip") is Severity.NO_ALARM

    def test_an_unknown_rule_does_not_matter_where_a_later_one_is_sure(self):
        rules = (over("first", "t > 1", outputs={"level": 1.0}), over("last", outputs={"level": 2.0}))
        one = Bench(instance(P, T, port("level"), rules=rules, defaults={"level": 0.0}))
        one.step(0, p=6.0, t=None)
        assert (one.value("level"), one.severity("level")) == (2.0, Severity.NO_ALARM)
        one.step(1, p=1.0)
        assert one.severity("level") is Severity.INVALID

    def test_an_unknown_rule_does_not_matter_where_it_would_change_nothing(self):
        rules = (over(outputs={"trip": True}), over("hot", "t > 1", outputs={"trip": True}))
        one = Bench(instance(P, T, port("trip", "bool"), rules=rules, defaults={"trip": False}))
        one.step(0, p=6.0, t=None)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)

    def test_a_later_rule_reads_what_an_earlier_one_decided(self):
        rules = (over(outputs={"trip": True}), over("then", "trip", outputs={"alarm": True}))
        one = Bench(
            instance(
                P,
                port("trip", "bool"),
                port("alarm", "bool"),
                rules=rules,
                defaults={"trip": False, "alarm": False},
            )
        )
        one.step(0, p=6.0)
        assert one.value("alarm") is True
        one.step(1, p=None)
        assert (one.value("alarm"), one.severity("alarm")) == (True, Severity.INVALID)

    def test_a_rule_may_read_what_it_decided_last(self):
        rule = over(condition="p > 5 or (trip and p > 3)", outputs={"trip": True})
        one = Bench(instance(P, port("trip", "bool"), rules=(rule,), defaults={"trip": False}))
        one.step(0, p=4.0)
        assert one.value("trip") is False
        one.step(1, p=6.0)
        deadline = one.step(2, p=4.0).deadline
        assert one.value("trip") is True
        one.step(3, p=None)
        one.step(4, p=4.0)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.NO_ALARM)
        one.step(5, p=2.0)
        assert one.value("trip") is False
        assert deadline is None or deadline > 2

    def test_rules_that_flip_each_other_do_so_slowly(self):
        rule = over(condition="not trip", outputs={"trip": True})
        one = Bench(instance(P, port("trip", "bool"), rules=(rule,), defaults={"trip": False}))
        for _ in range(5):
            now = one.now
            assert one.step(one.last.deadline, p=1.0).deadline - now >= 0.05


class TestLatches:
    @pytest.mark.parametrize(
        ("direction", "value", "kept"),
        [
            (LatchDirection.RISE, True, True),
            (LatchDirection.RISE, False, False),
            (LatchDirection.FALL, False, True),
            (LatchDirection.FALL, True, False),
            (LatchDirection.ANY, False, True),
            (LatchDirection.ANY, True, True),
        ],
    )
    def test_direction(self, direction, value, kept):
        spec = instance(
            P,
            port("out", "bool", latch=direction),
            rules=(over(outputs={"out": value}),),
            defaults={"out": not value},
        )
        one = Bench(spec)
        one.step(0, p=6.0)
        assert one.last.latched == ({"out": value} if kept else None)
        one.step(1, p=1.0)
        assert one.value("out") is (value if kept else not value)

    def latched(self, **keys) -> Bench:
        spec = instance(
            P,
            T,
            port("trip", "bool", latch=LatchDirection.RISE, **keys),
            rules=(over(outputs={"trip": True}, message="hot", severity=Severity.MAJOR),),
            defaults={"trip": False},
        )
        one = Bench(spec)
        one.step(0, p=6.0)
        assert one.events() == [("active", "over"), ("latched", "trip")]
        return one

    def test_it_is_not_released_while_its_cause_holds(self):
        one = self.latched()
        one.step(1, clear=True)
        assert one.value("trip") is True
        assert one.events() == [("kept", "trip")]
        assert one.last.events[0].text == "over holds"
        one.step(2, p=1.0)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.MAJOR)
        assert one.last.message == "latched: trip"

    def test_it_is_not_released_while_its_cause_is_unknown(self):
        one = self.latched()
        one.step(1, p=1.0)
        one.step(2, p=None, clear=True)
        assert ("kept", "trip") in one.events()
        assert one.value("trip") is True
        assert one.severity("trip") is Severity.MAJOR

    def test_clear_releases_and_tells(self):
        one = self.latched()
        one.step(1, p=1.0)
        one.step(2, clear=True)
        assert one.events() == [("released", "trip")]
        assert (one.value("trip"), one.severity("trip"), one.last.latched) == (False, Severity.NO_ALARM, {})
        assert one.last.message == ""
        one.step(3, p=6.0)
        assert one.last.latched == {"trip": True}, "a released latch is armed"

    def test_it_waits_for_the_clock_of_for_and_for_the_end_of_the_rule(self):
        spec = instance(
            P,
            port("trip", "bool", latch=LatchDirection.RISE),
            rules=(over(outputs={"trip": True}, hold_for=2.0, clear_for=2.0),),
            defaults={"trip": False},
        )
        one = Bench(spec, latched={"trip": True})
        one.step(0, p=6.0, clear=True)
        assert one.events() == [("kept", "trip")]
        one.step(2)
        one.step(3, p=1.0, clear=True)
        assert one.last.events[-1].text == "over has not ended yet"
        one.step(5, clear=True)
        assert one.value("trip") is False

    def test_it_comes_back_after_a_restart(self):
        one = Bench(self._spec(), latched={"trip": True})
        one.step(0, p=None)
        assert (one.value("trip"), one.severity("trip")) == (True, Severity.MAJOR)
        assert one.last.latched is None
        one.step(1, p=1.0)
        assert one.value("trip") is True
        one.step(2, clear=True)
        assert one.value("trip") is False

    def _spec(self):
        return instance(
            P,
            port("trip", "bool", latch=LatchDirection.RISE),
            port("permit", "bool", latch=LatchDirection.FALL),
            port("free", "bool"),
            rules=(over(outputs={"trip": True, "permit": False, "free": True}, severity=Severity.MAJOR),),
            defaults={"trip": False, "permit": True, "free": False},
        )

    def test_lost_latches_come_back_latched(self):
        one = Bench(self._spec(), lost=True)
        one.step(0, p=1.0)
        assert (one.value("trip"), one.value("permit"), one.value("free")) == (True, False, False)
        assert one.last.latched == {"trip": True, "permit": False}
        assert "lost" in one.shown["trip"].reason
        one.step(1, clear=True)
        assert (one.value("trip"), one.value("permit")) == (False, True)

    @pytest.mark.parametrize("kept", [{"trip": "what"}, {"trip": True, "gone": 1}])
    def test_what_no_longer_fits_is_lost_or_forgotten(self, kept):
        one = Bench(self._spec(), latched=kept)
        one.step(0, p=1.0)
        assert one.value("trip") is True
        assert one.last.latched == {"trip": True}

    def test_undecided_rules_do_not_latch(self):
        one = Bench(self._spec())
        one.step(0, p=None)
        one.step(10)
        assert one.last.latched is None
        one.step(11, p=1.0)
        assert one.value("trip") is False


class TestGroups:
    def test_the_first_rule_is_named_until_clear(self):
        rules = (over("a", "p > 5", group="g"), over("b", "t > 5", group="g"))
        one = Bench(instance(P, T, rules=rules))
        one.step(0, p=1.0, t=1.0)
        assert one.value("g_FIRST") == ""
        one.step(1, t=6.0)
        assert one.value("g_FIRST") == "b"
        assert ("first", "g") in one.events()
        assert one.last.latched == {"g_FIRST": "b"}
        one.step(2, p=6.0, t=1.0)
        one.step(3, clear=True)
        assert (one.value("g_FIRST"), one.events()) == ("b", [("kept", "g")])
        one.step(4, p=1.0, clear=True)
        assert (one.value("g_FIRST"), one.last.latched) == ("", {})

    def test_of_several_at_once_the_first_in_order(self):
        rules = (over("a", "p > 5", group="g"), over("b", "t > 5", group="g"))
        one = Bench(instance(P, T, rules=rules))
        one.step(0, p=6.0, t=6.0)
        assert one.value("g_FIRST") == "a"

    def test_it_survives_a_restart(self):
        one = Bench(instance(P, rules=(over("a", group="g"),)), latched={"g_FIRST": "a"})
        one.step(0, p=None)
        assert one.value("g_FIRST") == "a"


class TestActuators:
    def commands(self, one: Bench) -> list[tuple[str, object, str]]:
        return [(command.port, command.value, command.rule) for command in one.last.commands]

    def test_written_when_the_rule_becomes_active_and_withdrawn_when_it_ends(self):
        one = Bench(instance(P, T, rules=(over(actuators={"t": 0}),)))
        one.step(0, p=1.0)
        assert self.commands(one) == []
        one.step(1, p=6.0)
        assert self.commands(one) == [("t", 0, "over")]
        one.step(2, p=7.0)
        one.step(3, p=None)
        assert (self.commands(one), one.last.withdrawn) == ([], ())
        one.step(4, p=1.0)
        assert (self.commands(one), one.last.withdrawn) == ([], ("t",))
        one.step(5, p=6.0)
        assert self.commands(one) == [("t", 0, "over")]

    def test_repeat(self):
        one = Bench(instance(P, T, rules=(over(actuators={"t": 0}, repeat=10.0),)))
        assert one.step(1, p=6.0).deadline == 11.0
        assert one.step(5).commands == ()
        assert one.step(11).deadline == 21.0
        assert self.commands(one) == [("t", 0, "over")]
        assert one.step(12, p=1.0).deadline is None

    def test_the_last_active_rule_commands(self):
        rules = (over("a", actuators={"t": 0}), over("b", "p > 7", actuators={"t": 1}))
        one = Bench(instance(P, T, rules=rules))
        one.step(0, p=6.0)
        one.step(1, p=8.0)
        assert self.commands(one) == [("t", 1, "b")]
        one.step(2, p=6.0)
        assert (self.commands(one), one.last.withdrawn) == ([("t", 0, "a")], ())


class TestMessages:
    def test_message_and_message_pv(self):
        rules = (
            over("a", message="hot", message_pv="say"),
            over("b", "p > 7", message="hotter", message_pv="say"),
        )
        one = Bench(instance(P, port("say", "string"), rules=rules))
        one.step(0, p=1.0)
        assert (one.value("say"), one.severity("say"), one.last.message) == ("", Severity.NO_ALARM, None)
        one.step(1, p=6.0)
        stamp = time.strftime("%d/%m/%y %H:%M:%S", time.localtime(1e9 + 1))
        assert (one.value("say"), one.last.message) == (f"{stamp} - hot", "hot")
        assert one.last.events[0].text == "hot"
        one.step(2, p=8.0)
        assert one.last.message == "hotter"
        one.step(3, p=6.0)
        assert one.last.message == "hot", "the message of what is still active"
        one.step(4, p=1.0)
        assert one.last.message == ""
        assert one.value("say").endswith("hotter"), "the last message stays to be read"

    def test_a_long_message_is_cut_between_characters(self):
        one = Bench(instance(P, port("say", "string"), rules=(over(message="ü" * 30, message_pv="say"),)))
        one.step(0, p=6.0)
        assert len(one.value("say").encode()) <= 39
        assert one.value("say").endswith("ü")


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


def test_trip_commands_and_latches_when_the_link_dies():
    rule = over(outputs={"trip": True}, actuators={"t": 0}, on_invalid=OnInvalid.TRIP)
    spec = instance(
        P, T, port("trip", "bool", latch=LatchDirection.RISE), rules=(rule,), defaults={"trip": False}
    )
    one = Bench(spec)
    one.step(0, p=1.0)
    one.step(1, p=None)
    assert [command.port for command in one.last.commands] == ["t"]
    assert one.last.latched == {"trip": True}
    one.step(2, p=1.0)
    assert (one.last.withdrawn, one.value("trip")) == (("t",), True)
