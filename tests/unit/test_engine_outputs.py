"""What rules do to outputs, latches, groups, actuators and messages."""

from __future__ import annotations

import time

import pytest
from support.logic_spec import Bench, instance, port

from iocmng.spec import LatchDirection, OnInvalid, RuleSpec
from iocmng.values import Severity, Status

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
