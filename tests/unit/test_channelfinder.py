"""ChannelFinder against a real HTTP server in a process of its own: answers, filters, and what goes wrong."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import Lines, ending

from iocmng import TaskBase
from iocmng.base.channelfinder import (
    ChannelFinderClient,
    ChannelFinderError,
    ChannelFinderTimeout,
    devices_of,
    properties_of,
)
from iocmng.testing import run_task

SERVER = Path(__file__).resolve().parents[1] / "support" / "channelfinder_server.py"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    with ending(process):
        yield f"http://127.0.0.1:{int(Lines(process.stdout).next())}"


@pytest.fixture
def service(server: str) -> Iterator[ChannelFinderClient]:
    client = ChannelFinderClient(f"{server}/ChannelFinder/", timeout=20)
    yield client
    client.close()


def names(channels: list[dict[str, object]]) -> list[object]:
    return [one["name"] for one in channels]


def test_the_import_path_of_2_x_is_the_same_class() -> None:
    from iocmng.core.channelfinder import ChannelFinderClient as Earlier

    assert Earlier is ChannelFinderClient


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"name": "SPARC:MOT:*"}, 3),
        ({"name": "SPARC:MOT:TML:GUNFLG01:???"}, 2),
        ({"devgroup": "mot"}, 4),
        ({"devgroup": "mot", "devtype": "tml"}, 0),
        ({"iocName": "tml-ch2"}, 1),
        ({"zone": "g*"}, 4),
        ({"tag": "archived"}, 1),
        ({"template": "tml"}, 1),
        ({"devgroup": "mot", "size": 2}, 2),
        ({"zone": None, "devgroup": ""}, 6),
        ({}, 6),
    ],
)
def test_search_filters(service: ChannelFinderClient, filters: dict[str, object], found: int) -> None:
    assert len(service.search(**filters)) == found  # type: ignore[arg-type]


def test_a_channel_comes_with_properties_and_tags(service: ChannelFinderClient) -> None:
    (channel,) = service.search(tag="archived")
    assert channel["name"] == "SPARC:MOT:TML:GUNFLG01:RBV"
    assert properties_of(channel) == {
        "devgroup": "mot",
        "devtype": "sim",
        "iocName": "tml-ch1",
        "zone": "gun",
        "device": "SPARC:MOT:TML:GUNFLG01",
    }
    assert service.get_channel("LONELY")["tags"] == []


def test_devices_are_gathered_from_their_channels(service: ChannelFinderClient) -> None:
    assert service.is_available()
    found = service.discover_devices(devgroup="mot")
    assert [(one["name"], one["prefix"], len(one["pvs"])) for one in found] == [
        ("GUNFLG01", "SPARC:MOT:TML:GUNFLG01", 2),
        ("AC1FLG01", "SPARC:MOT:TML:AC1FLG01", 1),
        ("GUNFLG01", "LEL:MOT:TML:GUNFLG01", 1),
    ]
    first = found[0]
    assert (first["devgroup"], first["devtype"], first["iocname"]) == ("mot", "sim", "tml-ch1")
    assert first["pvs"] == ["SPARC:MOT:TML:GUNFLG01:RBV", "SPARC:MOT:TML:GUNFLG01:VAL"]
    assert found[1]["template"] == "tml"


def test_a_name_without_parts_is_its_own_device() -> None:
    (device,) = devices_of([{"name": "LONELY", "properties": None}])
    assert (device["name"], device["prefix"], device["devgroup"]) == ("LONELY", "LONELY", "")


def test_properties_without_values_are_empty_and_odd_ones_are_left_out() -> None:
    assert properties_of({"name": "X", "properties": [{"name": "a", "value": None}, "odd", {}]}) == {"a": ""}


def test_an_unknown_channel_is_refused_with_status_and_path(service: ChannelFinderClient) -> None:
    with pytest.raises(ChannelFinderError, match=r"answered 404 Not Found to .*/channels/NO:SUCH") as caught:
        service.get_channel("NO:SUCH")
    assert isinstance(caught.value, ConnectionError)


def test_a_wrong_path_says_what_the_server_said(server: str) -> None:
    with pytest.raises(ChannelFinderError, match=r"404 .*no such resource.*resources begins"):
        ChannelFinderClient(f"{server}/elsewhere").search(name="*")
    assert ChannelFinderClient(f"{server}/elsewhere").is_available()


@pytest.mark.parametrize("root", ["slow", "trickle"])
def test_a_server_that_does_not_finish_costs_the_timeout(server: str, root: str) -> None:
    client = ChannelFinderClient(f"{server}/{root}", timeout=0.5)
    started = time.monotonic()
    with pytest.raises(
        ChannelFinderTimeout, match=r"did not answer within 0.5 s .*channelfinder_timeout"
    ) as caught:
        client.search()
    assert 0.4 < time.monotonic() - started < 10
    assert isinstance(caught.value, TimeoutError)
    assert not client.is_available()


@pytest.mark.parametrize(
    ("root", "says"),
    [
        ("text", r"answered no JSON .*Welcome to the portal"),
        ("number", r'answered \{"channels": 7\} where a list of channels was expected'),
        ("broken", r"cannot be asked: "),
    ],
)
def test_an_answer_that_is_no_list_of_channels_is_an_error(server: str, root: str, says: str) -> None:
    with pytest.raises(ChannelFinderError, match=says):
        ChannelFinderClient(f"{server}/{root}").search()


def test_a_redirect_is_followed(server: str) -> None:
    assert names(ChannelFinderClient(f"{server}/moved").search(name="LONELY")) == ["LONELY"]


def test_nobody_there_and_a_password_that_is_not_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = ChannelFinderClient(f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/CF", timeout=5)
        with pytest.raises(ChannelFinderError, match="cannot be asked") as caught:
            client.search()
    assert "secret" not in str(caught.value)
    assert not client.is_available()


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ChannelFinderError, match="no http or https address"):
        ChannelFinderClient("cf.example.org:8080")


class Asking(TaskBase):
    found: list[dict[str, object]]

    def initialize(self) -> None:
        type(self).found = self.cf_search(name="SPARC:MOT:*")
        type(self).found += self.cf_discover_devices(devgroup="mot")
        assert (self.channelfinder is None) == ("channelfinder_url" not in self.parameters)
        assert self.cf_create_device({"name": "X", "devgroup": "mot"}) is None

    def execute(self) -> None:
        """Nothing more."""


def test_a_task_asks_the_service_of_its_parameter(server: str, caplog: pytest.LogCaptureFixture) -> None:
    parameters = {"channelfinder_url": f"{server}/ChannelFinder", "channelfinder_timeout": 20}
    with caplog.at_level(logging.WARNING), run_task(Asking, {"parameters": parameters}) as task:
        assert task.status == "RUN"
        assert len(Asking.found) == 6
    assert "no device X: ChannelFinder has no devtype, prefix of it" in caplog.text


def test_without_the_parameter_nothing_is_found(caplog: pytest.LogCaptureFixture) -> None:
    with run_task(Asking, {}) as task:
        assert task.status == "RUN"
        assert Asking.found == []


def test_a_service_that_fails_is_logged_and_does_not_end_the_task(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        run_task(Asking, {"parameters": {"channelfinder_url": f"{server}/text"}}) as task,
    ):
        assert task.status == "RUN"
        assert Asking.found == []
    assert caplog.text.count("answered no JSON") == 2
