"""The grammar of names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocmng import names


@pytest.mark.parametrize("name", ["a", "beam-monitor", "Beam_2", "0x", "a" * 128])
def test_names_of_plugins(name: str) -> None:
    assert names.plugin_name_problem(name) is None


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a/b", "..", "%2e%2e", "a\n", "é", "a" * 129])
def test_names_that_no_plugin_may_have(name: str) -> None:
    assert names.plugin_name_problem(name)


@pytest.mark.parametrize("prefix", ["A", "LAB:TEST", "a-b_c+[0]<x>;y", "A:B:C"])
def test_prefixes(prefix: str) -> None:
    assert names.prefix_problem(prefix) is None


@pytest.mark.parametrize("prefix", ["", ":A", "A:", "A::B", "A.B", "A B", "$(P)", "A\n", "Ä", 'A"'])
def test_prefixes_that_epics_or_the_grammar_refuses(prefix: str) -> None:
    problem = names.prefix_problem(prefix)
    assert problem
    assert repr(prefix) in problem


def test_the_hosts_own_segment_is_no_instance_prefix() -> None:
    assert "host itself" in (names.instance_prefix_problem("HOST") or "")
    assert names.instance_prefix_problem("HOST2") is None


@pytest.mark.parametrize("name", ["TEMP", "temp", "a1_b", "HEARTBEAT", "CONNECTED"])
def test_names_of_ports(name: str) -> None:
    assert names.port_name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["STATUS", "MESSAGE", "ENABLE", "RUN", "CYCLE_COUNT", "CLEAR", "RESET", "VERSION", "CONN_INP", "CONN_X"],
)
def test_names_of_default_pvs_are_refused(name: str) -> None:
    assert "default PV" in (names.port_name_problem(name) or "")
    assert names.is_refused_port(name)


@pytest.mark.parametrize("name", ["", "1a", "_a", "a-b", "a:b", "a.b", "a b", "É"])
def test_names_no_port_may_have(name: str) -> None:
    assert names.port_name_problem(name)


def test_pv_names_have_60_characters_at_most() -> None:
    assert names.pv_name_problem("A" * 60) is None
    problem = names.pv_name_problem("A" * 61)
    assert problem is not None
    assert "61" in problem
    assert "60" in problem


def test_empty_segments_leave_no_colons() -> None:
    assert names.pv_name("", "A", "", "B") == "A:B"


def test_the_nearest_name_is_offered() -> None:
    assert names.did_you_mean("Interval", ["interval", "timeout"]) == "did you mean 'interval'?"
    assert names.did_you_mean("intrval", ["interval", "timeout"]) == "did you mean 'interval'?"
    assert names.did_you_mean("zzz", ["b", "a"]) == "known: a, b"
    assert names.did_you_mean("zzz", []) == ""
    assert names.did_you_mean("zzz", [f"k{n:02}" for n in range(20)]).endswith("…")


@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=8))
def test_the_nearest_name_is_one_of_the_known(name: str, known: list[str]) -> None:
    assert names.nearest(name, known) in {None, *known}
