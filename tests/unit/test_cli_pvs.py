"""`iocmng pv` with PVs of the host and elsewhere, in this process, against an endpoint over a host in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.pvs import MemoryPvs
from support.serving import SECRETS, Served, serving
from typer.testing import CliRunner

from iocmng.client import Client
from iocmng.errors import BadInput, NotFound
from iocmng.testing.links import FakeLinks
from iocmng.values import Severity, Status
from iocmng.wire import PvReading, PvView
from iocmng_cli import assignments, places
from iocmng_cli.main import app

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("state")) as endpoint:
        yield endpoint


@pytest.fixture
def pvs(served: Served) -> MemoryPvs:
    served.control.__init__()  # type: ignore[misc]
    elsewhere = served.control.pv_access.elsewhere
    elsewhere.serve("pva://RING:PRESSURE", 2.5, Severity.MINOR, Status.HIGH)
    elsewhere.serve("ca://RING:VALVE", 1, labels=["Closed", "Open"])
    elsewhere.serve("ca://RING:NAME", "north")
    elsewhere.serve("ca://RING:WAVE", [1.0, 2.0])
    return served.control.pv_access


@pytest.fixture
def links(pvs: MemoryPvs) -> FakeLinks:
    return pvs.elsewhere


@pytest.fixture
def run(served: Served, links: FakeLinks, tmp_path: Path) -> Run:
    def invoke(*arguments: str, code: int = 0) -> Result:
        env = {"IOCMNG_URL": served.url, "IOCMNG_TOKEN": SECRETS["operator"], "HOME": str(tmp_path)}
        result = CliRunner().invoke(app, ["pv", *arguments], env=env)
        assert result.exit_code == code, result.output
        return result

    return invoke


def test_get_reads_own_ones_and_others_side_by_side(run: Run) -> None:
    lines = run("get", "PUMP:LIMIT", "RING:PRESSURE", "ca://RING:VALVE").stdout.splitlines()
    assert lines[0].split() == ["PV", "VALUE", "ALARM", "TIME"]
    assert lines[1].split()[:3] == ["TEST:PUMP:LIMIT", "1.5", "mbar"]
    assert lines[2].split()[:4] == ["RING:PRESSURE", "2.5", "MINOR", "HIGH"]
    assert lines[3].split()[:2] == ["ca://RING:VALVE", "1"]
    found = json.loads(run("get", "PUMP:LIMIT", "RING:PRESSURE", "--json").stdout)
    assert [(one["name"], one["value"]) for one in found] == [
        ("TEST:PUMP:LIMIT", 1.5),
        ("RING:PRESSURE", 2.5),
    ]
    assert found[1]["address"] == "pva://RING:PRESSURE"


def test_a_name_that_nobody_has_is_not_found_and_costs_the_others_nothing(run: Run) -> None:
    result = run("get", "PUMP:NOTHING", "RING:PRESSURE", "--timeout", "0.2", code=6)
    assert "2.5" in result.stdout
    assert (
        "no PV is named 'PUMP:NOTHING', and pva://PUMP:NOTHING did not answer within 0.2 s" in result.stderr
    )


def test_a_name_with_a_scheme_that_does_not_answer_has_failed(run: Run) -> None:
    assert "did not answer" in run("get", "ca://NOWHERE", "--timeout", "0.2", code=1).stderr
    assert "scheme 'http'" in run("get", "http://X", code=2).stderr


def test_what_only_this_host_could_have_is_not_looked_for_elsewhere(
    served: Served, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> PvView:
        raise NotFound(f"this host has no PV {name!r}", hint="did you mean 'LIMIT'?", code="no-such-port")

    monkeypatch.setattr(served.control, "pv", unknown)
    result = run("get", "RING:PRESSURE", code=6)
    assert "did you mean 'LIMIT'?" in result.stderr
    assert "2.5" not in result.stdout


@pytest.mark.parametrize(
    ("name", "text", "taken", "said"),
    [
        ("RING:PRESSURE", "3.5", 3.5, "RING:PRESSURE  2.5 → 3.5"),
        ("ca://RING:VALVE", "Closed", 0, "ca://RING:VALVE  1 → 0"),
        ("ca://RING:VALVE", "0", 0, "1 → 0"),
        ("ca://RING:NAME", "12", "12", "north → 12"),
        ("ca://RING:WAVE", "3 4", [3, 4], "[1, 2] → [3, 4]"),
    ],
)
def test_put_reaches_a_pv_elsewhere(
    run: Run, links: FakeLinks, name: str, text: str, taken: Any, said: str
) -> None:
    assert said in run("put", name, text).stdout
    ((_, value),) = links.puts
    assert value == taken
    assert type(value) is type(taken)


def test_put_fails_as_the_pv_does(run: Run, links: FakeLinks) -> None:
    assert "Closed, Open" in run("put", "ca://RING:VALVE", "Ajar", code=2).stderr
    assert "takes float" in run("put", "RING:PRESSURE", "much", code=2).stderr
    links.refuse("ca://RING:VALVE")
    assert "access denied" in run("put", "ca://RING:VALVE", "0", code=4).stderr
    run("put", "RING:NOWHERE", "1", "--timeout", "0.2", code=6)
    assert links.puts == []


def test_a_field_of_an_own_one_may_be_named_like_its_record(run: Run, links: FakeLinks) -> None:
    links.serve("pva://TEST:PUMP:LIMIT.EGU", "mbar")
    (found,) = json.loads(run("get", "PUMP:LIMIT.EGU", "--json").stdout)
    assert (found["name"], found["value"]) == ("TEST:PUMP:LIMIT.EGU", "mbar")


def test_put_to_an_own_one_goes_as_ever(served: Served, run: Run, links: FakeLinks) -> None:
    assert "1.5 mbar → 3 mbar" in run("put", "PUMP:LIMIT", "3").stdout
    assert links.puts == []
    assert served.control.actors[-1][1].via == "cli"


def test_monitor_mixes_both(
    served: Served, run: Run, links: FakeLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[PvReading] = []

    def monitor_pvs(self: Any, names: list[str], *, period: float) -> Iterator[PvReading]:
        assert names == ["TEST:PUMP:LIMIT", "ca://RING:VALVE"]
        for name in names:
            told.append(self.get(name))
            yield told[-1]
        raise KeyboardInterrupt

    monkeypatch.setattr("iocmng.client.pvs.Pvs.monitor", monitor_pvs)
    lines = run("monitor", "PUMP:LIMIT", "ca://RING:VALVE").stdout.splitlines()
    assert [line.split()[2:] for line in lines] == [
        ["TEST:PUMP:LIMIT", "1.5", "mbar"],
        ["ca://RING:VALVE", "1"],
    ]
    objects = [
        json.loads(line)
        for line in run("monitor", "PUMP:LIMIT", "ca://RING:VALVE", "--json").stdout.splitlines()
    ]
    assert [one["name"] for one in objects] == ["TEST:PUMP:LIMIT", "ca://RING:VALVE"]


def test_one_that_is_away_is_shown_as_such(served: Served, links: FakeLinks) -> None:
    with Client(served.url, SECRETS["viewer"]) as client:
        monitored = places.Monitored(client, ["RING:NOWHERE"])
        assert not monitored.all_own
        stream = client.pvs.monitor(monitored.names, period=0.02)
        view = monitored.view(next(stream))
        assert (view.name, view.severity, view.message) == ("RING:NOWHERE", "INVALID", "not connected")
        links.serve("pva://RING:NOWHERE", 5)
        assert monitored.view(next(stream)).value == 5


def test_a_switch_elsewhere_takes_the_words_of_switches() -> None:
    pv = PvView(name="X", type="bool", record_type="")
    assert [assignments.loose_value(pv, text) for text in ("on", "0", "Open")] == [True, False, "Open"]
    assert assignments.loose_value(PvView(name="X", type="", record_type=""), "5") == "5"
    with pytest.raises(BadInput):
        assignments.loose_value(PvView(name="X", type="float", record_type=""), "much")
