"""What `iocmng show` says of links, rules and latches."""

from __future__ import annotations

import json

import pytest
from support.control import MemoryControl

from iocmng.wire import (
    InstanceDetail,
    InstanceView,
    LinkView,
    PortView,
    PvView,
    RuleView,
    from_plain,
    to_plain,
)
from iocmng_cli.logic_tables import link_row, print_logic, rule_row
from iocmng_cli.output import Cell

INTERLOCK = InstanceDetail(
    view=InstanceView(name="rf", kind="task", plugin="rf", state="RUN", prefix="LAB:RF"),
    ports=(
        PortView(
            name="PRESSURE",
            direction="input",
            pv=PvView(name="LAB:RF:PRESSURE", type="float", record_type="ai"),
            link=LinkView(
                address="ca://RING:P", mode="monitor", connected=True, age=0.25, updates=12, dropped=3
            ),
        ),
        PortView(
            name="WATER",
            direction="input",
            pv=PvView(name="LAB:RF:WATER", type="bool", record_type="bi"),
            link=LinkView(
                address="pva://COOL:OK", mode="poll", complaint="COOL:OK not connected", failures=2
            ),
        ),
        PortView(
            name="VALVE",
            direction="output",
            pv=PvView(name="LAB:RF:VALVE", type="bool", record_type="bi"),
            link=LinkView(address="LAB:VAC:VALVE", local=True, connected=True, pending=True, updates=1),
        ),
        PortView(
            name="LIMIT", direction="input", pv=PvView(name="LAB:RF:LIMIT", type="float", record_type="ao")
        ),
    ),
    rules=(
        RuleView(
            id="vacuum",
            state="active",
            condition="PRESSURE > LIMIT",
            value=True,
            since=1e9,
            message="pressure is high",
            outputs={"OK": False},
            actuators={"VALVE": 0},
            fired=2,
        ),
        RuleView(
            id="cooling",
            state="active",
            condition="not WATER",
            held=True,
            since=1e9,
            reason="WATER unknown: not connected",
            message="no water",
        ),
        RuleView(id="arc", state="undecided", condition="ARC", reason="ARC not known yet", pending=3.5),
        RuleView(id="quiet", state="inactive", condition="x", value=False, message="never said"),
    ),
    latched={"VALVE": 0},
    evaluations=40,
    unknowns={"vacuum": 4},
)


def test_everything_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    print_logic(INTERLOCK)
    said = capsys.readouterr().out
    for title in ("Links", "Rules", "Latched, until LAB:RF:CLEAR or iocmng reset", "could not be computed"):
        assert title in said
    assert "VALVE  0" in said
    assert "vacuum  4" in said
    assert "LAB:RF:LIMIT" not in said


def test_an_instance_without_logic_shows_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_logic(MemoryControl().instance("pump"))
    assert capsys.readouterr().out == ""


def texts(row: object) -> list[str]:
    assert isinstance(row, tuple)
    return [cell.text if isinstance(cell, Cell) else cell for cell in row]


def test_a_link_says_where_how_and_what_is_wrong() -> None:
    lines = [texts(link_row(port, port.link)) for port in INTERLOCK.ports if port.link is not None]
    assert lines == [
        ["PRESSURE", "← ca://RING:P", "monitor", "connected", "250 ms", "12 (3 dropped)", ""],
        ["WATER", "← pva://COOL:OK", "poll", "not connected", "", "0 (2 failed)", "COOL:OK not connected"],
        ["VALVE", "→ LAB:VAC:VALVE", "in this host", "connected, pending", "", "1", ""],
    ]


def test_a_rule_says_what_it_decides_and_why() -> None:
    vacuum, cooling, arc, quiet = (texts(rule_row(rule)) for rule in INTERLOCK.rules)
    assert vacuum[:4] == ["vacuum", "active", "PRESSURE > LIMIT", "true"]
    assert vacuum[5:] == ["2", "OK=false, VALVE=0", "pressure is high"]
    assert (cooling[1], cooling[3], cooling[7]) == ("active, held", "unknown", "WATER unknown: not connected")
    assert (arc[1], arc[4]) == ("undecided, 3.5 s to go", "")
    assert quiet[5:] == ["", "", ""]


def test_it_travels_whole() -> None:
    assert from_plain(InstanceDetail, json.loads(json.dumps(to_plain(INTERLOCK)))) == INTERLOCK
